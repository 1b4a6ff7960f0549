//! Small sets that look like the public ones.

use std::io::{Cursor, Write};
use std::path::Path;

use dataset::fetch::{Digest, FetchError, Fetcher, Remote, Set, Size, Unpack};
use image::{ImageFormat, Rgb, RgbImage};
use sha2::Digest as _;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::server::Server;

/// A zip archive of files by their names; a name that ends in a slash is a folder.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// Bytes without a pattern, the same for the same length.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64 | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let digits: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::Sha256(digits.leak())
}

/// A file of that content, as it was published.
pub(crate) fn remote(server: &Server, name: &str, bytes: &[u8]) -> Remote {
    Remote {
        url: format!("{}/{name}", server.url).leak(),
        size: Size::Exact(bytes.len() as u64),
        digest: Some(sha256(bytes)),
        unpack: None,
    }
}

pub(crate) fn unpacked(remote: Remote, member: &'static str, to: &'static str, files: usize) -> Remote {
    Remote { unpack: Some(Unpack { member, to, files, bytes: 1000 }), ..remote }
}

pub(crate) fn set(files: impl IntoIterator<Item = Remote>) -> Set {
    let files: Vec<Remote> = files.into_iter().collect();
    Set {
        name: "tiny",
        about: "a few files",
        terms: "anything",
        files: files.leak(),
        next: &["look into {root}"],
    }
}

/// Fetches a set, and gives what was said meanwhile.
pub(crate) fn fetch(set: &Set, root: &Path) -> (Result<(), FetchError>, Vec<String>) {
    let said = std::cell::RefCell::new(Vec::new());
    let say = |line: &str| said.borrow_mut().push(line.to_owned());
    let result = Fetcher { set, root, mirror: None, retries: 0, quiet: true, say: &say }.run();
    (result, said.into_inner())
}

pub(crate) fn message(set: &Set, root: &Path) -> String {
    fetch(set, root).0.unwrap_err().to_string()
}

/// The two archives of Flickr8k, of four images.
pub(crate) fn flickr8k() -> [(&'static str, Vec<u8>); 2] {
    let photo = |shade: u8| {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(40, 30, Rgb([shade, 90, 30])).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    let photos = [photo(10), photo(90), photo(150), photo(230)];
    let images = zip(&[
        ("Flicker8k_Dataset/", b""),
        ("Flicker8k_Dataset/a.jpg", &photos[0]),
        ("Flicker8k_Dataset/b.jpg", &photos[1]),
        ("Flicker8k_Dataset/c.jpg", &photos[2]),
        ("Flicker8k_Dataset/d.jpg", &photos[3]),
        ("__MACOSX/Flicker8k_Dataset/._a.jpg", b"what Macs add"),
    ]);
    let tokens = ["a", "b", "c", "d"].map(|name| format!("{name}.jpg#0\tA dog .\n{name}.jpg#1\tIt runs .\n"));
    let text = zip(&[
        ("Flickr8k.token.txt", tokens.concat().as_bytes()),
        ("Flickr_8k.trainImages.txt", b"a.jpg\nb.jpg\n"),
        ("Flickr_8k.devImages.txt", b"c.jpg\n"),
        ("Flickr_8k.testImages.txt", b"d.jpg\n"),
        ("readme.txt", b"If you use this corpus"),
    ]);
    [("images.zip", images), ("text.zip", text)]
}
