//! A Transformer that reads the regions through cross-attention and writes all words of a caption at once in training.
//!
//! Vaswani et al. 2017, "Attention Is All You Need" (<https://arxiv.org/abs/1706.03762>), with layer normalisation
//! before each block (Xiong et al. 2020) and word vectors that are also the output layer (Press and Wolf 2017). Regions
//! have learnt positions; encoder layers, which let them look at one another, are optional. In search, keys and values
//! of earlier words are kept, so that a step costs one step.

use serde::{Deserialize, Serialize};

use super::Dimensions;
use super::description::{Builder, Description, Graph, Init, Layer, Parameters, Value};
use super::table::{Architecture, size};
use crate::problem::{Problem, first, share, unless, within};

/// Sizes of the `transformer` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct TransformerConfig {
    /// Numbers per word or region, a multiple of twice `heads`.
    pub model_size: i64,
    /// Heads of each attention.
    pub heads: i64,
    /// Decoder layers.
    pub layers: i64,
    /// Encoder layers over the regions.
    pub encoder_layers: i64,
    /// Size of the hidden layer between attentions.
    pub feed_forward_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        TransformerConfig {
            model_size: 256,
            heads: 8,
            layers: 3,
            encoder_layers: 0,
            feed_forward_size: 1024,
            dropout: 0.2,
        }
    }
}

impl Architecture for TransformerConfig {
    fn problem(&self) -> Option<Problem> {
        let heads = first([size("model_size", self.model_size), size("heads", self.heads)]);
        heads.or_else(|| {
            let halves = 2 * self.heads;
            let reason = format!("must be a multiple of twice the heads, of {halves}");
            first([
                unless(self.model_size % halves == 0, "model_size", reason),
                within(1..=1000, "layers", self.layers),
                within(0..=1000, "encoder_layers", self.encoder_layers),
                size("feed_forward_size", self.feed_forward_size),
                share("dropout", self.dropout),
            ])
        })
    }

    fn describe(&self, dimensions: Dimensions) -> Description {
        let TransformerConfig { model_size: size, heads, layers, encoder_layers, dropout, .. } = *self;
        let mut parameters = Parameters::default();
        parameters.linear("feature", dimensions.channels, size);
        let positions = Init::Normal(1.0 / (size as f64).sqrt());
        parameters.add("region_positions", &[dimensions.regions, size], positions);
        let encoder: Vec<String> = (0..encoder_layers).map(|number| format!("encoder.{number}")).collect();
        for name in &encoder {
            self.layer_parameters(&mut parameters, name, false);
        }
        parameters.layer_norm("memory_norm", size);
        parameters.embedding("embedding", dimensions.vocabulary, size);
        let decoder: Vec<String> = (0..layers).map(layer_part).collect();
        for name in &decoder {
            self.layer_parameters(&mut parameters, name, true);
        }
        parameters.layer_norm("norm", size);
        parameters.add_by_word("output_bias", &[dimensions.vocabulary], Init::Constant(0.0));
        // Memory: keys and values of the regions for each decoder layer.
        let encode = Builder::graph(1, |graph, grid| {
            let regions = graph.linear("feature", grid[0]);
            let regions = graph.add(Layer::Relu, &[regions]);
            let positions = graph.add(Layer::Parameter("region_positions".to_owned()), &[]);
            let x = graph.add(Layer::Add, &[regions, positions]);
            let mut x = graph.dropout(dropout, x);
            for name in &encoder {
                let own = self.own(graph, name, x);
                x = self.look_at_selves(graph, name, x, &own);
                x = self.feed_forward(graph, name, x);
            }
            let x = graph.add(Layer::LayerNorm("memory_norm".to_owned()), &[x]);
            let of = |name: &String| self.keys_values(graph, &format!("{name}.cross"), x);
            decoder.iter().flat_map(of).collect()
        });
        // State: keys and values of earlier words for each decoder layer, none at first.
        let start = Builder::graph(2 * decoder.len(), |graph, memory| {
            let none = |&memory: &Value| graph.add(Layer::Zeros(vec![heads, 0, size / heads]), &[memory]);
            memory.iter().map(none).collect()
        });
        let step = Builder::graph(4 * decoder.len() + 1, |graph, inputs| {
            let (memory, rest) = inputs.split_at(2 * decoder.len());
            let (state, word) = rest.split_at(rest.len() - 1);
            let words = graph.add(Layer::Unsqueeze(1), word);
            let mut x = self.embed(graph, words, Some(state[0]));
            let (mut next, mut attention) = (vec![], x);
            for ((name, regions), earlier) in decoder.iter().zip(memory.chunks(2)).zip(state.chunks(2)) {
                let [key, value] = self.own(graph, name, x);
                let keys = graph.add(Layer::Concat(2), &[earlier[0], key]);
                let values = graph.add(Layer::Concat(2), &[earlier[1], value]);
                x = self.look_at_selves(graph, name, x, &[keys, values]);
                (x, attention) = self.look_at_regions(graph, name, x, regions);
                x = self.feed_forward(graph, name, x);
                next.extend([keys, values]);
            }
            let scores = score(graph, x);
            let scores = graph.add(Layer::Squeeze(1), &[scores]);
            let attention = graph.add(Layer::Squeeze(1), &[attention]);
            [vec![scores], next, vec![attention]].concat()
        });
        let mut parts = vec![
            ("embed".to_owned(), Builder::graph(1, |graph, words| vec![self.embed(graph, words[0], None)])),
            ("score".to_owned(), Builder::graph(1, |graph, x| vec![score(graph, x[0])])),
        ];
        parts.extend((0..layers).map(|number| (layer_part(number), self.decoder_layer(number))));
        Description { parameters: parameters.0, encode, start, step, parts }
    }

    fn small() -> Self {
        TransformerConfig {
            model_size: 16,
            heads: 2,
            layers: 2,
            encoder_layers: 1,
            feed_forward_size: 24,
            dropout: 0.1,
        }
    }
}
/// The part of the description that is a whole decoder layer.
pub fn layer_part(number: i64) -> String {
    format!("decoder.{number}")
}

impl TransformerConfig {
    /// Self-attention, cross-attention in decoder layers, and a feed-forward block, each behind a normalisation.
    fn layer_parameters(&self, parameters: &mut Parameters, name: &str, cross: bool) {
        let size = self.model_size;
        for kind in ["self", "cross"].iter().take(if cross { 2 } else { 1 }) {
            parameters.layer_norm(&format!("{name}.{kind}.norm"), size);
            for map in ["query", "key", "value", "output"] {
                parameters.linear(&format!("{name}.{kind}.{map}"), size, size);
            }
        }
        parameters.layer_norm(&format!("{name}.feed_forward_norm"), size);
        parameters.linear(&format!("{name}.wide"), size, self.feed_forward_size);
        parameters.linear(&format!("{name}.narrow"), self.feed_forward_size, size);
    }

    /// Keys and values of `x [rows, positions, size]`, `[rows, heads, positions, size / heads]` each.
    fn keys_values(&self, graph: &mut Builder, name: &str, x: Value) -> [Value; 2] {
        ["key", "value"].map(|map| {
            let all = graph.linear(&format!("{name}.{map}"), x);
            graph.add(Layer::Heads(self.heads), &[all])
        })
    }

    /// What positions of a layer see of themselves: keys and values of `x`, normalised first.
    fn own(&self, graph: &mut Builder, name: &str, x: Value) -> [Value; 2] {
        let normed = graph.add(Layer::LayerNorm(format!("{name}.self.norm")), &[x]);
        self.keys_values(graph, &format!("{name}.self"), normed)
    }

    /// What `x` finds among `seen`: keys, values, and a mask if there is one.
    fn look(&self, graph: &mut Builder, name: &str, x: Value, seen: &[Value]) -> (Value, Value) {
        let layer = Layer::Attention {
            heads: self.heads,
            query: format!("{name}.query"),
            output: format!("{name}.output"),
        };
        graph.add_two(layer, &[&[x], seen].concat())
    }

    /// Positions of `x [rows, positions, size]` look at those of `own`.
    fn look_at_selves(&self, graph: &mut Builder, name: &str, x: Value, own: &[Value]) -> Value {
        let normed = graph.add(Layer::LayerNorm(format!("{name}.self.norm")), &[x]);
        let (found, _) = self.look(graph, &format!("{name}.self"), normed, own);
        let found = graph.dropout(self.dropout, found);
        graph.add(Layer::Add, &[x, found])
    }

    /// All captions of an image look at its regions together: `x [images × captions, positions, size]`, `regions` a
    /// row per image. The attention is the mean of the heads, `[images × captions, positions, regions]`.
    fn look_at_regions(
        &self,
        graph: &mut Builder,
        name: &str,
        x: Value,
        regions: &[Value],
    ) -> (Value, Value) {
        let normed = graph.add(Layer::LayerNorm(format!("{name}.cross.norm")), &[x]);
        let query = graph.add(Layer::PerImage, &[normed, regions[0]]);
        let (found, attention) = self.look(graph, &format!("{name}.cross"), query, regions);
        let found = graph.add(Layer::Like, &[found, x]);
        let found = graph.dropout(self.dropout, found);
        let attention = graph.add(Layer::Mean(1), &[attention]);
        let attention = graph.add(Layer::Like, &[attention, x]);
        (graph.add(Layer::Add, &[x, found]), attention)
    }

    fn feed_forward(&self, graph: &mut Builder, name: &str, x: Value) -> Value {
        let normed = graph.add(Layer::LayerNorm(format!("{name}.feed_forward_norm")), &[x]);
        let wide = graph.linear(&format!("{name}.wide"), normed);
        let wide = graph.add(Layer::Relu, &[wide]);
        let narrow = graph.linear(&format!("{name}.narrow"), wide);
        let narrow = graph.dropout(self.dropout, narrow);
        graph.add(Layer::Add, &[x, narrow])
    }

    /// Word vectors with their positions: `words [rows, count]`, and the keys of earlier ones if there are any →
    /// `[rows, count, size]`.
    fn embed(&self, graph: &mut Builder, words: Value, earlier: Option<Value>) -> Value {
        let inputs: Vec<Value> = [words].into_iter().chain(earlier).collect();
        let positions = graph.add(Layer::Positions(self.model_size), &inputs);
        let vectors = graph.embedding("embedding", words);
        let vectors = graph.add(Layer::Scale((self.model_size as f64).sqrt()), &[vectors]);
        let embedded = graph.add(Layer::Add, &[vectors, positions]);
        graph.dropout(self.dropout, embedded)
    }

    /// A decoder layer over a whole caption.
    fn decoder_layer(&self, number: i64) -> Graph {
        let name = layer_part(number);
        Builder::graph(4, |graph, inputs| {
            let &[x, mask, keys, values] = inputs else { return vec![] };
            let [own_keys, own_values] = self.own(graph, &name, x);
            let x = self.look_at_selves(graph, &name, x, &[own_keys, own_values, mask]);
            let (x, attention) = self.look_at_regions(graph, &name, x, &[keys, values]);
            vec![self.feed_forward(graph, &name, x), attention]
        })
    }
}

/// Scores of the next word: `[…, size]` → `[…, vocabulary]`.
fn score(graph: &mut Builder, x: Value) -> Value {
    let normed = graph.add(Layer::LayerNorm("norm".to_owned()), &[x]);
    let (weight, bias) = ("embedding.weight".to_owned(), "output_bias".to_owned());
    graph.add(Layer::Linear { weight, bias }, &[normed])
}
