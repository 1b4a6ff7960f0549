//! Additive attention over the regions, which the recurrent decoders share.

use super::description::{Builder, Layer, Parameters, Value};

/// Compares regions of `feature` numbers with states of `hidden` numbers in a space of `attention` numbers.
pub(super) fn parameters(parameters: &mut Parameters, feature: i64, hidden: i64, attention: i64) {
    parameters.linear("key", feature, attention);
    parameters.linear("query", hidden, attention);
    parameters.linear("energy", attention, 1);
}

/// `grid [images, regions, channels]` → regions `[images, regions, feature]` and twice what they are compared by, their keys
/// `[images, regions, attention]`.
pub(super) fn encode(graph: &mut Builder, grid: Value, dropout: f64) -> [Value; 2] {
    let projected = graph.linear("feature", grid);
    let regions = graph.add(Layer::Relu, &[projected]);
    let regions = graph.dropout(dropout, regions);
    let keys = graph.linear("key", regions);
    [regions, graph.add(Layer::Scale(2.0), &[keys])]
}

/// Scores of the regions before softmax, `[images, rows of each image, regions]`, for the states
/// `hidden [images, rows of each image, hidden]`.
pub(super) fn energies(graph: &mut Builder, keys: Value, hidden: Value) -> Value {
    graph.add(Layer::Energies { query: "query".to_owned(), energy: "energy".to_owned() }, &[keys, hidden])
}
