//! COCO's and Karpathy's files: an error under 2 kB, or what they say.

#![no_main]

use std::path::Path;

use annotations::coco::{self, Coco};
use annotations::karpathy::{self, Karpathy};
use annotations::{Id, json, text};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = Path::new("input");
    let Ok(text) = text::decode(file, bytes.to_vec()) else { return };
    match json::parse::<Coco>(file, &text, coco::SHAPE) {
        Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
        Ok(coco) => {
            for annotation in coco.annotations.unwrap_or_default() {
                assert_eq!(Id::from(annotation.image_id.to_string().as_str()), annotation.image_id);
            }
        }
    }
    if let Err(error) = json::parse::<Karpathy>(file, &text, karpathy::SHAPE) {
        assert!(error.to_string().len() < 2000, "{error}");
    }
});
