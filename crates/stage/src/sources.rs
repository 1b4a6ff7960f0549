//! Which features a run is about: what stages after `preprocess` read of its section.

use artifacts::View;
use artifacts::features::set_name;
use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};

/// The backbones and the views whose features a run caches and reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Sources {
    /// The CNN, or a list of several; `preprocess backbones` lists them.
    pub backbone: Backbones,
    /// Views of each image, each cached as a set of its own; decoders are trained on the first.
    pub views: Vec<View>,
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

impl Default for Sources {
    fn default() -> Self {
        Sources { backbone: Backbones::One("efficientnet_lite0".to_owned()), views: vec![View::default()] }
    }
}

impl Backbones {
    /// The names, in the order of their channels.
    pub fn names(&self) -> &[String] {
        match self {
            Backbones::One(name) => std::slice::from_ref(name),
            Backbones::Several(names) => names,
        }
    }
}

impl Sources {
    /// Those of a config.
    ///
    /// # Errors
    /// When one of the two keys has a value of another type, or names no view.
    pub fn of(config: &Config) -> Result<Sources, ConfigError> {
        config.part("preprocess")
    }

    /// Names of the sets that decoders read side by side: of each backbone, the first view.
    pub fn sets(&self) -> Vec<String> {
        self.sets_of(self.views.first().copied().unwrap_or_default())
    }

    /// The same sets seen in a mirror, when that view is cached too.
    pub fn mirrored_sets(&self) -> Option<Vec<String>> {
        let mirrored = self.views.first().map(|view| view.mirrored());
        mirrored.filter(|view| self.views.contains(view)).map(|view| self.sets_of(view))
    }

    /// The first key whose value makes no sense, with what would.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let names = self.backbone.names();
        let twice = |seen: &[String]| (1..seen.len()).any(|at| seen[..at].contains(&seen[at]));
        let views: Vec<String> = self.views.iter().map(View::to_string).collect();
        let problems = [
            (names.is_empty(), "backbone", "name at least one backbone"),
            (twice(names), "backbone", "name each backbone once"),
            (views.is_empty(), "views", "name at least one view, such as \"centre\" or \"squash\""),
            (twice(&views), "views", "name each view once"),
        ];
        problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason))
    }

    fn sets_of(&self, view: View) -> Vec<String> {
        self.backbone.names().iter().map(|backbone| set_name(backbone, view)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(backbones: &[&str], views: &[&str]) -> Sources {
        let names = backbones.iter().map(|&name| name.to_owned()).collect();
        Sources {
            backbone: Backbones::Several(names),
            views: views.iter().map(|view| view.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_first_view_is_read_and_its_mirror_where_it_is_cached() {
        let both = sources(&["resnet50", "resnet18"], &["squash", "large", "squash-flip"]);
        assert_eq!(both.sets(), ["resnet50.squash", "resnet18.squash"]);
        assert_eq!(both.mirrored_sets().unwrap(), ["resnet50.squash-flip", "resnet18.squash-flip"]);
        assert_eq!(sources(&["resnet50"], &["centre", "large"]).mirrored_sets(), None);
        assert_eq!(Sources::default().sets(), ["efficientnet_lite0"]);
    }

    #[test]
    fn nothing_and_the_same_twice_are_refused() {
        let key =
            |backbones: &[&str], views: &[&str]| sources(backbones, views).problem().map(|found| found.0);
        assert_eq!(key(&["resnet50"], &["centre"]), None);
        assert_eq!(key(&[], &["centre"]), Some("backbone"));
        assert_eq!(key(&["resnet50", "resnet50"], &["centre"]), Some("backbone"));
        assert_eq!(key(&["resnet50"], &[]), Some("views"));
        assert_eq!(key(&["resnet50"], &["flip", "flip"]), Some("views"));
    }
}
