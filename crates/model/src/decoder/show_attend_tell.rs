//! The network of Xu et al. 2015, "Show, Attend and Tell" (<https://arxiv.org/abs/1502.03044>), which soft and hard
//! attention share: they differ only in how the scores of the regions become weights.
//!
//! Bahdanau attention, the gate β and the deep output layer. Deviation: regions are first projected to `feature`
//! numbers, which makes every step cheaper than attending over the CNN's own channels.

use super::Dimensions;
use super::attend;
use super::description::{Builder, Description, Layer, Parameters, Value};

/// Sizes of the network, and the share of units dropped in training.
pub(super) struct Sizes {
    pub(super) embedding: i64,
    pub(super) feature: i64,
    pub(super) hidden: i64,
    pub(super) attention: i64,
    pub(super) dropout: f64,
}

/// The network; `weigh` makes shares of the regions' scores.
pub(super) fn describe(sizes: &Sizes, dimensions: Dimensions, weigh: &Layer) -> Description {
    let &Sizes { embedding: words, feature, hidden, attention, dropout } = sizes;
    let mut parameters = Parameters::default();
    parameters.linear("feature", dimensions.channels, feature);
    attend::parameters(&mut parameters, feature, hidden, attention);
    parameters.linear("gate", hidden, 1);
    parameters.linear("initial_hidden", feature, hidden);
    parameters.linear("initial_cell", feature, hidden);
    parameters.embedding("embedding", dimensions.vocabulary, words);
    parameters.lstm("lstm", words + feature, hidden);
    parameters.linear("output_hidden", hidden, words);
    parameters.linear("output_context", feature, words);
    parameters.output("output", words, dimensions.vocabulary);
    // Memory: regions `[rows, regions, feature]` and their keys `[rows, regions, attention]`. State: hidden and cell state.
    let encode = Builder::graph(1, |graph, grid| attend::encode(graph, grid[0], dropout).to_vec());
    let start = Builder::graph(2, |graph, memory| {
        let mean = graph.mean_region(memory[0]);
        let initial = ["initial_hidden", "initial_cell"].map(|name| {
            let state = graph.linear(name, mean);
            graph.add(Layer::Tanh, &[state])
        });
        initial.to_vec()
    });
    let step = Builder::graph(5, |graph, inputs| {
        let &[regions, keys, hidden, cell, word] = inputs else { return vec![] };
        let word = graph.embedding("embedding", word);
        let of_image = graph.add(Layer::PerImage, &[hidden, regions]);
        let energies = attend::energies(graph, keys, of_image);
        let attention = graph.add(weigh.clone(), &[energies]);
        let context = context(graph, regions, of_image, attention);
        let context = graph.add(Layer::Flatten, &[context]);
        let input = graph.add(Layer::Concat(1), &[word, context]);
        let (hidden, cell) = graph.add_two(Layer::Lstm("lstm".to_owned()), &[input, hidden, cell]);
        let scores = score(graph, word, hidden, context, dropout);
        vec![scores, hidden, cell, graph.add(Layer::Flatten, &[attention])]
    });
    let parts = vec![
        ("energies".to_owned(), Builder::graph(2, |graph, of| vec![attend::energies(graph, of[0], of[1])])),
        ("context".to_owned(), Builder::graph(3, |graph, of| vec![context(graph, of[0], of[1], of[2])])),
        ("score".to_owned(), Builder::graph(3, |graph, of| vec![score(graph, of[0], of[1], of[2], dropout)])),
    ];
    Description { parameters: parameters.0, encode, start, step, parts }
}

/// The gated weighted sum of the regions, `[images, rows of each image, feature]`: of regions, the states
/// `hidden [images, rows of each image, hidden]`, and shares on each region `[images, rows of each image, regions]`.
fn context(graph: &mut Builder, regions: Value, hidden: Value, attention: Value) -> Value {
    let sum = graph.add(Layer::BatchedProduct, &[attention, regions]);
    let gate = graph.linear("gate", hidden);
    let gate = graph.add(Layer::Sigmoid, &[gate]);
    graph.add(Layer::Multiply, &[sum, gate])
}

/// The deep output layer (equation 7 of the paper, with the tanh of its code): any leading dimensions.
fn score(graph: &mut Builder, word: Value, hidden: Value, context: Value, dropout: f64) -> Value {
    let hidden = graph.dropout(dropout, hidden);
    let hidden = graph.linear("output_hidden", hidden);
    let joined = graph.add(Layer::Add, &[word, hidden]);
    let context = graph.linear("output_context", context);
    let joined = graph.add(Layer::Add, &[joined, context]);
    let joined = graph.add(Layer::Tanh, &[joined]);
    let joined = graph.dropout(dropout, joined);
    graph.linear("output", joined)
}
