//! References and captions of any system, in the shapes that `shapes` names.
//!
//! An image id is a number or a text, and the same one either way. Captions may call an image by its id or, where the file of
//! references knows more of it, by its number in Karpathy's splits or its file.

mod shapes;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use annotations::{Id, Location, text};
use artifacts::manifest::read_promised;
use metrics::Tokens;
use metrics::tokenize::caption_tokens;

use shapes::{NAMINGS, Names, Read};

/// Images named in an error before it says "…".
const NAMED: usize = 3;

/// The references of all images, in the order of their ids as text.
pub struct ReferenceFile {
    images: Vec<Image>,
    /// Rows that are not read.
    odd: Vec<(Location, String)>,
}

struct Image {
    names: Names,
    captions: Vec<String>,
}

impl ReferenceFile {
    /// Reads a reference file.
    ///
    /// # Errors
    /// When the file is not there, has another shape, or no caption.
    pub fn read(path: &Path) -> anyhow::Result<ReferenceFile> {
        ReferenceFile::parse(path, read_promised(path)?)
    }

    /// The references that the bytes of the file at `path` hold.
    ///
    /// # Errors
    /// When they have another shape, or no caption.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> anyhow::Result<ReferenceFile> {
        let mut images: BTreeMap<String, Image> = BTreeMap::new();
        let Read { images: read, odd } = shapes::references(path, &text::decode(path, bytes)?)?;
        for (names, captions) in read {
            let Some(name) = names.iter().flatten().next().filter(|_| !captions.is_empty()) else { continue };
            let image = images.entry(name.to_string());
            image.or_insert_with(|| Image { names, captions: vec![] }).captions.extend(captions);
        }
        anyhow::ensure!(!images.is_empty(), "{}: no annotations", path.display());
        Ok(ReferenceFile { images: images.into_values().collect(), odd })
    }

    /// Leaves out the images that `captions` do not name.
    pub fn keep_named(&mut self, captions: &CaptionFile) {
        self.images.retain(|image| captions.of(image).is_some());
    }

    /// How many images there are.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// The words of every caption, `[image][caption]`.
    pub fn tokens(&self) -> Vec<Vec<Tokens>> {
        let tokens = |image: &Image| image.captions.iter().map(|text| caption_tokens(text)).collect();
        self.images.iter().map(tokens).collect()
    }

    /// What of the references moves scores, in words.
    pub fn warnings(&self) -> Vec<String> {
        let single = self.images.iter().filter(|image| image.captions.len() == 1).count();
        let empty = self
            .images
            .iter()
            .flat_map(|image| &image.captions)
            .filter(|text| caption_tokens(text).is_empty())
            .count();
        let mut warnings = unread(&self.odd);
        if single > 0 {
            warnings.push(format!(
                "{single} of {} images have a single reference: scores are lower, and not comparable with those of five",
                self.images.len()
            ));
        }
        if empty > 0 {
            warnings.push(format!("{empty} references hold no word"));
        }
        warnings
    }

    /// The naming by which most of `ids` name an image, and how many do; the ids', where several are as good.
    fn naming(&self, ids: &HashMap<Id, String>) -> (usize, usize) {
        let hits = |naming| (naming, self.ids(naming).filter(|id| ids.contains_key(id)).count());
        (0..NAMINGS).rev().map(hits).max_by_key(|(_, hits)| *hits).unwrap_or_default()
    }

    fn ids(&self, naming: usize) -> impl Iterator<Item = &Id> {
        self.images.iter().filter_map(move |image| image.names[naming].as_ref())
    }
}

/// The captions of one system as their file gives them, all of images that have references.
#[derive(Debug)]
pub struct CaptionFile {
    by_id: HashMap<Id, String>,
    /// Which of an image's names the ids are.
    naming: usize,
    /// Captions that stand in the file again.
    repeated: usize,
    /// Rows that are not read.
    odd: Vec<(Location, String)>,
}

impl CaptionFile {
    /// Reads a file of captions.
    ///
    /// # Errors
    /// When the file is not there or has another shape, and when an image has several captions or no references.
    pub fn read(path: &Path, references: &ReferenceFile) -> anyhow::Result<CaptionFile> {
        CaptionFile::parse(path, read_promised(path)?, references)
    }

    /// The captions that the bytes of the file at `path` hold.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), but for the file itself.
    pub fn parse(path: &Path, bytes: Vec<u8>, references: &ReferenceFile) -> anyhow::Result<CaptionFile> {
        let (mut by_id, mut repeated) = (HashMap::new(), 0);
        let mut several = BTreeSet::new();
        let Read { images, odd } = shapes::captions(path, &text::decode(path, bytes)?)?;
        for (id, captions) in images {
            for caption in captions {
                match by_id.get(&id) {
                    None => drop(by_id.insert(id.clone(), caption)),
                    Some(first) if *first == caption => repeated += 1,
                    Some(_) => drop(several.insert(id.to_string())),
                }
            }
        }
        refuse(path, &several, "have more than one hypothesis: keep one")?;
        let (mut naming, hits) = references.naming(&by_id);
        // Photos may have lain in another folder when they were captioned.
        if hits == 0
            && let Some(by_file) = by_file(&by_id)
        {
            naming = references.naming(&by_file).0;
            by_id = by_file;
        }
        let known: HashSet<&Id> = references.ids(naming).collect();
        let unknown = by_id.keys().filter(|id| !known.contains(id)).map(Id::to_string).collect();
        refuse(path, &unknown, "have a hypothesis but no references")?;
        Ok(CaptionFile { by_id, naming, repeated, odd })
    }

    fn of(&self, image: &Image) -> Option<&String> {
        self.by_id.get(image.names[self.naming].as_ref()?)
    }
}

/// The captions by the names of files without their folders, if that leaves each its own.
fn by_file(by_id: &HashMap<Id, String>) -> Option<HashMap<Id, String>> {
    let named = by_id.iter().map(|(id, caption)| (shapes::of_file(&id.to_string()).1, caption.clone()));
    Some(named.collect::<HashMap<Id, String>>()).filter(|by_file| by_file.len() == by_id.len())
}

/// What is said of rows that are not read.
fn unread(odd: &[(Location, String)]) -> Vec<String> {
    let first = odd
        .first()
        .map(|(at, problem)| format!("{} rows are not read, the first at {at}: {problem}", odd.len()));
    first.into_iter().collect()
}

/// The captions of one system: one for every image that has references, in their order.
#[derive(Debug)]
pub struct Hypotheses {
    captions: Vec<String>,
    repeated: usize,
    odd: Vec<String>,
}

impl Hypotheses {
    /// The captions of the file at `path`, in the order of `references`.
    ///
    /// # Errors
    /// When images are missing.
    pub fn of(path: &Path, file: &CaptionFile, references: &ReferenceFile) -> anyhow::Result<Hypotheses> {
        let missing = references.images.iter().filter(|image| file.of(image).is_none());
        let name = |image: &Image| {
            image.names[file.naming].as_ref().or(image.names.iter().flatten().next()).cloned()
        };
        let missing = missing.filter_map(name).map(|id| id.to_string()).collect();
        let problem = "have references but no hypothesis: a score over the rest would flatter; --subset scores the rest alone";
        refuse(path, &missing, problem)?;
        let captions = references.images.iter().filter_map(|image| file.of(image)).cloned().collect();
        Ok(Hypotheses { captions, repeated: file.repeated, odd: unread(&file.odd) })
    }

    /// The words of every caption.
    pub fn tokens(&self) -> Vec<Tokens> {
        self.captions.iter().map(|caption| caption_tokens(caption)).collect()
    }

    /// What of the captions moves scores, in words.
    pub fn warnings(&self) -> Vec<String> {
        let count =
            |holds: &dyn Fn(&str) -> bool| self.captions.iter().filter(|caption| holds(caption)).count();
        let special = |caption: &str| SPECIAL.iter().any(|token| caption.to_lowercase().contains(token));
        let unknown = |caption: &str| {
            caption.to_lowercase().contains("<unk>") || caption.split(' ').any(|word| word == "UNK")
        };
        let found = [
            (count(&special), "hold special tokens, which count as words: remove them"),
            (count(&unknown), "hold <unk>, which counts as a word: a system should never write it"),
            (count(&|caption: &str| caption_tokens(caption).is_empty()), "are empty and score 0"),
            (self.repeated, "stand in the file more than once, each with the same caption"),
        ];
        let found = found.into_iter().filter(|(count, _)| *count > 0);
        let found =
            found.map(|(count, what)| format!("{count} of {} hypotheses {what}", self.captions.len()));
        self.odd.iter().cloned().chain(found).collect()
    }
}

/// Marks of sequence borders that systems forget to remove.
const SPECIAL: [&str; 13] = [
    "<bos>",
    "<eos>",
    "<pad>",
    "<s>",
    "</s>",
    "<start>",
    "<end>",
    "<sos>",
    "[cls]",
    "[sep]",
    "[pad]",
    "<|endoftext|>",
    "startseq",
];

fn refuse(path: &Path, images: &BTreeSet<String>, problem: &str) -> anyhow::Result<()> {
    let named: Vec<&str> = images.iter().take(NAMED).map(String::as_str).collect();
    let more = if images.len() > NAMED { ", …" } else { "" };
    anyhow::ensure!(
        images.is_empty(),
        "{}: {} images ({}{more}) {problem}",
        path.display(),
        images.len(),
        annotations::clip(&named.join(", "))
    );
    Ok(())
}

#[cfg(test)]
mod tests;
