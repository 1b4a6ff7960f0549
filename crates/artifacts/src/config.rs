//! One TOML file a run, one section a stage, every key checked.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::features::set_name;
use crate::help;
use crate::layout::RunFolder;
use crate::view::View;

/// The sections a config may have: the run, then the stages in order.
pub const SECTIONS: [&str; 6] = ["run", "dataset", "preprocess", "text", "train", "evaluate"];

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
        /// The key, with its section.
        key: String,
        /// A key of that section with a similar name.
        nearest: Option<String>,
    },
    /// A value of the wrong type or range.
    #[error("config {}: `{key}`: {reason}", path.display())]
    BadValue {
        /// The config file.
        path: PathBuf,
        /// The key, with its section.
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

/// A section of the config: plain settings with documented defaults.
pub trait Section: Default + Serialize + DeserializeOwned + schemars::JsonSchema {}
impl<T: Default + Serialize + DeserializeOwned + schemars::JsonSchema> Section for T {}

/// What all stages share.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct RunSettings {
    /// Name of the run; its artifacts live in `<folder>/<name>/`.
    pub name: String,
    /// Folder that holds all runs.
    pub folder: PathBuf,
    /// Folder with the weights of the backbones.
    pub weights: PathBuf,
    /// Decides everything random.
    pub seed: u64,
}

/// One backbone, or several whose features are read side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "expected a name or a list of names")]
pub enum Backbones {
    /// One name of the registry.
    One(String),
    /// Several names.
    Several(Vec<String>),
}

impl Backbones {
    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            Backbones::One(name) => std::slice::from_ref(name),
            Backbones::Several(names) => names,
        }
    }
}

impl Default for Backbones {
    fn default() -> Self {
        Backbones::One("efficientnet_lite0".to_owned())
    }
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            name: "default".to_owned(),
            folder: PathBuf::from("data/runs"),
            weights: PathBuf::from("data/weights"),
            seed: 1,
        }
    }
}

impl RunSettings {
    /// The folder of this run.
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
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config, ConfigError> {
        let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let mut table: Table =
            text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        for assignment in overrides {
            set(&mut table, assignment).ok_or_else(|| ConfigError::BadSet(assignment.clone()))?;
        }
        for section in table.keys() {
            if !SECTIONS.contains(&section.as_str()) {
                return Err(ConfigError::UnknownKey {
                    path: path.to_owned(),
                    key: section.clone(),
                    nearest: help::nearest(section, SECTIONS.iter().copied()),
                });
            }
        }
        Ok(Config { path: path.to_owned(), table })
    }

    /// One section, with defaults for what it does not name.
    pub fn section<T: Section>(&self, name: &str) -> Result<T, ConfigError> {
        let value = self.table.get(name).cloned().unwrap_or_else(|| Value::Table(Table::new()));
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let parsed = {
            let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
            serde_ignored::deserialize(deserializer, |key| unknown.push(key.to_string()))
        };
        if let Some(key) = unknown.into_iter().next() {
            let nearest = help::nearest_setting::<T>(&key);
            let path = self.path.clone();
            return Err(ConfigError::UnknownKey { path, key: format!("{name}.{key}"), nearest });
        }
        parsed.map_err(|error| {
            let reason = toml::de::Error::message(&error).to_owned();
            self.bad_value(&format!("{name}.{}", track.path()), reason)
        })
    }

    /// The `[run]` section.
    pub fn run(&self) -> Result<RunSettings, ConfigError> {
        let run: RunSettings = self.section("run")?;
        if run.name.is_empty() || run.name.contains(['/', '\\']) || run.name.starts_with('.') {
            let reason = "a run's name is a plain folder name".to_owned();
            return Err(self.bad_value("run.name", reason));
        }
        Ok(run)
    }

    /// Names of the features that later stages read, side by side: of each `preprocess.backbone`, the first of
    /// `preprocess.views`.
    pub fn feature_sets(&self) -> Result<Vec<String>, ConfigError> {
        let view = self.views()?.first().copied().unwrap_or_default();
        self.sets_of(view)
    }

    /// The same sets seen in a mirror, when that view is among `preprocess.views` too.
    pub fn mirrored_feature_sets(&self) -> Result<Option<Vec<String>>, ConfigError> {
        let views = self.views()?;
        let mirrored = views.first().map(|view| view.mirrored());
        mirrored.filter(|view| views.contains(view)).map(|view| self.sets_of(view)).transpose()
    }

    fn views(&self) -> Result<Vec<View>, ConfigError> {
        Ok(self.preprocess::<Option<_>>("views")?.unwrap_or_default())
    }

    fn sets_of(&self, view: View) -> Result<Vec<String>, ConfigError> {
        let backbones: Backbones = self.preprocess("backbone")?;
        Ok(backbones.names().iter().map(|backbone| set_name(backbone, view)).collect())
    }

    /// One setting of the `preprocess` section.
    fn preprocess<T: Default + DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        match self.table.get("preprocess").and_then(|section| section.get(key)) {
            None => Ok(T::default()),
            Some(value) => value.clone().try_into().map_err(|error: toml::de::Error| {
                self.bad_value(&format!("preprocess.{key}"), error.message().to_owned())
            }),
        }
    }

    /// An error about one value of this config.
    pub fn bad_value(&self, key: &str, reason: String) -> ConfigError {
        ConfigError::BadValue { path: self.path.clone(), key: key.to_owned(), reason }
    }
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
    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default)]
    struct Settings {
        /// How often a word occurs at least.
        min_count: u32,
        inner: Inner,
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
        let settings = load("[text]\nmin_count = 5", &["text.min_count=3", "text.inner.hidden_size=7"]);
        let settings = settings.unwrap();
        assert_eq!((settings.min_count, settings.inner.hidden_size), (3, 7));
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
        assert!(message("[txet]", &[]).contains("did you mean `text`?"));
        assert!(message("", &["text.colour=3"]).contains("unknown key `text.colour`"));
    }

    #[test]
    fn wrong_types_name_the_key() {
        let message = message("[text]\nmin_count = \"many\"", &[]);
        assert!(message.contains("`text.min_count`: invalid type: string \"many\""), "{message}");
        assert!(load("", &["min_count"]).is_err());
        assert!(load("[text\n", &[]).is_err());
    }
}
