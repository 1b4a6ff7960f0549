//! Settings of the `tune` stage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::backbone::BackboneSpec;
use model::problem::{Problem, above_0, at_least, first, not_negative, share, unless, within};
use serde::{Deserialize, Serialize};

/// More passes, images in a batch, and words than anybody wants.
const MOST: usize = 1_000_000;

/// The table with a table for each backbone that is taught otherwise.
pub(crate) const FOR: &str = "for";

/// What tuning minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// Cross-entropy of each word with the share of an image's captions that hold it.
    #[default]
    Words,
    /// That, and the cross-entropy of the captions through the decoder of `start_from`, which learns on beside the network.
    Captions,
}

/// Settings of the `tune` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What backbones are taught.
    #[serde(flatten)]
    pub lesson: Lesson,
    /// What a backbone of this name is taught otherwise: any of the settings from `start_from` to `head_learning_rate`.
    #[serde(rename = "for")]
    pub of: BTreeMap<String, Changes>,
    /// So many of the commonest words of the captions are learnt.
    pub words: usize,
    /// Images per batch.
    pub batch_images: usize,
    /// Steps over which the learning rates rise from 0; then they fall along half a cosine.
    pub warmup_steps: usize,
    /// Share of a matrix that a step of learning rate 1 would take away.
    pub weight_decay: f64,
    /// Share of an image that is shown at least: each time another part.
    pub least_area: f64,
    /// Brightness, contrast and saturation change by a factor of up to 1 ± this.
    pub light: f64,
    /// The stage fails when a larger share of the images cannot be read.
    pub max_bad_fraction: f64,
}

/// What a backbone is taught, from where on, and how fast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Lesson {
    /// A captioner of `export`, or weights that were tuned before, to begin with; left empty, the published weights.
    pub start_from: PathBuf,
    /// What is minimised: `words`, or `captions` through the decoder of `start_from`.
    pub objective: ObjectiveKind,
    /// The first block of the network that learns; 0 is the whole network.
    pub from_block: usize,
    /// Passes over the train images; 0 takes what `start_from` holds as it is.
    pub epochs: usize,
    /// Highest learning rate of the network (AdamW).
    pub learning_rate: f64,
    /// Highest learning rate of the head that predicts the words, and of the decoder.
    pub head_learning_rate: f64,
}

/// The settings of a [`Lesson`] that one backbone has of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Changes {
    start_from: Option<PathBuf>,
    objective: Option<ObjectiveKind>,
    from_block: Option<usize>,
    epochs: Option<usize>,
    learning_rate: Option<f64>,
    head_learning_rate: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            lesson: Lesson::default(),
            of: BTreeMap::new(),
            words: 1000,
            batch_images: 32,
            warmup_steps: 100,
            weight_decay: 0.01,
            least_area: 0.5,
            light: 0.2,
            max_bad_fraction: 0.02,
        }
    }
}

impl Default for Lesson {
    fn default() -> Self {
        Lesson {
            start_from: PathBuf::new(),
            objective: ObjectiveKind::Words,
            from_block: 6,
            epochs: 5,
            learning_rate: 1e-4,
            head_learning_rate: 1e-3,
        }
    }
}

impl Settings {
    /// What the backbone of this name is taught.
    pub(crate) fn lesson_of(&self, backbone: &str) -> Lesson {
        self.of.get(backbone).map_or_else(|| self.lesson.clone(), |changes| self.lesson.changed(changes))
    }

    /// `key` of a [`Lesson`], as it is written for the backbone of this name.
    pub(crate) fn key(&self, backbone: &str, key: &str) -> String {
        if self.of.contains_key(backbone) { format!("{FOR}.{backbone}.{key}") } else { key.to_owned() }
    }

    /// The first value that makes no sense.
    pub fn problem(&self) -> Option<Problem> {
        let area = self.least_area > 0.0 && self.least_area <= 1.0;
        let own = first([
            within(1..=MOST, "words", self.words),
            within(1..=MOST, "batch_images", self.batch_images),
            at_least(0, "warmup_steps", self.warmup_steps),
            not_negative("weight_decay", self.weight_decay),
            unless(area, "least_area", "must be above 0 and at most 1"),
            share("light", self.light),
            within(0.0..=1.0, "max_bad_fraction", self.max_bad_fraction),
        ]);
        let of = |backbone: &String| {
            let problem = match BackboneSpec::named(backbone) {
                Ok(_) => self.lesson_of(backbone).problem()?.within(backbone),
                Err(unknown) => Problem { key: backbone.clone(), reason: unknown.to_string() },
            };
            Some(problem.within(FOR))
        };
        own.or_else(|| self.lesson.problem()).or_else(|| self.of.keys().find_map(of))
    }
}

impl Lesson {
    /// Whether it begins with something else than the published weights.
    pub(crate) fn starts_from_a_file(&self) -> bool {
        !self.start_from.as_os_str().is_empty()
    }

    fn changed(&self, changes: &Changes) -> Lesson {
        Lesson {
            start_from: changes.start_from.as_ref().unwrap_or(&self.start_from).clone(),
            objective: changes.objective.unwrap_or(self.objective),
            from_block: changes.from_block.unwrap_or(self.from_block),
            epochs: changes.epochs.unwrap_or(self.epochs),
            learning_rate: changes.learning_rate.unwrap_or(self.learning_rate),
            head_learning_rate: changes.head_learning_rate.unwrap_or(self.head_learning_rate),
        }
    }

    fn problem(&self) -> Option<Problem> {
        first([
            within(0..=MOST, "epochs", self.epochs),
            unless(
                self.epochs > 0 || self.starts_from_a_file(),
                "epochs",
                "must be at least 1, unless start_from names what was tuned before",
            ),
            unless(
                self.objective == ObjectiveKind::Words || self.starts_from_a_file(),
                "objective",
                "must be words, unless start_from names a captioner of export",
            ),
            above_0("learning_rate", self.learning_rate),
            above_0("head_learning_rate", self.head_learning_rate),
        ])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(change: impl Fn(&mut Settings)) -> Option<String> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.problem().map(|problem| problem.key)
    }

    #[test]
    fn values_without_sense_are_refused_by_name() {
        assert_eq!(Settings::default().problem(), None);
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 10] = [
            ("epochs", |settings| settings.lesson.epochs = 0),
            ("objective", |settings| settings.lesson.objective = ObjectiveKind::Captions),
            ("words", |settings| settings.words = 0),
            ("batch_images", |settings| settings.batch_images = 0),
            ("learning_rate", |settings| settings.lesson.learning_rate = f64::NAN),
            ("head_learning_rate", |settings| settings.lesson.head_learning_rate = 0.0),
            ("weight_decay", |settings| settings.weight_decay = -1.0),
            ("least_area", |settings| settings.least_area = 0.0),
            ("light", |settings| settings.light = 1.0),
            ("max_bad_fraction", |settings| settings.max_bad_fraction = 1.5),
        ];
        for (wanted, change) in wrong {
            assert_eq!(key(change).as_deref(), Some(wanted));
        }
        let unpacked = |settings: &mut Settings| {
            settings.lesson.epochs = 0;
            settings.lesson.start_from = "model.safetensors".into();
        };
        assert_eq!(key(unpacked), None);
    }

    #[test]
    fn a_backbone_is_taught_what_its_table_says_and_else_what_all_are() {
        let of = |settings| serde_json::from_value::<Settings>(settings).unwrap();
        let changes = json!({ "start_from": "a", "objective": "captions", "from_block": 2 });
        let settings = of(json!({ "epochs": 4, "for": { "resnet18": changes } }));
        assert_eq!(settings.problem(), None);
        assert_eq!(settings.lesson_of("resnet50"), Lesson { epochs: 4, ..Lesson::default() });
        let own = Lesson {
            start_from: "a".into(),
            objective: ObjectiveKind::Captions,
            from_block: 2,
            epochs: 4,
            ..Lesson::default()
        };
        assert_eq!(settings.lesson_of("resnet18"), own);
        let names = ["resnet18", "resnet50"].map(|backbone| settings.key(backbone, "epochs"));
        assert_eq!(names, ["for.resnet18.epochs", "epochs"]);

        let problem = |of_each| of(json!({ "for": of_each })).problem().unwrap().to_string();
        let epochs = problem(json!({ "resnet18": { "epochs": 0 } }));
        assert!(epochs.starts_with("for.resnet18.epochs must be at least 1"), "{epochs}");
        let rate = problem(json!({ "resnet18": { "epochs": 1 }, "resnet50": { "learning_rate": -1.0 } }));
        assert_eq!(rate, "for.resnet50.learning_rate must be above 0 and finite");
        let name = problem(json!({ "resnet51": {} }));
        assert!(name.starts_with("for.resnet51 ") && name.contains("resnet50"), "{name}");
    }
}
