//! Captions → vocabulary and token ids.
//!
//! Words are what the metrics count: the tokenizer is theirs (lower case, Penn Treebank rules, no punctuation), so a
//! model is trained on exactly the tokens that it will be scored on. This is the one place where people's captions become
//! words: later stages read the words that are stored beside the ids. The vocabulary comes from train captions only.

mod suspicion;
mod vocabulary;

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use artifacts::captions::CaptionRow;
use artifacts::images::{ImageRow, Images};
use artifacts::preview::Preview;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::{SPECIAL, UNK, Vocabulary};
use artifacts::{Manifest, Parts, Recipe, Split, captions, images, table, tokens};
use metrics::tokenize::caption_tokens;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use stage::guard::{Making, Work};
use stage::{Context, Outcome, Stage};

use suspicion::Suspicion;
use vocabulary::Counts;

const SCHEMA_VERSION: u32 = 4;

/// Settings of the `text` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Words that occur less often in the train captions become `<unk>`.
    pub min_count: u32,
    /// Captions are cut after this many words.
    pub max_length: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { min_count: 5, max_length: 30 }
    }
}

/// The stage `text`: captions to `vocabulary.json` and `tokens/part-*.parquet`.
pub struct Text;

impl Stage for Text {
    const NAME: &'static str = "text";
    const ABOUT: &'static str = "Turns captions into a vocabulary and token ids";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        let problem = (settings.max_length == 0).then_some(("max_length", "must be at least 1"));
        Ok(context.refuse_any::<Self, _>(problem)?)
    }

    fn foresee(settings: &Settings, context: &Context, preview: &Preview) -> anyhow::Result<()> {
        let mut counts = Counts::default();
        for caption in preview.captions(Split::Train) {
            counts.add(kept(&caption_tokens(caption), settings));
        }
        vocabulary_of(counts, settings, context).map(|_| ())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let dataset = Captioned::open(context)?;
        let recipe = Recipe::new(Self::NAME, SCHEMA_VERSION, settings)?
            .input(format!("dataset/{}", images::FOLDER), dataset.images.hash())
            .input(format!("dataset/{}", captions::FOLDER), dataset.captions.hash());
        let made = context.guard(Self::NAME, context.folder.text(), recipe, Making::Anew, |work| {
            encode(&dataset, settings, context, work)
        })?;
        Ok(vec![made])
    }
}

/// The words of a caption that are learnt.
fn kept<'a>(words: &'a [String], settings: &Settings) -> &'a [String] {
    &words[..words.len().min(settings.max_length)]
}

/// The vocabulary of the train captions, which must keep some word.
fn vocabulary_of(counts: Counts, settings: &Settings, context: &Context) -> anyhow::Result<Vocabulary> {
    let most = counts.most();
    let vocabulary = counts.vocabulary(settings.min_count)?;
    if vocabulary.len() == SPECIAL.len() {
        let reason = match most {
            0 => "the train captions hold no word".to_owned(),
            _ => format!("keeps no word: the commonest one of the train captions occurs {most} times"),
        };
        return Err(context.refuse::<Text>("min_count", reason).into());
    }
    Ok(vocabulary)
}

/// Reads the captions twice: to count their words, and to write them as ids. A part of them is in memory at a time.
fn encode(
    dataset: &Captioned,
    settings: &Settings,
    context: &Context,
    mut work: Work,
) -> anyhow::Result<Manifest> {
    let (mut counts, mut suspicion) = (Counts::default(), Suspicion::default());
    for part in 0..dataset.parts() {
        for row in dataset.read(part)?.iter().filter(|row| row.split == Split::Train) {
            counts.add(kept(&row.words, settings));
            suspicion.add(&row.words);
        }
    }
    let vocabulary = vocabulary_of(counts, settings, context)?;
    artifacts::atomic::write_json(&work.path(artifacts::vocabulary::FILE), &vocabulary)
        .context("cannot write the vocabulary")?;
    let mut files = vec![artifacts::vocabulary::FILE.to_owned()];
    let (mut tallies, mut captions, mut notes) = (Tallies::default(), 0, Vec::new());
    for part in 0..dataset.parts() {
        let mut rows = dataset.read(part)?;
        for row in &mut rows {
            if row.split == Split::Train {
                suspicion.recount(&row.words);
                tallies.train_words.add(&row.words, &vocabulary);
            }
            let subject = || format!("caption {} of image {}", row.caption_id, row.image_id);
            let words = kept(&row.words, settings);
            if words.is_empty() {
                notes.push((subject(), "not trained on: no word is left without punctuation".to_owned()));
                continue;
            }
            if words.len() < row.words.len() {
                notes.push((subject(), format!("cut from {} to {} words", row.words.len(), words.len())));
            }
            row.ids = vocabulary.encode(words);
            row.length = row.ids.len() as u32;
            tallies.ids.entry(row.split).or_default().add_ids(&row.ids);
        }
        captions += rows.len();
        let file = format!("{}/{}", tokens::FOLDER, dataset.file_name(part));
        table::write(&work.path(&file), &rows, work.recipe(), &[])?;
        files.push(file);
        notes.drain(..).for_each(|(subject, reason)| work.warn(subject, reason));
    }
    let words = vocabulary.len() - SPECIAL.len();
    if let Some(reason) =
        suspicion::of_vocabulary(words, tallies.train_words.unknown_share(), settings.min_count)
    {
        work.warn_first("the vocabulary", reason);
    }
    // What is true of all captions stands before what is true of one.
    for reason in suspicion.said().into_iter().rev() {
        work.warn_first("the train captions", reason);
    }
    let mut summary = Map::new();
    summary.insert("vocabulary".to_owned(), json!(vocabulary.len()));
    for (split, tally) in &tallies.ids {
        summary.insert(format!("unknown_share_{split}"), json!(tally.unknown_share()));
    }
    context.note(&format!("  {captions} captions, {} vocabulary entries", vocabulary.len()));
    Ok(work.finish(&files, summary)?)
}

/// How much of the text the vocabulary does not know.
#[derive(Default)]
struct Tallies {
    /// Of all words of the train captions.
    train_words: Tally,
    /// Of what is written as ids.
    ids: BTreeMap<Split, Tally>,
}

#[derive(Default)]
struct Tally {
    unknown: usize,
    all: usize,
}

impl Tally {
    fn add(&mut self, words: &[String], vocabulary: &Vocabulary) {
        self.all += words.len();
        self.unknown += words.iter().filter(|word| vocabulary.id(word) == UNK).count();
    }

    fn add_ids(&mut self, ids: &[u32]) {
        self.all += ids.len();
        self.unknown += ids.iter().filter(|&&id| id == UNK).count();
    }

    fn unknown_share(&self) -> f64 {
        self.unknown as f64 / self.all.max(1) as f64
    }
}

/// The captions of a dataset with the splits of their images.
struct Captioned {
    images: Parts<ImageRow>,
    captions: Parts<CaptionRow>,
}

impl Captioned {
    fn open(context: &Context) -> anyhow::Result<Captioned> {
        let dataset = context.folder.dataset();
        let (images, captions) = (Images::open(&dataset)?.parts, captions::open(&dataset)?);
        anyhow::ensure!(
            images.files().count() == captions.files().count(),
            "the dataset's images and captions have not the same parts: run the dataset stage again"
        );
        Ok(Captioned { images, captions })
    }

    fn parts(&self) -> usize {
        self.captions.files().count()
    }

    /// The file name of a part.
    fn file_name(&self, part: usize) -> &str {
        let file = self.captions.files().nth(part).unwrap_or_default();
        file.rsplit('/').next().unwrap_or_default()
    }

    /// The captions of a part with their words, not yet encoded.
    fn read(&self, part: usize) -> anyhow::Result<Vec<TokenRow>> {
        let mut splits: HashMap<String, Split> = HashMap::new();
        for image in self.images.rows_of_part(part) {
            let image = image?;
            splits.insert(image.image_id, image.split);
        }
        let rows: Vec<CaptionRow> = self.captions.rows_of_part(part).collect::<Result<_, _>>()?;
        let row = |row: CaptionRow| {
            let split = *splits.get(&row.image_id).with_context(|| {
                format!(
                    "{} names image {}, the images of that part do not: run the dataset stage again",
                    self.file_name(part),
                    row.image_id
                )
            })?;
            let words = caption_tokens(&row.caption);
            let CaptionRow { image_id, caption_id, .. } = row;
            Ok(TokenRow { image_id, caption_id, split, words, ids: vec![], length: 0 })
        };
        rows.into_par_iter().map(row).collect()
    }
}
