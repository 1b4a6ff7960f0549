//! What a conversation wants of its photos, whichever API it is held in, and what it gets.

use std::sync::Arc;

use axum::body::Bytes;
use caption::{Caption, Keyword, SampleSettings, SearchSettings, Word};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::super::json::Small;
use super::fill::fill;
use crate::app::App;
use crate::engine::{How, Request, Timing};
use crate::error::ServeError;
use crate::models::Served;
use crate::settings::{MAX_BEAMS, whole};

/// Keywords that a form is filled with at most.
const KEYWORDS: usize = 10;

/// Options that concern captions, of those that models of language have, by Ollama's names.
#[derive(Default, Deserialize)]
#[serde(expecting = "options as an object")]
pub(super) struct Options {
    /// The longest caption in words; below 1 there is no such limit.
    #[serde(rename = "num_predict")]
    pub(super) most_words: Option<Number>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    /// Captions are drawn by chance where a temperature stands beside it.
    pub(super) seed: Option<Number>,
}

/// The form of an answer.
pub(super) enum Form {
    /// The caption as it is.
    Text,
    /// An object of our own.
    Json,
    /// JSON after a schema.
    Schema(Value),
}

impl Form {
    /// Ollama's `format`: `"json"`, or a schema.
    pub(super) fn of_ollama(format: Option<Small>) -> Result<Form, ServeError> {
        match format.map(|format| format.0) {
            None | Some(Value::Null) => Ok(Form::Text),
            Some(Value::String(name)) => match name.as_str() {
                "" => Ok(Form::Text),
                "json" => Ok(Form::Json),
                other => Err(ServeError::Malformed(format!("format is json or a schema, not {other:?}"))),
            },
            Some(schema @ Value::Object(_)) => Ok(Form::Schema(schema)),
            Some(_) => Err(ServeError::Malformed("format is json or a schema, an object".to_owned())),
        }
    }

    /// OpenAI's `response_format`, or `format` of a text: `{"type": "json_schema", …}`.
    pub(super) fn of_openai(format: Option<Small>) -> Result<Form, ServeError> {
        let Some(Value::Object(mut format)) = format.map(|format| format.0) else { return Ok(Form::Text) };
        match format.get("type").and_then(Value::as_str) {
            Some("json_object") => Ok(Form::Json),
            Some("json_schema") => {
                let mut inner = match format.remove("json_schema") {
                    Some(Value::Object(inner)) => inner,
                    _ => format,
                };
                let schema = inner.remove("schema").filter(Value::is_object);
                schema.map(Form::Schema).ok_or_else(|| {
                    ServeError::Malformed("a format of json_schema has its schema, an object".to_owned())
                })
            }
            _ => Ok(Form::Text),
        }
    }
}

/// The photos that a conversation is about: those since its last answer, or before it where none came since.
#[derive(Default)]
pub(super) struct Photos {
    all: Vec<Bytes>,
    answered: bool,
}

impl Photos {
    /// Goes on by a message of some role.
    pub(super) fn add(&mut self, role: Option<&str>, photos: impl IntoIterator<Item = Bytes>) {
        self.answered |= role == Some("assistant");
        for photo in photos {
            if std::mem::take(&mut self.answered) {
                self.all.clear();
            }
            self.all.push(photo);
        }
    }

    pub(super) fn all(self) -> Vec<Bytes> {
        self.all
    }
}

/// What a conversation wants.
pub(super) struct Wish {
    pub(super) photos: Vec<Bytes>,
    pub(super) options: Options,
    pub(super) form: Form,
    /// Answers that are wanted, the best ones or so many by chance.
    pub(super) count: usize,
}

/// One answer.
pub(super) struct Said {
    pub(super) text: String,
    /// Its words with their log-probabilities, where the text is a caption.
    pub(super) words: Vec<Word>,
    /// Whether the limit of its request cut it.
    pub(super) cut: bool,
}

impl Said {
    /// The pieces in which a stream tells it.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.text.as_str();
        std::iter::from_fn(move || {
            let next = rest.char_indices().skip(1).find(|(_, c)| *c == ' ').map_or(rest.len(), |(at, _)| at);
            let (piece, after) = rest.split_at(next);
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// The answers, and what they took.
pub(super) struct Reply {
    /// At least one and at most as many as were wanted.
    pub(super) said: Vec<Said>,
    /// Regions of the photos that were looked at: what stands for the tokens of a prompt.
    pub(super) regions: usize,
    /// Words that were written.
    pub(super) words: usize,
    pub(super) timing: Timing,
}

impl Wish {
    /// Captions the photos.
    pub(super) async fn grant(self, app: &App, served: &Arc<Served>) -> Result<Reply, ServeError> {
        if self.photos.is_empty() {
            return Err(ServeError::Malformed(
                "this model describes photos: send one, as base64 or a data: address".to_owned(),
            ));
        }
        let settings = served.captioner.search_settings();
        let how = self.options.how(settings, self.count)?;
        let limited = self.options.max_length(settings) < settings.max_length;
        let keywords = if matches!(self.form, Form::Text) { 0 } else { KEYWORDS };
        let request = |bytes| Request { bytes, how: how.clone(), keywords };
        let answers = app.caption(served, self.photos.into_iter().map(request).collect()).await?;
        let mut timing = Timing::default();
        let (mut regions, mut words, mut named) = (0, 0, Vec::<Keyword>::new());
        for answer in &answers {
            timing = timing.longest(answer.timing);
            regions += answer.captioned.grid.iter().product::<usize>();
            for keyword in &answer.keywords {
                if !named.iter().any(|known| known.word == keyword.word) {
                    named.push(keyword.clone());
                }
            }
        }
        let found = answers.iter().map(|answer| answer.captioned.captions.len()).max().unwrap_or(0);
        let mut said = Vec::new();
        for number in 0..found.min(self.count) {
            // Where one photo has fewer captions than another, its last one stands for those that are missing.
            let captions: Vec<&Caption> = answers
                .iter()
                .filter_map(|answer| {
                    answer.captioned.captions.get(number).or(answer.captioned.captions.last())
                })
                .collect();
            words += captions.iter().map(|caption| caption.words.len()).sum::<usize>();
            let cut = limited && captions.iter().any(|caption| !caption.finished);
            let joined = |separator| {
                captions.iter().map(|caption| caption.caption.as_str()).collect::<Vec<_>>().join(separator)
            };
            let text = match &self.form {
                Form::Text => joined("\n"),
                Form::Json if served.captioner.names_keywords() => {
                    let words: Vec<&str> = named.iter().map(|keyword| keyword.word.as_str()).collect();
                    let label = |keyword: &Keyword| json!({ "name": keyword.word, "confidence": keyword.probability });
                    // The labels are for PhotoPrism.
                    let labels: Vec<Value> = named.iter().map(label).collect();
                    json!({ "caption": joined("; "), "keywords": words, "labels": labels }).to_string()
                }
                Form::Json => json!({ "caption": joined("; ") }).to_string(),
                Form::Schema(schema) => {
                    let filled = fill(schema, &joined("; "), &named).map_err(ServeError::Malformed)?;
                    filled.to_string()
                }
            };
            let plain = matches!(self.form, Form::Text) && captions.len() == 1;
            let words = if plain { captions[0].words.clone() } else { vec![] };
            said.push(Said { text, words, cut });
        }
        Ok(Reply { said, regions, words, timing })
    }
}

impl Options {
    /// The longest caption in words.
    fn max_length(&self, model: &SearchSettings) -> usize {
        let asked = self.most_words.as_ref().and_then(|number| whole(&Value::Number(number.clone())));
        let most = asked.filter(|words| *words > 0).map_or(model.max_length, |words| words as usize);
        most.min(model.max_length)
    }

    /// The search that they ask for, over the model's own settings.
    fn how(&self, model: &SearchSettings, count: usize) -> Result<How, ServeError> {
        let malformed = |text: String| Err(ServeError::Malformed(text));
        if !(1..=MAX_BEAMS).contains(&count) {
            return malformed(format!("{count} answers: 1 to {MAX_BEAMS} are possible"));
        }
        let max_length = self.max_length(model);
        let seed = match &self.seed {
            None => None,
            Some(seed) => match (seed.as_i64(), whole(&Value::Number(seed.clone()))) {
                (Some(seed), _) => Some(seed as u64),
                (None, Some(seed)) => Some(seed),
                _ => return malformed("seed must be a whole number".to_owned()),
            },
        };
        let chance = self.temperature.filter(|temperature| *temperature != 0.0).zip(seed);
        let Some((temperature, seed)) = chance else {
            let beams = model.beam_size.max(count).next_multiple_of(model.groups.max(1));
            let min_length = model.min_length.min(max_length);
            return Ok(How::Search(SearchSettings {
                beam_size: beams,
                max_length,
                min_length,
                ..model.clone()
            }));
        };
        let top_p = self.top_p.filter(|share| *share != 0.0).unwrap_or(1.0);
        let settings = SampleSettings { temperature, top_p, max_length };
        match settings.problem() {
            Some(problem) => malformed(problem.to_string()),
            None => Ok(How::Draw { settings, count, seed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(options: Value, count: usize) -> Result<How, String> {
        let model = SearchSettings { beam_size: 7, max_length: 20, min_length: 3, ..Default::default() };
        let options: Options = serde_json::from_value(options).unwrap();
        options.how(&model, count).map_err(|error| error.to_string())
    }

    #[test]
    fn options_bound_the_search_and_a_seed_makes_it_chance() {
        let model = SearchSettings { beam_size: 7, max_length: 20, min_length: 3, ..Default::default() };
        let search = |settings| Ok(How::Search(settings));
        assert!(how(json!({}), 1) == search(model.clone()));
        assert!(how(json!({ "temperature": 0.1, "num_predict": -1 }), 1) == search(model.clone()));
        assert!(how(json!({ "seed": 3 }), 1) == search(model.clone()));
        assert!(how(json!({ "seed": 3, "temperature": 0 }), 1) == search(model.clone()));
        assert!(how(json!({ "num_predict": 300 }), 1) == search(model.clone()));
        let short = SearchSettings { max_length: 2, min_length: 2, ..model.clone() };
        assert!(how(json!({ "num_predict": 2.0 }), 1) == search(short));
        assert!(how(json!({}), 9) == search(SearchSettings { beam_size: 9, ..model }));
        let settings = SampleSettings { temperature: 0.7, top_p: 0.9, max_length: 5 };
        let options = json!({ "seed": -1, "temperature": 0.7, "top_p": 0.9, "num_predict": 5 });
        assert!(how(options, 2) == Ok(How::Draw { settings, count: 2, seed: u64::MAX }));
        for (options, count, complaint) in [
            (json!({}), 0, "0 answers"),
            (json!({}), 33, "1 to 32"),
            (json!({ "seed": 0.5 }), 1, "seed must be a whole number"),
            (json!({ "seed": 1, "temperature": -1.0 }), 1, "temperature must be"),
            (json!({ "seed": 1, "temperature": 1, "top_p": 2 }), 1, "top_p must be"),
        ] {
            let Err(error) = how(options, count) else { panic!("{complaint}") };
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_conversation_is_about_the_photos_since_its_last_answer() {
        let about = |messages: &[(&str, &[&'static str])]| {
            let mut photos = Photos::default();
            for (role, of) in messages {
                photos.add(Some(role), of.iter().map(|photo| Bytes::from_static(photo.as_bytes())));
            }
            photos.all()
        };
        assert_eq!(about(&[("system", &[]), ("user", &["a"]), ("user", &["b"]), ("user", &[])]), ["a", "b"]);
        assert_eq!(about(&[("user", &["a"]), ("assistant", &[]), ("user", &[])]), ["a"]);
        assert_eq!(about(&[("user", &["a"]), ("assistant", &[]), ("user", &["b", "c"])]), ["b", "c"]);
    }

    #[test]
    fn pieces_make_the_text() {
        for text in ["a dog runs", "one", " a  b ", "line\ntwo words", ""] {
            let said = Said { text: text.to_owned(), words: vec![], cut: false };
            assert_eq!(said.pieces().collect::<String>(), text);
        }
        let said = Said { text: "a dog runs".to_owned(), words: vec![], cut: false };
        assert_eq!(said.pieces().collect::<Vec<_>>(), ["a", " dog", " runs"]);
    }
}
