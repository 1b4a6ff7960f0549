//! What the content of a file is known by.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// A published hash, in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256(&'static str),
    /// MD5, where that is all that was published: it shows damage, but not malice.
    Md5(&'static str),
}

impl Display for Digest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Digest::Sha256(digits) => write!(f, "SHA-256 {digits}"),
            Digest::Md5(digits) => write!(f, "MD5 {digits}"),
        }
    }
}

/// The hashes of a file.
pub(super) struct Found {
    /// In hexadecimal digits.
    pub(super) sha256: String,
    md5: String,
}

impl Found {
    /// Of the file's whole content.
    pub(super) fn of(path: &Path) -> io::Result<Found> {
        let mut file = File::open(path)?;
        let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
        let mut block = vec![0; 1 << 20];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(Found { sha256: digits(&sha256.finalize()), md5: digits(&md5.finalize()) }),
                length => {
                    sha256.update(&block[..length]);
                    md5.update(&block[..length]);
                }
            }
        }
    }

    /// The hash of the kind that was published, if it is another one.
    pub(super) fn other_than(&self, digest: Digest) -> Option<&str> {
        let (found, published) = match digest {
            Digest::Sha256(digits) => (&self.sha256, digits),
            Digest::Md5(digits) => (&self.md5, digits),
        };
        (found != published).then_some(found)
    }
}

fn digits(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
