//! The baseline without attention: an LSTM that sees the mean of the feature grid.
//!
//! After Vinyals et al. 2015, "Show and Tell": the image opens the LSTM's state. Unlike there, the mean feature also
//! stands beside every word, so that what is left between this decoder and [`super::soft_attention`] is attention.

use serde::{Deserialize, Serialize};

use super::Dimensions;
use super::description::{Builder, Description, Layer, Parameters};
use super::table::{Architecture, size};
use crate::problem::{Problem, first, share};

/// Sizes of the `lstm` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct LstmConfig {
    /// Size of a word vector.
    pub embedding_size: i64,
    /// Size of the projected mean feature.
    pub feature_size: i64,
    /// Size of the LSTM state.
    pub hidden_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
}

impl Default for LstmConfig {
    fn default() -> Self {
        LstmConfig { embedding_size: 256, feature_size: 384, hidden_size: 384, dropout: 0.5 }
    }
}

impl Architecture for LstmConfig {
    fn problem(&self) -> Option<Problem> {
        first([
            size("embedding_size", self.embedding_size),
            size("feature_size", self.feature_size),
            size("hidden_size", self.hidden_size),
            share("dropout", self.dropout),
        ])
    }

    fn describe(&self, dimensions: Dimensions) -> Description {
        let LstmConfig { embedding_size, feature_size, hidden_size, dropout } = *self;
        let mut parameters = Parameters::default();
        parameters.linear("feature", dimensions.channels, feature_size);
        parameters.linear("initial_hidden", feature_size, hidden_size);
        parameters.linear("initial_cell", feature_size, hidden_size);
        parameters.embedding("embedding", dimensions.vocabulary, embedding_size);
        parameters.lstm("lstm", embedding_size + feature_size, hidden_size);
        parameters.output("output", hidden_size, dimensions.vocabulary);
        // Memory: the projected mean `[rows, feature]`. State: hidden and cell state `[rows, hidden]`.
        let encode = Builder::graph(1, |graph, grid| {
            let mean = graph.mean_region(grid[0]);
            let feature = graph.linear("feature", mean);
            let feature = graph.add(Layer::Relu, &[feature]);
            vec![graph.dropout(dropout, feature)]
        });
        let start = Builder::graph(1, |graph, memory| {
            let initial = ["initial_hidden", "initial_cell"].map(|name| {
                let state = graph.linear(name, memory[0]);
                graph.add(Layer::Tanh, &[state])
            });
            initial.to_vec()
        });
        let step = Builder::graph(4, |graph, inputs| {
            let &[feature, hidden, cell, word] = inputs else { return vec![] };
            let word = graph.embedding("embedding", word);
            let input = graph.add(Layer::Concat(1), &[word, feature]);
            let (hidden, cell) = graph.add_two(Layer::Lstm("lstm".to_owned()), &[input, hidden, cell]);
            vec![graph.linear("output", hidden), hidden, cell]
        });
        Description { parameters: parameters.0, encode, start, step, parts: vec![] }
    }

    fn small() -> Self {
        LstmConfig { embedding_size: 10, feature_size: 12, hidden_size: 16, dropout: 0.3 }
    }
}
