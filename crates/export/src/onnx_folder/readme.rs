//! The text for people: what the model is, a program that captions with it, and how it scored.

use anyhow::Context;
use model::captioner_file::CaptionerFile;
use model::search::SearchSettings;
use onnx::WeightFormat;
use scoring::ScoreFile;
use serde_json::Value;

use crate::{about, scores};

/// Captions a photo by the files of the folder alone.
const PROGRAM: &str = include_str!("caption.py");

/// The text.
///
/// # Errors
///
/// When the captioner's scores are not those of this program.
pub(super) fn text(captioner: &CaptionerFile, weights: WeightFormat) -> anyhow::Result<String> {
    let header = &captioner.header;
    let scores = scores_in(&header.scores).context("the captioner's scores: export it again")?;
    let rounded = match weights {
        WeightFormat::Int8 => {
            "\nThe two networks hold their weights in bytes, with a scale for each output channel, and compute in single precision; \
             the scores are those from before they were rounded.\n"
        }
        WeightFormat::Exact if captioner.holds_halves() => {
            "\nThe model was exported in half precision before; the scores are those from before it was rounded.\n"
        }
        WeightFormat::Exact => "",
    };
    Ok(format!(
        "# {name}\n\n\
         {about} The captions are made of {words} words.\n\n\
         | file | what |\n|---|---|\n\
         | `encoder.onnx` | a photo's normalised pixels → what the decoder must know of it, and its state before the first word |\n\
         | `decoder.onnx` | that, the state and the last word of each hypothesis → log-probabilities of the next word, and the \
         next state |\n\
         | `vocabulary.json` | the words in the order of their ids |\n\
         | `settings.json` | how a photo becomes pixels, how captions are searched, what goes in and out of the two networks |\n\
         | `index.html`, `caption.js` | a page that captions in the browser |\n\n\
         ## Use\n\n\
         This program captions a photo. It needs `pip install \"onnxruntime<1.29\" numpy pillow` (ONNX Runtime's wheels from 1.29 on \
         hold telemetry). Saved in this folder as `caption.py`, it is run here as `python caption.py photo.jpg`.\n\n\
         ```python\n{PROGRAM}```\n{search}\n\
         ## In a browser\n\n\
         The page needs ONNX Runtime Web in the folder `ort` beside it: `scripts/get-onnxruntime-web.sh` of the repository puts it \
         there. Any server of plain files will do: run `python -m http.server` here and open <http://localhost:8000>. Photos do not \
         leave the browser.\n\n\
         ## Scores\n\n\
         {scores}{rounded}\n\
         ## Licence\n\n\
         {license}. The photos and captions that the model learnt from have licences of their own.\n",
        name = header.name,
        about = about::sentence(header),
        words = header.vocabulary.len(),
        search = beyond(&header.search),
        scores = scores::table(&scores, "its dataset"),
        license = about::LICENSE,
    ))
}

/// What the program leaves out of a search, where the settings ask for it.
fn beyond(search: &SearchSettings) -> String {
    let wanted = [("groups", search.groups > 1), ("consensus", search.consensus > 0.0)];
    let names: Vec<String> =
        wanted.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| format!("`{name}`")).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "\nIts beam search is a plain one: it leaves {} of `settings.json` out, so captions may differ from those that were \
         scored.\n",
        names.join(" and ")
    )
}

/// The scores of a captioner, whose header says elsewhere what else `scores.json` holds.
fn scores_in(header: &Value) -> serde_json::Result<ScoreFile> {
    let mut scores = header.clone();
    if let Some(scores) = scores.as_object_mut() {
        scores.entry("details").or_insert(Value::Null);
    }
    serde_json::from_value(scores)
}
