//! Which features a run is about: what stages after `preprocess` read of its section.

use artifacts::View;
use artifacts::features::{WeightsOrigin, set_name};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};
use crate::foreign::OnnxNetwork;
use crate::one_or_several::OneOrSeveral;

const SECTION: &str = "preprocess";
/// In a list of backbones, the network that `preprocess.onnx` describes.
const ONNX: &str = "onnx";

/// The backbones, their weights and the views whose features a run caches and reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Sources {
    /// The CNN; features of several are read side by side. `preprocess backbones` lists them; "onnx" is any other network, in
    /// an ONNX file, described by the keys below preprocess.onnx.
    pub backbone: OneOrSeveral<String>,
    /// "published", or "tuned": those that the tune stage makes for the run's captions; for all backbones, or for each its
    /// own.
    pub weights: OneOrSeveral<WeightsOrigin>,
    /// Views of each image, each cached as a set of its own; decoders are trained on the first.
    #[serde(deserialize_with = "artifacts::listed::one_or_more")]
    pub views: Vec<View>,
    /// The network that is meant by backbone = "onnx".
    pub onnx: OnnxNetwork,
}

impl Default for Sources {
    fn default() -> Self {
        Sources {
            backbone: OneOrSeveral::One("efficientnet_lite0".to_owned()),
            weights: OneOrSeveral::One(WeightsOrigin::Published),
            views: vec![View::default()],
            onnx: OnnxNetwork::default(),
        }
    }
}

impl Sources {
    /// Those of a config.
    ///
    /// # Errors
    /// When one of the keys has a value of another type, names no view, or does not suit the others.
    pub fn of(config: &Config) -> Result<Sources, ConfigError> {
        let sources: Sources = config.part(SECTION)?;
        match sources.problem() {
            None => Ok(sources),
            Some((key, reason)) => Err(config.bad_value(&format!("{SECTION}.{key}"), reason.to_owned())),
        }
    }

    /// The names of the backbones, each with where its weights come from, in the order of their channels.
    pub fn backbones(&self) -> impl Iterator<Item = (&str, WeightsOrigin)> {
        let name = |backbone| if backbone == ONNX { self.onnx.name.as_str() } else { backbone };
        self.weights.beside(self.backbone.all()).map(move |(backbone, weights)| (name(backbone), *weights))
    }

    /// The network of that name, if it is one in an ONNX file.
    pub fn onnx(&self, name: &str) -> Option<&OnnxNetwork> {
        (self.names_onnx() && name == self.onnx.name).then_some(&self.onnx)
    }

    fn names_onnx(&self) -> bool {
        self.backbone.all().iter().any(|backbone| backbone == ONNX)
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
        let names = self.backbone.all();
        let twice = |seen: &[String]| (1..seen.len()).any(|at| seen[..at].contains(&seen[at]));
        let views: Vec<String> = self.views.iter().map(View::to_string).collect();
        let problems = [
            (names.is_empty(), "backbone", "name at least one backbone"),
            (twice(names), "backbone", "name each backbone once"),
            (
                !self.weights.suits(names.len()),
                "weights",
                "write one for all backbones, or a list with one for each",
            ),
            (
                self.weights.suits(names.len())
                    && self
                        .backbones()
                        .any(|(name, weights)| !weights.is_published() && self.onnx(name).is_some()),
                "weights",
                "an ONNX network cannot be tuned, it is \"published\": write a list with one for each backbone",
            ),
            (views.is_empty(), "views", "name at least one view, such as \"centre\" or \"squash\""),
            (twice(&views), "views", "name each view once"),
        ];
        let own = problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason));
        own.or_else(|| self.onnx.problem().filter(|_| self.names_onnx()))
    }

    fn sets_of(&self, view: View) -> Vec<String> {
        self.backbones().map(|(backbone, weights)| set_name(backbone, weights, view)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(backbones: &[&str], views: &[&str]) -> Sources {
        let names = backbones.iter().map(|&name| name.to_owned()).collect();
        Sources {
            backbone: OneOrSeveral::Several(names),
            weights: OneOrSeveral::One(WeightsOrigin::Published),
            views: views.iter().map(|view| view.parse().unwrap()).collect(),
            onnx: OnnxNetwork { name: "dino".to_owned(), ..OnnxNetwork::default() },
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
    fn a_backbone_has_its_own_weights_or_those_of_all() {
        let both = sources(&["resnet50", "resnet18"], &["squash"]);
        let of = |weights| Sources { weights, ..both.clone() };
        let tuned = of(OneOrSeveral::One(WeightsOrigin::Tuned));
        assert_eq!(tuned.sets(), ["resnet50.tuned.squash", "resnet18.tuned.squash"]);
        let list = [WeightsOrigin::Published, WeightsOrigin::Tuned];
        let mixed = of(OneOrSeveral::Several(list.to_vec()));
        assert_eq!(mixed.sets(), ["resnet50.squash", "resnet18.tuned.squash"]);
        for count in [0, 1, 3] {
            let problem = of(OneOrSeveral::Several(vec![WeightsOrigin::Tuned; count])).problem();
            assert_eq!(problem.unwrap().0, "weights", "{count}");
        }
    }

    #[test]
    fn a_network_of_others_has_its_own_name_and_cannot_be_tuned() {
        let both = sources(&["resnet50", "onnx"], &["centre", "flip"]);
        assert_eq!(both.problem(), None);
        assert_eq!(both.sets(), ["resnet50", "dino"]);
        assert_eq!(both.mirrored_sets().unwrap(), ["resnet50.flip", "dino.flip"]);
        assert!(both.onnx("dino").is_some() && both.onnx("resnet50").is_none());
        assert!(sources(&["resnet50"], &["centre"]).onnx("dino").is_none());
        let of = |weights| Sources { weights: OneOrSeveral::Several(weights), ..both.clone() };
        let (published, tuned) = (WeightsOrigin::Published, WeightsOrigin::Tuned);
        assert_eq!(of(vec![tuned, published]).sets(), ["resnet50.tuned", "dino"]);
        assert_eq!(of(vec![tuned, published]).problem(), None);
        assert_eq!(of(vec![published, tuned]).problem().unwrap().0, "weights");
        let nameless = Sources { onnx: OnnxNetwork::default(), ..both.clone() };
        assert_eq!(nameless.problem().unwrap().0, "onnx.name");
        let others = Sources { backbone: OneOrSeveral::One("resnet50".to_owned()), ..nameless };
        assert_eq!(others.problem(), None);
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
