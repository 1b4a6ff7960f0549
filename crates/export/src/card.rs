//! The card of a model: YAML for the hub, whose numbers come from `scores.json`, and what people want to know.

use metrics::Metric;
use model::captioner_file::CaptionerFile;
use serde::Serialize;

use crate::evaluated::Evaluated;
use crate::{about, scores};

/// What a card is made of.
pub(crate) struct Card<'a> {
    pub(crate) captioner: &'a CaptionerFile,
    pub(crate) model: &'a Evaluated,
    /// What it was trained on.
    pub(crate) dataset: &'a str,
}

/// The front matter, in the terms of <https://huggingface.co/docs/hub/model-cards>.
#[derive(Serialize)]
struct FrontMatter<'a> {
    language: &'a str,
    license: String,
    library_name: &'a str,
    pipeline_tag: &'a str,
    tags: Vec<&'a str>,
    datasets: Vec<String>,
    metrics: Vec<&'a str>,
    #[serde(rename = "model-index")]
    model_index: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    results: Vec<Results<'a>>,
}

#[derive(Serialize)]
struct Results<'a> {
    task: Task<'a>,
    dataset: Dataset<'a>,
    metrics: Vec<MetricEntry<'a>>,
}

#[derive(Serialize)]
struct Task<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Dataset<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: String,
    split: &'a str,
}

#[derive(Serialize)]
struct MetricEntry<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    value: f64,
    args: MetricProtocol<'a>,
}

/// Without which a score means little.
#[derive(Serialize)]
struct MetricProtocol<'a> {
    interval_95: [f64; 2],
    protocol: &'a str,
}

impl Card<'_> {
    /// The card, `README.md`.
    ///
    /// # Errors
    ///
    /// When the front matter cannot be written as YAML.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let front = serde_saphyr::to_string(&self.front_matter())?;
        Ok(format!("---\n{}\n---\n\n{}", front.trim_end(), self.body()?))
    }

    fn front_matter(&self) -> FrontMatter<'_> {
        let scores = &self.model.scores;
        let entries = scores.sheet.scores.iter().map(|(metric, value)| MetricEntry {
            kind: metric.key(),
            name: metric.name(),
            value: rounded(value),
            args: MetricProtocol {
                interval_95: scores.sheet.intervals.get(metric).unwrap_or([value; 2]).map(rounded),
                protocol: metric.protocol(),
            },
        });
        let results = Results {
            task: Task { kind: "image-to-text", name: "Image captioning" },
            dataset: Dataset {
                name: self.dataset,
                kind: slug(self.dataset),
                split: scores::split(&self.model.scores),
            },
            metrics: entries.collect(),
        };
        FrontMatter {
            language: "en",
            license: about::LICENSE.to_ascii_lowercase(),
            library_name: "image-captioning",
            pipeline_tag: "image-to-text",
            tags: vec!["image-captioning", "attention", "safetensors"],
            datasets: vec![slug(self.dataset)],
            metrics: scores.sheet.scores.metrics().map(Metric::key).collect(),
            model_index: vec![Model { name: self.model.name(), results: vec![results] }],
        }
    }

    fn body(&self) -> anyhow::Result<String> {
        let header = &self.captioner.header;
        let mut text = format!(
            "# {name}\n\n\
             {about} Trained on {dataset}; the captions are made of its {words} words.\n\n\
             ## Use\n\n\
             `model.safetensors` holds {held}. With the `image-captioning` programs built:\n\n\
             ```sh\n\
             just caption photo.jpg --model model.safetensors\n\
             just serve --model model.safetensors     # a page, HTTP and gRPC\n\
             ```\n\n\
             Captions are searched as they were when they were scored, unless told otherwise:\n\n\
             ```json\n{search}\n```\n\n\
             ## Scores\n\n{scores}",
            name = header.name,
            about = about::sentence(header),
            held = self.held(),
            dataset = self.dataset,
            words = header.vocabulary.len(),
            search = serde_json::to_string_pretty(&header.search)?,
            scores = scores::table(&self.model.scores, self.dataset),
        );
        if self.captioner.holds_halves() {
            text += "\nThe file holds numbers in half precision; the scores are those of the model before it was rounded.\n";
        }
        Ok(text)
    }
}

impl Card<'_> {
    /// What is in the file, and what is not.
    fn held(&self) -> String {
        let absent = self
            .captioner
            .named_alone()
            .map(|spec| format!("`data/weights/{}.onnx` (SHA-256 {})", spec.backbone, spec.weights_sha256));
        let absent: Vec<String> = absent.collect();
        let rest = "vocabulary, image transforms and search settings";
        if absent.is_empty() {
            return format!("everything: decoders, backbones, {rest}");
        }
        format!("decoders, {rest}. It also needs {}, which it does not hold", absent.join(" and "))
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// A name as hubs write them: `flickr8k`.
fn slug(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-")
}
