//! One TOML file per run, one section per stage, every key checked.

use std::path::{Path, PathBuf};

use artifacts::RunFolder;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::help;
use crate::section::Section;

/// The sections a config may have: the run, then the stages in order.
pub const SECTIONS: [&str; 7] = ["run", "dataset", "preprocess", "text", "tune", "train", "evaluate"];

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not there, or not TOML.
    #[error("config {}: {reason}", path.display())]
    Unreadable {
        /// The config file.
        path: PathBuf,
        /// What the parser or the system said.
        reason: String,
    },
    /// A key that no stage knows.
    #[error("config {}: unknown key `{key}`{}", path.display(), suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The config file.
        path: PathBuf,
        /// As in `train.batch_images`.
        key: String,
        /// A key of that section with a similar name.
        nearest: Option<String>,
    },
    /// A value of the wrong type or range.
    #[error("config {}: `{key}`: {reason}", path.display())]
    BadValue {
        /// The config file.
        path: PathBuf,
        /// As in `train.batch_images`.
        key: String,
        /// What would be right.
        reason: String,
    },
    /// A `--set` that is not `section.key=value`.
    #[error("--set {0}: write it as section.key=value, for example --set train.epochs=3")]
    BadSet(String),
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

/// What all stages share.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct RunSettings {
    /// Name of the run; its artifacts live in `<folder>/<name>/`.
    pub name: String,
    /// Folder that holds all runs.
    pub folder: PathBuf,
    /// A place that many machines share, such as "s3://bucket/runs": features and the dataset's tables lie in its `<name>/` then, and
    /// nothing else need be shared. Left empty, all lies in the run's folder.
    pub store: String,
    /// Folder with the weights of the backbones.
    pub weights: PathBuf,
    /// Decides everything random.
    pub seed: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            name: "default".to_owned(),
            folder: PathBuf::from("data/runs"),
            store: String::new(),
            weights: PathBuf::from("data/weights"),
            seed: 1,
        }
    }
}

impl RunSettings {
    /// `<run.folder>/<run.name>`, where the artifacts lie.
    pub fn run_folder(&self) -> RunFolder {
        RunFolder::new(self.folder.join(&self.name))
    }
}

/// A parsed config file with its overrides applied.
#[derive(Clone, Debug)]
pub struct Config {
    path: PathBuf,
    table: Table,
}

impl Config {
    /// Reads a config and applies `section.key=value` overrides in order.
    ///
    /// # Errors
    ///
    /// The file is not there, not TOML, or has a section that no stage knows; an override that is not
    /// `section.key=value`.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config, ConfigError> {
        let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let mut table: Table =
            text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        for assignment in overrides {
            set(&mut table, assignment).ok_or_else(|| ConfigError::BadSet(assignment.clone()))?;
        }
        let config = Config { path: path.to_owned(), table };
        for (section, value) in &config.table {
            if !SECTIONS.contains(&section.as_str()) {
                return Err(config.unknown(section.clone(), help::nearest(section, SECTIONS.iter().copied())));
            }
            if !value.is_table() {
                return Err(
                    config.bad_value(section, format!("is a section: write [{section}] and its keys below"))
                );
            }
        }
        Ok(config)
    }

    /// One section, with defaults for what it does not name.
    ///
    /// # Errors
    /// A key that the section does not have, or a value of another type.
    pub fn section<T: Section>(&self, name: &str) -> Result<T, ConfigError> {
        if let Some(key) = help::unknown_key::<T>(&self.table_of(name)) {
            let nearest = help::nearest_setting::<T>(&key);
            return Err(self.unknown(format!("{name}.{key}"), nearest));
        }
        self.part(name)
    }

    /// The keys of a section that `T` has, whatever else stands there: for what a later stage must know of it.
    ///
    /// # Errors
    /// A value of another type.
    pub fn part<T: Section>(&self, name: &str) -> Result<T, ConfigError> {
        let table = self.table_of(name);
        table.clone().try_into().map_err(|error: toml::de::Error| {
            let (key, error) = culprit::<T>(&table).unwrap_or((String::new(), error));
            let key = [name, key.as_str()].join(".");
            self.bad_value(key.trim_end_matches('.'), error.message().to_owned())
        })
    }

    fn table_of(&self, section: &str) -> Table {
        self.table.get(section).and_then(Value::as_table).cloned().unwrap_or_default()
    }

    fn unknown(&self, key: String, nearest: Option<String>) -> ConfigError {
        ConfigError::UnknownKey { path: self.path.clone(), key, nearest }
    }

    /// The `[run]` section.
    ///
    /// # Errors
    ///
    /// A value of `[run]` of another type or range.
    pub fn run(&self) -> Result<RunSettings, ConfigError> {
        let run: RunSettings = self.section("run")?;
        if run.name.is_empty() || run.name.contains(['/', '\\']) || run.name.starts_with('.') {
            let reason = "a run's name is a plain folder name".to_owned();
            return Err(self.bad_value("run.name", reason));
        }
        Ok(run)
    }

    /// An error about one value of this config.
    pub fn bad_value(&self, key: &str, reason: String) -> ConfigError {
        ConfigError::BadValue { path: self.path.clone(), key: key.to_owned(), reason }
    }
}

/// The first key whose value alone cannot be read: every key of a [`Section`] may stand alone.
fn culprit<T: Section>(table: &Table) -> Option<(String, toml::de::Error)> {
    let mut open: Vec<(String, Value)> = vec![(String::new(), Value::Table(table.clone()))];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Table(table) if !table.is_empty() => {
                let child =
                    |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                // The stack gives the last one first.
                open.extend(table.into_iter().rev().map(|(key, value)| (child(&key), value)));
            }
            leaf => {
                let nest = |value, key: &str| Value::Table(Table::from_iter([(key.to_owned(), value)]));
                let alone: Result<T, _> = path.rsplit('.').fold(leaf, nest).try_into();
                if let Err(error) = alone {
                    return Some((path, error));
                }
            }
        }
    }
    None
}

/// Applies `section.key=value`; the value is TOML, or else a bare string.
fn set(table: &mut Table, assignment: &str) -> Option<()> {
    let (key, value) = assignment.split_once('=')?;
    let parsed: Option<Table> = format!("value = {}", value.trim()).parse().ok();
    let value = parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.trim().to_owned()));
    let (parents, last) = key.trim().rsplit_once('.')?;
    let mut at = table;
    for parent in parents.split('.') {
        at = at.entry(parent).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
    }
    at.insert(last.to_owned(), value);
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default)]
    struct Settings {
        /// How often a word occurs at least.
        min_count: u32,
        inner: Inner,
        named: BTreeMap<String, Inner>,
        #[serde(flatten)]
        flattened: Flattened,
    }

    #[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default)]
    struct Flattened {
        flat: String,
    }

    #[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default)]
    struct Inner {
        hidden_size: i64,
    }

    fn load(text: &str, overrides: &[&str]) -> Result<Settings, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        Config::load(file.path(), &overrides)?.section("text")
    }

    fn message(text: &str, overrides: &[&str]) -> String {
        load(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn overrides_win_over_the_file() {
        let overrides = ["text.min_count=3", "text.inner.hidden_size=7", "text.flat=x"];
        let settings = load("[text]\nmin_count = 5", &overrides).unwrap();
        assert_eq!((settings.min_count, settings.inner.hidden_size), (3, 7));
        assert_eq!(settings.flattened.flat, "x");
        let settings = load("[text.named.a]\nhidden_size = 1", &["text.named.b.hidden_size=2"]).unwrap();
        let sizes = settings.named.iter().map(|(name, inner)| (name.as_str(), inner.hidden_size));
        assert_eq!(sizes.collect::<Vec<_>>(), [("a", 1), ("b", 2)]);
    }

    #[test]
    fn unknown_keys_name_the_nearest_one() {
        assert!(
            message("[text]\nmin_cuont = 5", &[]).contains("`text.min_cuont`; did you mean `min_count`?")
        );
        assert!(
            message("[text.inner]\nhiden = 5", &[])
                .contains("`text.inner.hiden`; did you mean `hidden_size`?")
        );
        assert!(
            message("[text.named.a]\nhiden = 5", &[])
                .contains("`text.named.a.hiden`; did you mean `hidden_size`?")
        );
        assert!(message("[txet]", &[]).contains("did you mean `text`?"));
        assert!(message("", &["text.colour=3"]).contains("unknown key `text.colour`"));
    }

    #[test]
    fn wrong_types_name_the_key() {
        let message = message("[text]\nmin_count = \"many\"", &[]);
        assert!(message.contains("`text.min_count`: invalid type: string \"many\""), "{message}");
        let inner = self::message("", &["text.min_count=1", "text.inner.hidden_size=[]"]);
        assert!(inner.contains("`text.inner.hidden_size`: invalid type: sequence"), "{inner}");
        let named = self::message("", &["text.named.a.hidden_size=[]"]);
        assert!(named.contains("`text.named.a.hidden_size`: invalid type: sequence"), "{named}");
        let flat = self::message("", &["text.flat=3"]);
        assert!(flat.contains("`text.flat`: invalid type: integer"), "{flat}");
        let section = self::message("text = 3", &[]);
        assert!(section.contains("`text`: is a section"), "{section}");
        assert!(load("", &["min_count"]).is_err());
        assert!(load("[text\n", &[]).is_err());
    }
}
