//! Whether a model looks at what it names, as `scores.json` holds it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Attention against the boxes of the objects that captions name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grounding {
    /// How it was measured.
    pub protocol: String,
    /// All words that name an object.
    pub all: Found,
    /// The same for each noun.
    pub nouns: BTreeMap<String, Found>,
    /// Words that name an object outside the network's crop; not counted above.
    pub out_of_sight: usize,
}

/// Means over words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// How many there are.
    pub words: usize,
    /// Share of attention inside the box.
    pub mass: Beside,
    /// Share of words where the model pointed at the box.
    pub pointing: Beside,
}

/// The model's value and those of maps that see nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// For the attention of the model.
    pub model: f64,
    /// Every region alike.
    pub uniform: f64,
    /// A Gaussian around the middle.
    pub centre: f64,
}

impl Found {
    /// Takes one more word into the means.
    pub fn add(&mut self, mass: Beside, pointing: Beside) {
        let before = self.words as f64;
        self.words += 1;
        let mean = |mean: &mut f64, value: f64| *mean = (*mean * before + value) / (before + 1.0);
        for (means, values) in [(&mut self.mass, mass), (&mut self.pointing, pointing)] {
            mean(&mut means.model, values.model);
            mean(&mut means.uniform, values.uniform);
            mean(&mut means.centre, values.centre);
        }
    }
}
