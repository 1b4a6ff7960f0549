//! Captions → vocabulary and token ids.
//!
//! Words are what the metrics count: the tokenizer is theirs (lower case, Penn Treebank rules, no punctuation), so a
//! model is trained on exactly the tokens that it will be scored on. The vocabulary comes from train captions only.

mod vocabulary;

use std::collections::HashMap;

use anyhow::Context as _;
use artifacts::cli::{Context, Outcome, Stage};
use artifacts::images::Images;
use artifacts::stage::Work;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::{SPECIAL, UNK};
use artifacts::{Manifest, Recipe, Split, captions, images, table, tokens};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

const SCHEMA_VERSION: u32 = 1;

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

/// The stage.
pub struct Text;

impl Stage for Text {
    const NAME: &'static str = "text";
    const ABOUT: &'static str = "Turns captions into a vocabulary and token ids";
    type Settings = Settings;

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let dataset = context.folder.dataset();
        let upstream = Manifest::read(&dataset)?;
        let recipe = Recipe::new(Self::NAME, SCHEMA_VERSION, settings)?
            .input(format!("dataset/{}", images::FILE), upstream.hash_of(&dataset, images::FILE)?)
            .input(format!("dataset/{}", captions::FILE), upstream.hash_of(&dataset, captions::FILE)?);
        let made = context
            .guard(Self::NAME, context.folder.text(), recipe, |work| encode(settings, context, work))?;
        Ok(vec![made])
    }
}

/// One caption on its way from sentence to ids.
struct Caption {
    row: captions::CaptionRow,
    split: Split,
    words: Vec<String>,
}

fn encode(settings: &Settings, context: &Context, mut work: Work) -> anyhow::Result<Manifest> {
    let captions = read_captions(settings, context, &mut work)?;
    let train = captions.iter().filter(|caption| caption.split == Split::Train);
    let vocabulary = vocabulary::build(train.map(|caption| caption.words.as_slice()), settings.min_count)?;
    anyhow::ensure!(
        vocabulary.len() > SPECIAL.len(),
        "no word occurs {} times in the train captions: lower text.min_count",
        settings.min_count
    );
    let rows: Vec<TokenRow> = captions
        .into_iter()
        .map(|Caption { row, split, words }| {
            let ids = vocabulary.encode(&words);
            let length = ids.len() as u32;
            TokenRow { image_id: row.image_id, caption_id: row.caption_id, split, ids, length }
        })
        .collect();
    artifacts::atomic::write_json(&work.path(artifacts::vocabulary::FILE), &vocabulary)
        .context("cannot write the vocabulary")?;
    table::write(&work.path(tokens::FILE), &rows, work.recipe(), &[])?;
    let mut summary = Map::new();
    summary.insert("vocabulary".to_owned(), json!(vocabulary.len()));
    for split in [Split::Train, Split::Val, Split::Test] {
        let ids = || rows.iter().filter(|row| row.split == split).flat_map(|row| &row.ids);
        let unknown = ids().filter(|&&id| id == UNK).count();
        if ids().next().is_some() {
            summary.insert(format!("unknown_share_{split}"), json!(unknown as f64 / ids().count() as f64));
        }
    }
    context.note(&format!("  {} captions, {} vocabulary entries", rows.len(), vocabulary.len()));
    Ok(work.finish(&[artifacts::vocabulary::FILE, tokens::FILE], summary)?)
}

fn read_captions(settings: &Settings, context: &Context, work: &mut Work) -> anyhow::Result<Vec<Caption>> {
    let dataset = context.folder.dataset();
    let images = Images::read(&dataset)?;
    let splits: HashMap<&str, Split> =
        images.rows.iter().map(|image| (image.image_id.as_str(), image.split)).collect();
    let (rows, _) = table::read::<captions::CaptionRow>(&dataset.join(captions::FILE))?;
    let mut captions = Vec::with_capacity(rows.len());
    for row in rows {
        let split = *splits.get(row.image_id.as_str()).with_context(|| {
            format!(
                "captions.parquet names image {}, images.parquet does not: run the dataset stage again",
                row.image_id
            )
        })?;
        let mut words = metrics::tokenize::caption_tokens(&row.caption);
        let subject = format!("caption {} of image {}", row.caption_id, row.image_id);
        if words.is_empty() {
            work.warn(subject, "skipped: no word is left without punctuation");
            continue;
        }
        if words.len() > settings.max_length {
            work.warn(subject, format!("cut from {} to {} words", words.len(), settings.max_length));
            words.truncate(settings.max_length);
        }
        captions.push(Caption { row, split, words });
    }
    Ok(captions)
}
