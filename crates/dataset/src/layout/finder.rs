//! Finding the file that a name means where none has exactly that name.
//!
//! Names come from other systems and other folders: with backslashes, in other letter case or another Unicode normal form,
//! from an archive unpacked into a folder of its own name, with the folder they once lay in. A file is found when it is
//! the only one that can be meant; otherwise the answer says what nearly matches. The folders are listed once, at the first
//! name that has no file.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::files;

/// Names for which similar ones are sought: each costs a look at all files.
const HINTS: usize = 20;
/// Letters in which a similar name may differ.
const DISTANCE: usize = 3;
const LISTED: usize = 3;

/// Finds files below a root.
pub(super) struct Finder {
    root: PathBuf,
    index: OnceCell<Index>,
    hints: Cell<usize>,
}

/// What a name may mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The one file, below the root.
    One(PathBuf, Likeness),
    /// No file, or more than one; in words what there is.
    No(String),
}

/// How a name and its file differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// In the normal form, blanks at the ends or the kind of slashes.
    Written,
    /// In letter case.
    Case,
    /// In the folders above: one is named twice in a row, or the name starts from the root.
    Folder,
    /// The file lies deeper, in folders that the name leaves out.
    Deeper,
    /// The name has folders more than there are.
    Shorter,
    /// In what COCO's release of 2014 puts before the number.
    Release,
    /// In zeros before a number, and perhaps in what COCO puts before those.
    Number,
}

#[derive(Default)]
struct Index {
    files: Vec<File>,
    /// By the folded stem of the name, what stands before a number aside.
    by_stem: HashMap<String, Vec<usize>>,
    /// Folders that hold images themselves, by their folded parts.
    image_folders: HashSet<Vec<String>>,
}

struct File {
    path: PathBuf,
    parts: Vec<String>,
}

/// A name that is looked for.
struct Wanted {
    /// Folders below the root that it starts from.
    folder: Vec<String>,
    name: Vec<String>,
}

impl Finder {
    pub(super) fn new(root: &Path) -> Self {
        Finder { root: root.to_owned(), index: OnceCell::new(), hints: Cell::new(0) }
    }

    /// The file that `name` means, seen from `folder`, or why there is none.
    pub(super) fn find(&self, folder: &Path, name: &[String]) -> Found {
        // What cannot be listed holds no file that could be read.
        let index = self.index.get_or_init(|| Index::of(files::below(&self.root, Path::new("")).flatten()));
        let wanted =
            Wanted { folder: parts(folder), name: name.iter().map(|part| canonical(part)).collect() };
        let candidates = index.candidates(&wanted);
        let like = |&&file: &&usize| self.likeness(index, &wanted, file).map(|likeness| (likeness, file));
        let mut fitting: Vec<(Likeness, usize)> = candidates.iter().filter_map(|file| like(&file)).collect();
        fitting.sort_unstable();
        let best: Vec<usize> =
            fitting.iter().filter(|(likeness, _)| *likeness == fitting[0].0).map(|(_, file)| *file).collect();
        match best.as_slice() {
            [] => {
                Found::No(index.near(&candidates).or_else(|| self.hint(index, &wanted)).unwrap_or_default())
            }
            [one] => Found::One(index.files[*one].path.clone(), fitting[0].0),
            several => Found::No(format!("; it may be {}: name one of them", index.listed(several, " or "))),
        }
    }

    /// How the name and a file of the same stem differ; `None` if the file is another one.
    fn likeness(&self, index: &Index, wanted: &Wanted, file: usize) -> Option<Likeness> {
        let file = &index.files[file];
        let name = wanted.with_ending_of(&file.path)?;
        let whole = [wanted.folder.as_slice(), name.as_slice()].concat();
        if file.parts == whole {
            return Some(Likeness::Written);
        }
        let (parts, whole, name) = (fold(&file.parts), fold(&whole), fold(&name));
        if parts == whole {
            return Some(Likeness::Case);
        }
        if singled(&parts) == singled(&whole) || parts == name {
            return Some(Likeness::Folder);
        }
        let deeper = |parts: &[String], name: &[String], whole: &[String]| {
            (parts.ends_with(name) || holds_in_order(parts, whole))
                && !index.image_folders.contains(&whole[..whole.len() - 1])
        };
        if deeper(&parts, &name, &whole) {
            return Some(Likeness::Deeper);
        }
        if let Some(dropped) = self.dropped(wanted, &parts, &name) {
            return (!self.root.join(dropped).is_dir()).then_some(Likeness::Shorter);
        }
        let (last, own) = (parts.last()?, name.last()?);
        if last != own && unprefixed(last) == unprefixed(own) {
            return Some(Likeness::Release);
        }
        let [parts, whole, name] = [parts, whole, name].map(numbered);
        (parts == whole || deeper(&parts, &name, &whole)).then_some(Likeness::Number)
    }

    /// The folders of the name that the file's path lacks, where it is the rest of the name.
    fn dropped(&self, wanted: &Wanted, parts: &[String], name: &[String]) -> Option<PathBuf> {
        let in_folder = parts.strip_prefix(fold(&wanted.folder).as_slice());
        let rest = [Some(parts), in_folder]
            .into_iter()
            .flatten()
            .find(|rest| !rest.is_empty() && name.ends_with(rest))?;
        Some(wanted.folder.iter().chain(&wanted.name[..name.len() - rest.len()]).collect())
    }

    /// Names that differ in a few letters, though not in digits: numbers tell images apart.
    fn hint(&self, index: &Index, wanted: &Wanted) -> Option<String> {
        if self.hints.replace(self.hints.get() + 1) >= HINTS {
            return None;
        }
        let name = wanted.name.last()?.to_lowercase();
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let like = |file: &File| {
            let other = file.parts.last()?.to_lowercase();
            let near = other.len().abs_diff(name.len()) <= DISTANCE && digits(&other) == digits(&name);
            let distance = near.then(|| strsim::osa_distance(&other, &name))?;
            (distance <= DISTANCE.min(name.len() / 4)).then_some(distance)
        };
        let best = index.files.iter().enumerate().filter_map(|(number, file)| Some((like(file)?, number)));
        best.min().map(|(_, number)| format!("; a like name is {}", index.listed(&[number], "")))
    }
}

impl Index {
    fn of(paths: impl Iterator<Item = PathBuf>) -> Index {
        let mut index = Index::default();
        for path in paths {
            // A name that is no text cannot be meant by one.
            if path.to_str().is_none() {
                continue;
            }
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            index.by_stem.entry(stem_key(&stem)).or_default().push(index.files.len());
            let parts = parts(&path);
            if let Some((_, folder)) = parts.split_last().filter(|_| files::is_image_name(&path)) {
                index.image_folders.insert(fold(folder));
            }
            index.files.push(File { parts, path });
        }
        index
    }

    /// The files of the name's stem; a name without an ending may be a stem itself.
    fn candidates(&self, wanted: &Wanted) -> Vec<usize> {
        let Some(name) = wanted.name.last() else { return vec![] };
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        let mut found = self.by_stem.get(&stem_key(&stem)).cloned().unwrap_or_default();
        if *stem != **name {
            found.extend(self.by_stem.get(&stem_key(name)).into_iter().flatten());
        }
        found.sort_unstable();
        found
    }

    /// Images of the same stem, in words.
    fn near(&self, candidates: &[usize]) -> Option<String> {
        let image = |&&file: &&usize| files::is_image_name(&self.files[file].path);
        let images: Vec<usize> = candidates.iter().filter(image).copied().collect();
        (!images.is_empty()).then(|| format!("; there is {}", self.listed(&images, " and ")))
    }

    fn listed(&self, files: &[usize], between: &str) -> String {
        let names: Vec<String> =
            files.iter().take(LISTED).map(|&file| self.files[file].path.display().to_string()).collect();
        names.join(between) + if files.len() > LISTED { ", …" } else { "" }
    }
}

impl Wanted {
    /// The name, with the ending of a file that can only be an image if it has none of its own.
    fn with_ending_of(&self, file: &Path) -> Option<Vec<String>> {
        let last = self.name.last()?;
        let stem = file.file_stem()?.to_str()?;
        if !files::is_image_name(Path::new(last))
            && stem_key(stem) == stem_key(last)
            && files::is_image_name(file)
        {
            let mut name = self.name.clone();
            *name.last_mut()? = format!("{last}.{}", file.extension()?.to_str()?);
            return Some(name);
        }
        Some(self.name.clone())
    }
}

/// The parts of a name with slashes of any kind, without `.`; `None` if it climbs above its start.
pub(super) fn split(name: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for part in name.split(['/', '\\']).filter(|part| !part.trim().is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part.to_owned());
        }
    }
    Some(parts)
}

/// Whether two names differ in no more than letter case, normal form and the kind of slashes.
pub(super) fn alike(a: &str, b: &str) -> bool {
    split(a).map(|parts| fold(&parts)) == split(b).map(|parts| fold(&parts))
}

/// The parts of a path in their canonical form.
fn parts(path: &Path) -> Vec<String> {
    path.iter().map(|part| canonical(&part.to_string_lossy())).collect()
}

/// One normal form, without blanks at the ends.
fn canonical(part: &str) -> String {
    part.trim().nfc().collect()
}

fn fold(parts: &[String]) -> Vec<String> {
    parts.iter().map(|part| fold_part(part)).collect()
}

/// One normal form, in small letters, without blanks at the ends.
pub(super) fn fold_part(part: &str) -> String {
    part.trim().nfc().collect::<String>().to_lowercase()
}

/// Whether `parts` are those of `fewer`, with others before the last.
fn holds_in_order(parts: &[String], fewer: &[String]) -> bool {
    let mut parts = parts.iter();
    fewer.iter().all(|part| parts.any(|other| other == part)) && parts.next().is_none()
}

/// Without a part that repeats the one before it.
fn singled(parts: &[String]) -> Vec<&String> {
    let mut parts: Vec<&String> = parts.iter().collect();
    parts.dedup();
    parts
}

fn stem_key(stem: &str) -> String {
    number(&fold_part(stem)).to_owned()
}

/// The parts with no more of the last than its number, where it is one.
fn numbered(mut parts: Vec<String>) -> Vec<String> {
    if let Some(last) = parts.last_mut() {
        *last = number(last).to_owned();
    }
    parts
}

/// A folded name from its number on, where nothing else but COCO's prefix stands before its ending.
fn number(name: &str) -> &str {
    let rest = unprefixed(name);
    let stem = rest.split('.').next().unwrap_or_default();
    let digits = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit());
    // A number has one digit at least.
    let zeros = stem.bytes().take_while(|&byte| byte == b'0').count().min(stem.len().saturating_sub(1));
    if digits { &rest[zeros..] } else { rest }
}

/// A folded name without COCO's `coco_train2014_`, before twelve digits.
fn unprefixed(name: &str) -> &str {
    let rest = ["train", "val", "test"].into_iter().find_map(|split| {
        let rest = name.strip_prefix("coco_")?.strip_prefix(split)?;
        rest.strip_prefix("2014_").or_else(|| rest.strip_prefix("2015_"))
    });
    rest.filter(|rest| rest.len() >= 12 && rest.as_bytes()[..12].iter().all(u8::is_ascii_digit))
        .unwrap_or(name)
}
