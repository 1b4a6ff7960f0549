//! From what is there to the whole set.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use download::Request;
use stage::progress::Progress;

use super::describe::size;
use super::digest::Found;
use super::error::{io, other_hash};
use super::record::{Fetched, Record};
use super::unpack::{self, Step};
use super::{FetchError, Remote, Set, Size};

/// Fetches a set into a folder.
pub struct Fetcher<'a> {
    /// Which one.
    pub set: &'a Set,
    /// Its folder; made if it is not there.
    pub root: &'a Path,
    /// An address below which the files lie by their names, in place of their publishers'.
    pub mirror: Option<&'a str>,
    /// How often a file is tried again where a try brought nothing.
    pub retries: u32,
    /// Shows nothing of how far it is.
    pub quiet: bool,
    /// Is told what happens, a line each.
    pub say: &'a dyn Fn(&str),
}

/// What a file still takes, in bytes.
struct Lack {
    download: u64,
    unpacked: u64,
}

impl Fetcher<'_> {
    /// Fetches what is not there yet, checks it and unpacks it. Several processes take turns.
    ///
    /// # Errors
    /// The disk has no room, a file cannot be had, or is another than was published. What is finished stays, and so does what has
    /// come of a file.
    pub fn run(&self) -> Result<(), FetchError> {
        fs::create_dir_all(self.root).map_err(io(self.root))?;
        let _lock = self.alone()?;
        unpack::clear(&self.root.join(unpack::WORK))?;
        artifacts::atomic::sweep(self.root).map_err(io(self.root))?;
        let mut record = Record::read(self.root)?;
        self.announce(&record)?;
        self.set.files.iter().try_for_each(|file| self.file(file, &mut record))
    }

    fn alone(&self) -> Result<File, FetchError> {
        let path = self.root.join(".lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&path).map_err(io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                (self.say)(&format!("{}: waiting for another process, which fetches it", self.set.name));
                lock.lock().map_err(io(&path))?;
            }
            Err(TryLockError::Error(source)) => return Err(io(path)(source)),
        }
        Ok(lock)
    }

    /// Says what will be fetched, or that nothing lacks, and refuses a disk without room for it.
    fn announce(&self, record: &Record) -> Result<(), FetchError> {
        let set = self.set;
        let mut lacking = Vec::new();
        for file in set.files {
            if !self.is_done(file, record)? {
                lacking.push((file, self.lack(file)?));
            }
        }
        if lacking.is_empty() {
            (self.say)(&format!("{}: whole in {}", set.name, self.root.display()));
            return Ok(());
        }
        let download: u64 = lacking.iter().map(|(_, lack)| lack.download).sum();
        let needed = download + lacking.iter().map(|(_, lack)| lack.unpacked).sum::<u64>();
        (self.say)(&format!("{}: {}", set.name, set.about));
        (self.say)(&format!("  terms: {}", set.terms));
        let root = self.root.display();
        let room = if needed > download {
            format!(", which takes {} while it is unpacked", size(needed))
        } else {
            String::new()
        };
        (self.say)(&format!("  to fetch: {}, into {root}{room}", size(download)));
        for (file, lack) in &lacking {
            (self.say)(&format!("    {} {}", size(lack.download), self.url(file)));
        }
        let free = stage::free(self.root).map_err(io(self.root))?;
        if free < needed {
            return Err(FetchError::NoRoom { folder: self.root.into(), needed, free });
        }
        Ok(())
    }

    /// Whether nothing is to be done for a file any more. What somebody else unpacked counts if it can be whole.
    fn is_done(&self, file: &Remote, record: &Record) -> Result<bool, FetchError> {
        let Some(unpack) = &file.unpack else {
            return Ok(self.is_there(file.name()) && self.is_known(file, record)?);
        };
        let path = self.root.join(unpack.to);
        let found = unpack::count(&path);
        if (1..unpack.files).contains(&found) {
            return Err(FetchError::Half { path, found, wanted: unpack.files });
        }
        Ok(found > 0)
    }

    /// What a file still takes.
    fn lack(&self, file: &Remote) -> Result<Lack, FetchError> {
        let here = if self.is_there(file.name()) {
            file.size.bytes()
        } else {
            download::length(&self.part(file)).map_err(|source| self.failed(file, source))?
        };
        let download = file.size.bytes().saturating_sub(here);
        Ok(Lack { download, unpacked: file.unpack.map_or(0, |unpack| unpack.bytes) })
    }

    fn file(&self, file: &Remote, record: &mut Record) -> Result<(), FetchError> {
        let path = self.root.join(file.name());
        if !self.is_done(file, record)? {
            if !self.is_there(file.name()) {
                self.download(file, record)?;
            } else if !self.is_known(file, record)? {
                self.check_found(file, &path, record)?;
            }
            if let Some(wanted) = &file.unpack {
                self.unpack(&path, wanted)?;
            }
        }
        // What was put there by hand stays.
        let was_fetched = record.of(file.name()).is_some_and(|fetched| fetched.url.is_some());
        if file.unpack.is_some() && was_fetched && self.is_there(file.name()) {
            fs::remove_file(&path).map_err(io(path))?;
        }
        Ok(())
    }

    /// Whether the file under its final name is one that was checked already.
    fn is_known(&self, file: &Remote, record: &Record) -> Result<bool, FetchError> {
        let path = self.root.join(file.name());
        let length = fs::metadata(&path).map_err(io(path))?.len();
        Ok(record.of(file.name()).is_some_and(|fetched| fetched.bytes == length))
    }

    fn is_there(&self, name: &str) -> bool {
        self.root.join(name).exists()
    }

    fn part(&self, file: &Remote) -> PathBuf {
        self.root.join(format!(".{}.part", file.name()))
    }

    fn url(&self, file: &Remote) -> String {
        match self.mirror {
            Some(mirror) => format!("{}/{}", mirror.trim_end_matches('/'), file.name()),
            None => file.url.to_owned(),
        }
    }

    /// A file that somebody put there: it is taken if it is the published one.
    fn check_found(&self, file: &Remote, path: &Path, record: &mut Record) -> Result<(), FetchError> {
        (self.say)(&format!("{}: {} is there already, and is checked", self.set.name, file.name()));
        let fetched = self.check(file, path, None)?;
        let fetched = fetched.map_err(|reason| FetchError::OtherFile { path: path.into(), reason })?;
        record.add(self.root, file.name(), fetched)
    }

    /// The file's length and hash, or why it is not the published one.
    fn check(
        &self,
        file: &Remote,
        path: &Path,
        url: Option<String>,
    ) -> Result<Result<Fetched, String>, FetchError> {
        let bytes = fs::metadata(path).map_err(io(path))?.len();
        if !file.size.fits(bytes) {
            let about = if matches!(file.size, Size::About(_)) { "about " } else { "" };
            return Ok(Err(format!("it has {bytes} bytes, not {about}{}", file.size.bytes())));
        }
        let found = Found::of(path).map_err(io(path))?;
        let other = file.digest.and_then(|digest| Some((found.other_than(digest)?, digest)));
        Ok(match other {
            Some((hash, digest)) => Err(other_hash(hash, digest)),
            None => Ok(Fetched { url, bytes, sha256: found.sha256 }),
        })
    }

    fn download(&self, file: &Remote, record: &mut Record) -> Result<(), FetchError> {
        let (part, path, url) = (self.part(file), self.root.join(file.name()), self.url(file));
        let failed = |source| self.failed(file, source);
        loop {
            let start = download::length(&part).map_err(failed)?;
            self.receive(file, &url, &part, start)?;
            match self.check(file, &part, Some(url.clone()))? {
                Ok(fetched) => {
                    let before = record.of(file.name()).filter(|before| before.sha256 != fetched.sha256);
                    if let Some(before) = before {
                        (self.say)(&format!(
                            "{}: {} is not what it was when it was last fetched: SHA-256 {}, before {}",
                            self.set.name,
                            file.name(),
                            fetched.sha256,
                            before.sha256
                        ));
                    }
                    // First, so that whoever finds the file knows where it comes from.
                    record.add(self.root, file.name(), fetched)?;
                    return download::settle(&part, &path).map_err(failed);
                }
                Err(reason) => {
                    download::discard(&part).map_err(failed)?;
                    if start == 0 {
                        return Err(FetchError::OtherThanPublished { file: file.name(), url, path, reason });
                    }
                    // The beginning may have been of another file, or damaged.
                    (self.say)(&format!(
                        "{}: {}: {reason}; once more from its beginning",
                        self.set.name,
                        file.name()
                    ));
                }
            }
        }
    }

    fn receive(&self, file: &Remote, url: &str, part: &Path, start: u64) -> Result<(), FetchError> {
        let going_on = if start > 0 { format!(", on from {}", size(start)) } else { String::new() };
        (self.say)(&format!("{}: fetching {}{going_on}", self.set.name, file.name()));
        let request = Request {
            url,
            at_most: Some(file.size.at_most()),
            unchecked: file.digest.is_none(),
            retries: self.retries,
        };
        let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
        let progress = Progress::new(file.name(), "MB", megabytes(file.size.bytes()), self.quiet);
        let mut shown = 0;
        let watched = download::complete(&request, part, &mut |bytes| {
            // A new beginning has fewer: it is shown again when it has passed the old one.
            progress.add(megabytes(bytes).saturating_sub(shown));
            shown = shown.max(megabytes(bytes));
        });
        watched.map_err(|source| self.failed(file, source))
    }

    fn unpack(&self, archive: &Path, wanted: &super::Unpack) -> Result<(), FetchError> {
        (self.say)(&format!("{}: unpacking {}", self.set.name, wanted.to));
        let mut progress = None;
        unpack::unpack(archive, wanted, self.root, &mut |step| match step {
            Step::Members(count) => progress = Some(Progress::new(wanted.to, "files", count, self.quiet)),
            Step::Done => {
                if let Some(progress) = &progress {
                    progress.add(1);
                }
            }
        })
    }

    fn failed(&self, file: &Remote, source: download::DownloadError) -> FetchError {
        let path = self.root.join(file.name());
        FetchError::Download { file: file.name(), url: self.url(file), path, source }
    }
}
