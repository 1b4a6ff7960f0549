//! References and captions to score, parted by a zero byte: an error under 2 kB, or a caption for every image.

#![no_main]

use std::path::Path;

use scoring::captions::{CaptionFile, Hypotheses, ReferenceFile};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (references, captions) = (&bytes[..middle], bytes.get(middle + 1..).unwrap_or_default());
    let path = Path::new("input");
    let scored = (|| {
        let mut references = ReferenceFile::parse(path, references.to_vec())?;
        let captions = CaptionFile::parse(path, captions.to_vec(), &references)?;
        let whole = Hypotheses::of(path, &captions, &references).map(|_| references.images());
        references.keep_named(&captions);
        let part = Hypotheses::of(path, &captions, &references)?;
        assert_eq!(part.tokens().len(), references.tokens().len());
        whole
    })();
    if let Err(error) = scored {
        assert!(format!("{error:#}").len() < 2000, "{error:#}");
    }
});
