//! Captions → vocabulary and token ids.
//!
//! Words are what the metrics count: the tokenizer is theirs (lower case, Penn Treebank rules, no punctuation), so a
//! model is trained on exactly the tokens that it will be scored on. This is the one place where people's captions become
//! words: later stages read the words that are stored beside the ids. The vocabulary comes from train captions only.

mod suspicion;
mod vocabulary;

use std::collections::HashMap;

use anyhow::Context as _;
use artifacts::captions::CaptionRow;
use artifacts::images::Images;
use artifacts::preview::Preview;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::{SPECIAL, UNK, Vocabulary};
use artifacts::{Manifest, Recipe, Split, captions, images, table, tokens};
use metrics::tokenize::caption_tokens;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use stage::guard::{Making, Work};
use stage::{Context, Outcome, Stage};

const SCHEMA_VERSION: u32 = 3;

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

/// The stage `text`: captions to `vocabulary.json` and `tokens.parquet`.
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
        let train: Vec<Vec<String>> = preview.captions(Split::Train).map(caption_tokens).collect();
        vocabulary_of(train.iter().map(Vec::as_slice), settings, context).map(|_| ())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let dataset = context.folder.dataset();
        let upstream = Manifest::read(&dataset)?;
        let recipe = Recipe::new(Self::NAME, SCHEMA_VERSION, settings)?
            .input(format!("dataset/{}", images::FILE), upstream.hash_of(&dataset, images::FILE)?)
            .input(format!("dataset/{}", captions::FILE), upstream.hash_of(&dataset, captions::FILE)?);
        let made = context.guard(Self::NAME, context.folder.text(), recipe, Making::Anew, |work| {
            encode(settings, context, work)
        })?;
        Ok(vec![made])
    }
}

/// The vocabulary of the train captions, which must keep some word.
fn vocabulary_of<'a>(
    train: impl Iterator<Item = &'a [String]>,
    settings: &Settings,
    context: &Context,
) -> anyhow::Result<Vocabulary> {
    let counts = vocabulary::count(train.map(|words| &words[..words.len().min(settings.max_length)]));
    let most = counts.values().copied().max().unwrap_or(0);
    let vocabulary = vocabulary::build(counts, settings.min_count)?;
    if vocabulary.len() == SPECIAL.len() {
        let reason = match most {
            0 => "the train captions hold no word".to_owned(),
            _ => format!("keeps no word: the commonest one of the train captions occurs {most} times"),
        };
        return Err(context.refuse::<Text>("min_count", reason).into());
    }
    Ok(vocabulary)
}

fn encode(settings: &Settings, context: &Context, mut work: Work) -> anyhow::Result<Manifest> {
    let mut rows = read_captions(context)?;
    let train = rows.iter().filter(|row| row.split == Split::Train);
    let train = train.map(|row| row.words.as_slice());
    let vocabulary = vocabulary_of(train.clone(), settings, context)?;
    let unknown = {
        let ids = || train.clone().flatten().map(|word| vocabulary.id(word));
        ids().filter(|&id| id == UNK).count() as f64 / ids().count().max(1) as f64
    };
    for reason in suspicion::of_captions(train) {
        work.warn("the train captions", reason);
    }
    if let Some(reason) =
        suspicion::of_vocabulary(vocabulary.len() - SPECIAL.len(), unknown, settings.min_count)
    {
        work.warn("the vocabulary", reason);
    }
    for row in &mut rows {
        let subject = || format!("caption {} of image {}", row.caption_id, row.image_id);
        let words = &row.words[..row.words.len().min(settings.max_length)];
        if words.is_empty() {
            work.warn(subject(), "not trained on: no word is left without punctuation");
            continue;
        }
        if words.len() < row.words.len() {
            work.warn(subject(), format!("cut from {} to {} words", row.words.len(), words.len()));
        }
        row.ids = vocabulary.encode(words);
        row.length = row.ids.len() as u32;
    }
    artifacts::atomic::write_json(&work.path(artifacts::vocabulary::FILE), &vocabulary)
        .context("cannot write the vocabulary")?;
    table::write(&work.path(tokens::FILE), &rows, work.recipe(), &[])?;
    let mut summary = Map::new();
    summary.insert("vocabulary".to_owned(), json!(vocabulary.len()));
    for split in Split::ALL {
        let ids = || rows.iter().filter(|row| row.split == split).flat_map(|row| &row.ids);
        let unknown = ids().filter(|&&id| id == UNK).count();
        if ids().next().is_some() {
            summary.insert(format!("unknown_share_{split}"), json!(unknown as f64 / ids().count() as f64));
        }
    }
    context.note(&format!("  {} captions, {} vocabulary entries", rows.len(), vocabulary.len()));
    Ok(work.finish(&[artifacts::vocabulary::FILE, tokens::FILE], summary)?)
}

/// All captions with their words, not yet encoded.
fn read_captions(context: &Context) -> anyhow::Result<Vec<TokenRow>> {
    let dataset = context.folder.dataset();
    let images = Images::read(&dataset)?;
    let splits: HashMap<&str, Split> =
        images.rows.iter().map(|image| (image.image_id.as_str(), image.split)).collect();
    let (captions, _) = table::read::<CaptionRow>(&dataset.join(captions::FILE))?;
    let row = |row: CaptionRow| {
        let split = *splits.get(row.image_id.as_str()).with_context(|| {
            format!(
                "captions.parquet names image {}, images.parquet does not: run the dataset stage again",
                row.image_id
            )
        })?;
        let words = caption_tokens(&row.caption);
        let CaptionRow { image_id, caption_id, .. } = row;
        Ok(TokenRow { image_id, caption_id, split, words, ids: vec![], length: 0 })
    };
    captions.into_iter().map(row).collect()
}
