//! Which trained decoder is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A trained decoder by what it reads and how it writes; several decoders together are an ensemble.
///
/// Its text is the name of its folder. The name is for people: nothing is ever read out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelId {
    /// Names of the feature sets, in the order of their channels.
    pub sets: Vec<String>,
    /// Names of the decoders: one, or the members of an ensemble.
    pub decoders: Vec<String>,
}

impl ModelId {
    /// One decoder on some features.
    pub fn new(sets: &[String], decoder: &str) -> ModelId {
        ModelId { sets: sets.to_vec(), decoders: vec![decoder.to_owned()] }
    }

    /// Each decoder alone.
    pub fn members(&self) -> impl Iterator<Item = ModelId> {
        self.decoders.iter().map(|decoder| ModelId::new(&self.sets, decoder))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sets.join("+"), self.decoders.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_features_and_decoders() {
        let sets = ["resnet50.squash".to_owned(), "resnet18.squash".to_owned()];
        let ensemble =
            ModelId { decoders: vec!["lstm".to_owned(), "up_down".to_owned()], ..ModelId::new(&sets, "") };
        assert_eq!(ensemble.to_string(), "resnet50.squash+resnet18.squash-lstm+up_down");
        let members: Vec<String> = ensemble.members().map(|member| member.to_string()).collect();
        assert_eq!(members[1], "resnet50.squash+resnet18.squash-up_down");
    }
}
