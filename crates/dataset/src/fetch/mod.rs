//! Public captioning sets, from the addresses where they lie, to a folder that a layout reads.
//!
//! ```text
//! data/raw/flickr8k/
//!   Flicker8k_Dataset/  Flickr8k_text/   whole: unpacked beside, then renamed
//!   .fetched.json                        what was fetched from where: bytes and hash of each file
//!   .Flickr8k_Dataset.zip.part           only while it is fetched: a later run goes on with it
//!   Flickr8k_Dataset.zip                 only until it is unpacked; or put there by hand
//!   .unpacking/                          only while it is unpacked
//! ```
//!
//! Invariant: what has its final name is whole and has been checked, whenever the process was killed. What lies there already
//! under a final name is never written over.

mod describe;
mod digest;
mod error;
mod fetcher;
mod record;
mod sets;
mod unpack;

pub use describe::list;
pub use digest::Digest;
pub use error::FetchError;
pub use fetcher::Fetcher;
pub use sets::ALL;

/// A set that people train and report on.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// As it is asked for.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Under which terms it is given out, by its publishers' words.
    pub terms: &'static str,
    /// In the order in which they are fetched.
    pub files: &'static [Remote],
    /// What to do with it, a line each; `{root}` is its folder.
    pub next: &'static [&'static str],
}

impl Set {
    /// The set of that name.
    ///
    /// # Errors
    /// There is none: the error names those that there are.
    pub fn named(name: &str) -> Result<&'static Set, FetchError> {
        let named = ALL.into_iter().find(|set| set.name == name);
        named.ok_or_else(|| FetchError::Unknown { name: name.to_owned() })
    }
}

/// A file of a set.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    /// Where its publishers put it.
    pub url: &'static str,
    /// Its length.
    pub size: Size,
    /// What its content is known by, where anybody has said so.
    pub digest: Option<Digest>,
    /// What becomes of it; a file that is no archive stays as it is.
    pub unpack: Option<Unpack>,
}

impl Remote {
    /// The last part of its address.
    pub fn name(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }
}

/// The length of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As it was published.
    Exact(u64),
    /// Where nobody has published it: less than half or more than twice as much is another file.
    About(u64),
}

impl Size {
    fn bytes(self) -> u64 {
        let (Size::Exact(bytes) | Size::About(bytes)) = self;
        bytes
    }

    fn at_most(self) -> u64 {
        match self {
            Size::Exact(bytes) => bytes,
            Size::About(bytes) => 2 * bytes,
        }
    }

    fn fits(self, found: u64) -> bool {
        match self {
            Size::Exact(bytes) => found == bytes,
            Size::About(bytes) => (bytes / 2..=2 * bytes).contains(&found),
        }
    }
}

/// What is taken out of a zip archive.
#[derive(Clone, Copy, Debug)]
pub struct Unpack {
    /// A folder or a file in the archive; empty for all that is in it.
    pub member: &'static str,
    /// What it is called below the set's folder.
    pub to: &'static str,
    /// The files that it has at least: fewer are an archive that was cut short.
    pub files: usize,
    /// Roughly what they take on disk.
    pub bytes: u64,
}
