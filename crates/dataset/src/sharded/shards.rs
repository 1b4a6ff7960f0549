//! Which shards a dataset has, and what is known of each before it is read.

use std::collections::BTreeMap;

use artifacts::Split;
use artifacts::recipe::digest;
use images::ImageSource;
use store::{Entry, Folder, StoreError, is_address};

use crate::layout::split_name;
use crate::settings::Kind;

/// Shards that an error names.
const SHOWN: usize = 5;
/// How the names of what img2dataset leaves beside a shard end.
const TABLE: &str = ".parquet";
const STATS: &str = "_stats.json";
/// Most names that one pattern stands for.
const MOST_NAMES: u64 = 1_000_000;

/// Shards that cannot be found, or not be used together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The file system or the store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No shard is there.
    #[error("{root}: no {ending} file here{hint}")]
    None {
        /// The dataset's place.
        root: String,
        /// How shards would end.
        ending: &'static str,
        /// What is there instead, and what to do.
        hint: String,
    },
    /// A pattern that names nothing.
    #[error(
        "{root}: {{FIRST..LAST}} stands for numbered names, as in {{00000..00331}}, the first not above the last"
    )]
    Pattern {
        /// The dataset's place as written.
        root: String,
    },
    /// Some shards are of a split, others are not.
    #[error("{root}: {with} is named after a split, {without} is not; name all of them so or none")]
    SomeSplits {
        /// The dataset's place.
        root: String,
        /// A shard whose name says its split.
        with: String,
        /// A shard whose name does not.
        without: String,
    },
    /// Shards that img2dataset did not write to their end.
    #[error(
        "{root}: {names}: without the _stats.json that img2dataset writes last; run img2dataset again, which goes on where it \
         stopped, or remove them"
    )]
    Unfinished {
        /// The dataset's place.
        root: String,
        /// Their names, separated by commas.
        names: String,
    },
}

/// The shards of a dataset, in order.
pub(crate) struct Shards {
    /// Where their names start from.
    pub(crate) root: String,
    pub(crate) source: ImageSource,
    pub(crate) files: Vec<Shard>,
    /// Whether the names of the shards say the splits.
    pub(crate) splits_given: bool,
    /// The split that all names say, so that they tell nothing apart.
    pub(crate) only_split: Option<Split>,
}

/// One file of samples.
pub(crate) struct Shard {
    pub(crate) number: usize,
    /// Below the root.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// What its name says, where the names of all tell splits apart.
    pub(crate) split: Option<Split>,
    /// Changes when it, or what lies beside it, does.
    pub(crate) stamp: String,
    /// img2dataset's table of what it was to fetch.
    pub(crate) table: Option<String>,
    /// img2dataset's count of what it fetched.
    pub(crate) stats: Option<String>,
}

impl Shard {
    /// Where it lies, for people.
    pub(crate) fn place(&self, source: &ImageSource) -> String {
        source.folder().place_of(&self.name)
    }
}

impl Shards {
    /// The shards at `root`: a folder, a pattern of names (`shards/{00000..00331}.tar`), or one file, of this machine or in a store.
    ///
    /// # Errors
    /// No shard is there, they do not fit together, or the place cannot be read.
    pub(crate) fn find(root: &str, kind: Kind) -> Result<Shards, ShardError> {
        let ending = kind.ending();
        let (place, names) = match expand(root)? {
            Some((place, names)) => (place, Some(names)),
            None if root.ends_with(&format!(".{ending}")) && is_file(root) => {
                let (place, name) = cut(root);
                (place, Some(vec![name]))
            }
            None => (root.to_owned(), None),
        };
        let folder = Folder::open(&place)?;
        let entries = match &names {
            Some(names) => named(&folder, names, ending)?,
            None => folder.list()?,
        };
        let by_name: BTreeMap<&str, &Entry> =
            entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let files = entries.iter().filter(|entry| is_shard(&entry.name, ending));
        let mut shards: Vec<Shard> = Vec::new();
        for (number, entry) in files.enumerate() {
            let stem = &entry.name[..entry.name.len() - ending.len() - 1];
            let beside = |end: &str| by_name.get(format!("{stem}{end}").as_str()).copied();
            let table = beside(TABLE).filter(|_| kind == Kind::WebDataset);
            let stats = beside(STATS);
            let stamps = [Some(entry), table, stats].into_iter().flatten().map(|entry| entry.stamp.as_str());
            shards.push(Shard {
                number,
                name: entry.name.clone(),
                size: entry.size,
                split: split_of(stem),
                stamp: stamps.collect::<Vec<_>>().join("\n"),
                table: table.map(|entry| entry.name.clone()),
                stats: stats.map(|entry| entry.name.clone()),
            });
        }
        if shards.is_empty() {
            return Err(ShardError::None { root: root.to_owned(), ending, hint: hint(&entries, kind) });
        }
        refuse_unfinished(root, &shards)?;
        let (splits_given, only_split) = splits(root, &mut shards)?;
        let source = ImageSource::of(folder);
        Ok(Shards { root: place, source, files: shards, splits_given, only_split })
    }

    /// Changes when a shard does, or when one comes or goes.
    pub(crate) fn stamp(&self) -> String {
        let lines = self.files.iter().map(|shard| format!("{} {}\n", shard.name, shard.stamp));
        digest(lines.collect::<String>().as_bytes())
    }
}

/// Whether a name is that of a shard; what begins with `_`, or lies in a folder that does, engines have left.
fn is_shard(name: &str, ending: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    !name.split('/').any(|part| part.starts_with('_'))
        && file.strip_suffix(ending).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'))
}

/// Whether a place is a file: of an address its ending says so.
fn is_file(root: &str) -> bool {
    is_address(root) || std::path::Path::new(root).is_file()
}

/// A file's folder and its name there.
fn cut(path: &str) -> (String, String) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((folder, name)) => (folder.to_owned(), name.to_owned()),
        None => (".".to_owned(), path.to_owned()),
    }
}

/// The names that `{00000..00331}` stands for, as WebDataset writes many shards, and the folder that they lie in.
fn expand(root: &str) -> Result<Option<(String, Vec<String>)>, ShardError> {
    let refused = || ShardError::Pattern { root: root.to_owned() };
    let Some((before, rest)) = root.split_once('{') else { return Ok(None) };
    let (range, after) = rest.split_once('}').ok_or_else(refused)?;
    let (first, last) = range.split_once("..").ok_or_else(refused)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| refused());
    let numbers = number(first)?..=number(last)?;
    if numbers.is_empty() || numbers.end() - numbers.start() >= MOST_NAMES || after.contains(['/', '{']) {
        return Err(refused());
    }
    let (folder, start) = cut(before);
    let width = first.len();
    Ok(Some((folder, numbers.map(|number| format!("{start}{number:0width$}{after}")).collect())))
}

/// What a store says of files whose names are known, and of what img2dataset may have left beside them; a file that is not there is an
/// error.
fn named(folder: &Folder, names: &[String], ending: &str) -> Result<Vec<Entry>, ShardError> {
    use rayon::prelude::*;
    let entry = |name: &str| {
        let blob = folder.blob(name)?;
        Ok(Entry { name: name.to_owned(), size: blob.size(), stamp: blob.stamp().to_owned() })
    };
    let with_companions = |name: &String| {
        let mut entries = vec![entry(name)?];
        let stem = name.strip_suffix(ending).and_then(|name| name.strip_suffix('.')).unwrap_or(name);
        for companion in
            [TABLE, STATS].map(|end| format!("{stem}{end}")).iter().filter(|other| *other != name)
        {
            match entry(companion) {
                Ok(companion) => entries.push(companion),
                // A store that does not list tells nobody what is not there.
                Err(StoreError::NotFound { .. } | StoreError::Denied { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    };
    // All are asked, so that of several that are missing the first is named.
    let entries: Vec<Result<Vec<Entry>, ShardError>> = names.par_iter().map(with_companions).collect();
    Ok(entries.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The split that the name of a shard, or of a folder that it lies in, says.
fn split_of(stem: &str) -> Option<Split> {
    let (folders, file) = stem.rsplit_once('/').unwrap_or(("", stem));
    split_name::within(file).or_else(|| folders.split('/').rev().find_map(split_name::of))
}

/// Whether the names of the shards tell splits apart, and otherwise the one that all of them say.
fn splits(root: &str, shards: &mut [Shard]) -> Result<(bool, Option<Split>), ShardError> {
    let first = shards[0].split;
    if shards.iter().all(|shard| shard.split == first) {
        shards.iter_mut().for_each(|shard| shard.split = None);
        return Ok((false, first));
    }
    let of = |is: fn(&Option<Split>) -> bool| shards.iter().find(|shard| is(&shard.split));
    match (of(Option::is_some), of(Option::is_none)) {
        (Some(with), Some(without)) => Err(ShardError::SomeSplits {
            root: root.to_owned(),
            with: with.name.clone(),
            without: without.name.clone(),
        }),
        _ => Ok((true, None)),
    }
}

fn refuse_unfinished(root: &str, shards: &[Shard]) -> Result<(), ShardError> {
    if shards.iter().all(|shard| shard.stats.is_none()) {
        return Ok(());
    }
    let without: Vec<&str> =
        shards.iter().filter(|shard| shard.stats.is_none()).map(|shard| shard.name.as_str()).collect();
    if without.is_empty() {
        return Ok(());
    }
    let more = without.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = without[..without.len().min(SHOWN)].join(", ");
    Err(ShardError::Unfinished { root: root.to_owned(), names: format!("{names}{more}") })
}

/// What to do where no shard is found.
fn hint(entries: &[Entry], kind: Kind) -> String {
    let any = |end: &str| entries.iter().any(|entry| entry.name.ends_with(end));
    match kind {
        Kind::WebDataset if any(".tar.gz") || any(".tgz") => {
            "; its archives are packed, and members of packed ones cannot be read one by one: unpack them to .tar".to_owned()
        }
        Kind::WebDataset if any(".parquet") => "; for Parquet files use layout = \"parquet\"".to_owned(),
        Kind::Parquet if any(".tar") => "; for tar archives use layout = \"webdataset\"".to_owned(),
        _ => String::new(),
    }
}
