//! Top-down attention with two LSTMs: the first decides where to look, the second writes the word.
//!
//! Anderson et al. 2018, "Bottom-Up and Top-Down Attention" (<https://arxiv.org/abs/1707.07998>), section 3.2.
//! Deviations: the regions are the CNN's grid instead of detected objects, and are first projected to `feature_size`.

use serde::{Deserialize, Serialize};

use super::Dimensions;
use super::attend;
use super::description::{Builder, Description, Layer, Parameters, Value};
use super::table::{Architecture, size};
use crate::problem::{Problem, first, share};

/// Sizes of the `up_down` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct UpDownConfig {
    /// Size of a word vector.
    pub embedding_size: i64,
    /// Size of a projected region.
    pub feature_size: i64,
    /// Size of the state of each LSTM.
    pub hidden_size: i64,
    /// Size of the space in which state and regions are compared.
    pub attention_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
}

impl Default for UpDownConfig {
    fn default() -> Self {
        UpDownConfig {
            embedding_size: 256,
            feature_size: 384,
            hidden_size: 384,
            attention_size: 128,
            dropout: 0.5,
        }
    }
}

impl Architecture for UpDownConfig {
    fn problem(&self) -> Option<Problem> {
        first([
            size("embedding_size", self.embedding_size),
            size("feature_size", self.feature_size),
            size("hidden_size", self.hidden_size),
            size("attention_size", self.attention_size),
            share("dropout", self.dropout),
        ])
    }

    fn describe(&self, dimensions: Dimensions) -> Description {
        let UpDownConfig { embedding_size, feature_size, hidden_size, attention_size, dropout } = *self;
        let mut parameters = Parameters::default();
        parameters.linear("feature", dimensions.channels, feature_size);
        attend::parameters(&mut parameters, feature_size, hidden_size, attention_size);
        parameters.embedding("embedding", dimensions.vocabulary, embedding_size);
        parameters.lstm("attention_lstm", hidden_size + feature_size + embedding_size, hidden_size);
        parameters.lstm("language_lstm", feature_size + hidden_size, hidden_size);
        parameters.output("output", hidden_size, dimensions.vocabulary);
        // Memory: regions `[rows, regions, feature]`, their keys `[rows, regions, attention]` and their mean `[rows, feature]`.
        let encode = Builder::graph(1, |graph, grid| {
            let [regions, keys] = attend::encode(graph, grid[0], dropout);
            vec![regions, keys, graph.mean_region(regions)]
        });
        // State: hidden and cell state of the attention LSTM, then of the language LSTM, all zero at first.
        let start = Builder::graph(3, |graph, memory| {
            let zeros = |_| graph.add(Layer::Zeros(vec![hidden_size]), &[memory[2]]);
            (0..4).map(zeros).collect()
        });
        let step = Builder::graph(8, |graph, inputs| {
            let &[regions, keys, mean, attention_hidden, attention_cell, hidden, cell, word] = inputs else {
                return vec![];
            };
            let word = graph.embedding("embedding", word);
            let input = graph.add(Layer::Concat(1), &[hidden, mean, word]);
            let lstm = Layer::Lstm("attention_lstm".to_owned());
            let (attention_hidden, attention_cell) =
                graph.add_two(lstm, &[input, attention_hidden, attention_cell]);
            let of_image = graph.add(Layer::PerImage, &[attention_hidden, regions]);
            let (shares, context) = look(graph, regions, keys, of_image);
            let context = graph.add(Layer::Flatten, &[context]);
            let input = graph.add(Layer::Concat(1), &[context, attention_hidden]);
            let (hidden, cell) =
                graph.add_two(Layer::Lstm("language_lstm".to_owned()), &[input, hidden, cell]);
            let scores = graph.linear("output", hidden);
            let shares = graph.add(Layer::Flatten, &[shares]);
            vec![scores, attention_hidden, attention_cell, hidden, cell, shares]
        });
        let part = Builder::graph(3, |graph, of| {
            let (shares, context) = look(graph, of[0], of[1], of[2]);
            vec![shares, context]
        });
        let parts = vec![("look".to_owned(), part)];
        Description { parameters: parameters.0, encode, start, step, parts }
    }

    fn small() -> Self {
        UpDownConfig {
            embedding_size: 10,
            feature_size: 12,
            hidden_size: 16,
            attention_size: 8,
            dropout: 0.3,
        }
    }
}
/// Shares on each region and the regions weighed with them, `[images, rows of each image, …]`, for the states
/// `hidden [images, rows of each image, hidden]` of the attention LSTM.
fn look(graph: &mut Builder, regions: Value, keys: Value, hidden: Value) -> (Value, Value) {
    let energies = attend::energies(graph, keys, hidden);
    let shares = graph.add(Layer::Softmax, &[energies]);
    (shares, graph.add(Layer::BatchedProduct, &[shares, regions]))
}
