//! A decoder as data: its parameters, and what it does to a photo and to a word.
//!
//! Nothing here computes. Engines walk the same graphs: libtorch's, when it trains and searches, and the builder of ONNX graphs.

use crate::weights::{NamedArrays, WeightsError};

/// A decoder, whatever engine runs it. Its graphs share the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// In the order in which fresh ones are drawn.
    pub parameters: Vec<Parameter>,
    /// `grid [images, regions, channels]` → the memory: everything about the images that later steps need, one row per image.
    pub encode: Graph,
    /// The memory → the state before the first word: one row for each of the memory's.
    pub start: Graph,
    /// The memory, the state, and the last word of each row (`[rows]`, first `<bos>`) → scores of the next one before softmax
    /// (`[rows, vocabulary]`), the next state, and for decoders that attend the share of attention on each region
    /// (`[rows, regions]`).
    pub step: Graph,
    /// What training runs apart from a step, because it knows all words of a caption: parts of `step`, by name.
    pub parts: Vec<(String, Graph)>,
}

/// Numbers that are learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As in checkpoints.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// How fresh ones are drawn.
    pub init: Init,
    /// Whether the first dimension is the vocabulary: what is known of a word elsewhere is found again by that alone.
    pub by_word: bool,
}

/// Where training begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform in ±bound.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// All the same.
    Constant(f64),
}

/// Layers one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// How many values go in: those with the first numbers.
    pub inputs: usize,
    /// Each reads values of lower numbers; its outputs have the next ones.
    pub nodes: Vec<Node>,
    /// What comes out.
    pub outputs: Vec<Value>,
}

/// A layer at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it does.
    pub layer: Layer,
    /// With what.
    pub inputs: Vec<Value>,
}

/// A value of a graph, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub usize);

/// What a node does. Parameters are named; of a layer called n they are `n.weight` and `n.bias`.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// `[…, inputs]` → `[…, outputs]`: x Wᵀ + b.
    Linear {
        /// `[outputs, inputs]`
        weight: String,
        /// `[outputs]`
        bias: String,
    },
    /// Ids `[…]` → their rows of `n.weight`, `[…, size]`.
    Embedding(String),
    /// Over the last dimension, with [`NORM_EPSILON`] (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).
    LayerNorm(String),
    /// One step of the LSTM with `n.weight_ih [4 × hidden, inputs]`, `n.weight_hh [4 × hidden, hidden]`, `n.bias_ih` and
    /// `n.bias_hh [4 × hidden]`, the gates in the order input, forget, cell, output (Hochreiter and Schmidhuber 1997):
    /// `input [rows, inputs]`, hidden and cell state `[rows, hidden]` → the next two.
    Lstm(String),
    /// Additive attention (Bahdanau et al. 2015, <https://arxiv.org/abs/1409.0473>), wᵀ tanh(key + query), but for a number
    /// that is the same for all regions, which no softmax sees.
    ///
    /// Doubled `keys [images, regions, attention]` and `hidden [images, rows of each image, hidden]` → scores of the regions
    /// before softmax, `[images, rows of each image, regions]`: as tanh z = 2σ(2z) − 1, they are 2wᵀ σ(keys + 2 query(hidden)).
    Energies {
        /// The linear layer that makes queries of hidden states.
        query: String,
        /// The one whose weights are w.
        energy: String,
    },
    /// Multi-head attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>): `x [rows, positions, size]` and keys and
    /// values `[rows, heads, keys, size / heads]` → what it finds, `[rows, positions, size]`, and the shares of attention,
    /// `[rows, heads, positions, keys]`. A fourth input `[positions, keys]` is added to the energies.
    Attention {
        /// Heads of the attention.
        heads: i64,
        /// The linear layer that makes queries of x.
        query: String,
        /// The one that what was found goes through.
        output: String,
    },
    /// `[rows, positions, size]` → `[rows, heads, positions, size / heads]`.
    Heads(i64),
    /// `words [rows, count]` → sines and cosines of so many numbers for each position (section 3.5 of the same paper, sines in the
    /// first half): `[count, size]`. The first position is that after the keys of a second input,
    /// `[rows, heads, keys, size / heads]`.
    Positions(i64),
    /// A parameter as it is.
    Parameter(String),
    /// Zeroes a share of the numbers in training, and scales the others so that means stay; nothing afterwards.
    Dropout(f64),
    /// max(x, 0)
    Relu,
    /// tanh x
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// Over the last dimension.
    Softmax,
    /// 1 at the largest number of the last dimension, 0 elsewhere.
    Largest,
    /// Times a constant.
    Scale(f64),
    /// a + b
    Add,
    /// a · b
    Multiply,
    /// `[rows, m, k]` and `[rows, k, n]` → `[rows, m, n]`.
    BatchedProduct,
    /// Side by side along a dimension.
    Concat(i64),
    /// The mean along a dimension, which goes.
    Mean(i64),
    /// A dimension of size 1 at a place.
    Unsqueeze(i64),
    /// That dimension goes.
    Squeeze(i64),
    /// `x [rows, …, size]` → `[images, rows of each image × …, size]`, where there are as many images as rows of the second input; the
    /// rows of an image follow one another.
    PerImage,
    /// `[a, b, size]` → `[a × b, size]`.
    Flatten,
    /// `x` in the shape of the second input but for the size of its last dimension, which is x's.
    Like,
    /// Zeros, one row of this shape for each row of the input.
    Zeros(Vec<i64>),
    /// Scores before softmax of several decoders, `[rows, vocabulary]` each → ln of the mean of their probabilities.
    MeanProbability,
    /// The mean of all inputs.
    Average,
}

/// Added to the variance by every layer normalisation: PyTorch's default.
pub const NORM_EPSILON: f64 = 1e-5;

impl Layer {
    /// How many values it gives.
    pub fn outputs(&self) -> usize {
        if matches!(self, Layer::Lstm(_) | Layer::Attention { .. }) { 2 } else { 1 }
    }

    /// The same with parameters whose names begin with `prefix`.
    fn below(&self, prefix: &str) -> Layer {
        let named = |name: &String| format!("{prefix}{name}");
        match self {
            Layer::Linear { weight, bias } => Layer::Linear { weight: named(weight), bias: named(bias) },
            Layer::Embedding(name) => Layer::Embedding(named(name)),
            Layer::LayerNorm(name) => Layer::LayerNorm(named(name)),
            Layer::Lstm(name) => Layer::Lstm(named(name)),
            Layer::Energies { query, energy } => {
                Layer::Energies { query: named(query), energy: named(energy) }
            }
            Layer::Attention { heads, query, output } => {
                Layer::Attention { heads: *heads, query: named(query), output: named(output) }
            }
            Layer::Parameter(name) => Layer::Parameter(named(name)),
            other => other.clone(),
        }
    }
}

impl Description {
    /// Refuses a file that does not hold these parameters.
    ///
    /// # Errors
    ///
    /// One that is absent or of another shape, by its name.
    pub fn check(&self, file: &NamedArrays) -> Result<(), WeightsError> {
        self.parameters
            .iter()
            .try_for_each(|parameter| file.get(&parameter.name, &parameter.shape).map(|_| ()))
    }

    /// Tensors of the memory.
    pub fn memory(&self) -> usize {
        self.encode.outputs.len()
    }

    /// Tensors of the state.
    pub fn state(&self) -> usize {
        self.start.outputs.len()
    }

    /// Whether a step says where it looked.
    pub fn attends(&self) -> bool {
        self.step.outputs.len() > 1 + self.state()
    }

    /// Several decoders of one vocabulary that read the same features as one, which writes by the mean of their probabilities: its
    /// memory and state are its members' side by side, its attention the mean of those that attend. The parameters of member
    /// n begin with `<n>.`.
    pub fn ensemble(members: &[Description]) -> Description {
        let prefixes: Vec<String> = (0..members.len()).map(|number| format!("{number}.")).collect();
        let members = || members.iter().zip(prefixes.iter().map(String::as_str));
        let parameters = members().flat_map(|(member, prefix)| {
            let named = move |parameter: &Parameter| {
                let name = format!("{prefix}{}", parameter.name);
                Parameter { name, ..parameter.clone() }
            };
            member.parameters.iter().map(named)
        });
        let parameters = parameters.collect();
        let (memory, state): (Vec<usize>, Vec<usize>) =
            members().map(|(member, _)| (member.memory(), member.state())).unzip();
        let encode = Builder::graph(1, |graph, grid| {
            members().flat_map(|(member, prefix)| graph.inline(&member.encode, grid, prefix)).collect()
        });
        let start = Builder::graph(memory.iter().sum(), |graph, memories| {
            let parts = split(memories, &memory).into_iter();
            members()
                .zip(parts)
                .flat_map(|((member, prefix), memory)| graph.inline(&member.start, memory, prefix))
                .collect()
        });
        let inputs = memory.iter().chain(&state).sum::<usize>() + 1;
        let step = Builder::graph(inputs, |graph, inputs| {
            let (memories, rest) = inputs.split_at(memory.iter().sum());
            let (states, word) = rest.split_at(rest.len() - 1);
            let (mut scores, mut next, mut attention) = (vec![], vec![], vec![]);
            let parts = split(memories, &memory).into_iter().zip(split(states, &state));
            for ((member, prefix), (memory, state)) in members().zip(parts) {
                let outputs = graph.inline(&member.step, &[memory, state, word].concat(), prefix);
                let (own, rest) = outputs.split_at(1);
                let (states, looks) = rest.split_at(member.state());
                scores.extend(own);
                next.extend(states);
                attention.extend(looks);
            }
            let scores = graph.add(Layer::MeanProbability, &scores);
            let attention = (!attention.is_empty()).then(|| graph.add(Layer::Average, &attention));
            [scores].into_iter().chain(next).chain(attention).collect()
        });
        Description { parameters, encode, start, step, parts: vec![] }
    }
}

/// Values taken apart, so many for each member.
fn split<'a>(mut values: &'a [Value], counts: &[usize]) -> Vec<&'a [Value]> {
    let part = |&count: &usize| {
        let (part, rest) = values.split_at(count);
        values = rest;
        part
    };
    counts.iter().map(part).collect()
}

/// A graph in the making.
pub(super) struct Builder {
    nodes: Vec<Node>,
    /// Values so far.
    values: usize,
}

impl Builder {
    /// The graph that `build` makes of so many inputs, with the outputs that it returns.
    pub(super) fn graph(inputs: usize, build: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) -> Graph {
        let mut builder = Builder { nodes: vec![], values: inputs };
        let outputs = build(&mut builder, &(0..inputs).map(Value).collect::<Vec<_>>());
        Graph { inputs, nodes: builder.nodes, outputs }
    }

    /// A layer with one output.
    pub(super) fn add(&mut self, layer: Layer, inputs: &[Value]) -> Value {
        self.several(layer, inputs)[0]
    }

    /// A layer with two.
    pub(super) fn add_two(&mut self, layer: Layer, inputs: &[Value]) -> (Value, Value) {
        let outputs = self.several(layer, inputs);
        (outputs[0], outputs[1])
    }

    fn several(&mut self, layer: Layer, inputs: &[Value]) -> Vec<Value> {
        let outputs = (self.values..self.values + layer.outputs()).map(Value).collect::<Vec<_>>();
        self.values += outputs.len();
        self.nodes.push(Node { layer, inputs: inputs.to_vec() });
        outputs
    }

    /// The layers of another graph, whose parameters begin with `prefix` here.
    fn inline(&mut self, graph: &Graph, inputs: &[Value], prefix: &str) -> Vec<Value> {
        let mut values = inputs.to_vec();
        let of = |values: &[Value], inside: &[Value]| {
            inside.iter().map(|value| values[value.0]).collect::<Vec<_>>()
        };
        for node in &graph.nodes {
            let inputs = of(&values, &node.inputs);
            values.extend(self.several(node.layer.below(prefix), &inputs));
        }
        of(&values, &graph.outputs)
    }

    pub(super) fn linear(&mut self, name: &str, x: Value) -> Value {
        self.add(Layer::Linear { weight: format!("{name}.weight"), bias: format!("{name}.bias") }, &[x])
    }

    pub(super) fn embedding(&mut self, name: &str, words: Value) -> Value {
        self.add(Layer::Embedding(name.to_owned()), &[words])
    }

    pub(super) fn dropout(&mut self, share: f64, x: Value) -> Value {
        self.add(Layer::Dropout(share), &[x])
    }

    /// `[rows, regions, size]` → `[rows, size]`.
    pub(super) fn mean_region(&mut self, regions: Value) -> Value {
        self.add(Layer::Mean(1), &[regions])
    }
}

/// Parameters in the making.
#[derive(Default)]
pub(super) struct Parameters(pub(super) Vec<Parameter>);

impl Parameters {
    pub(super) fn add(&mut self, name: impl Into<String>, shape: &[i64], init: Init) {
        self.0.push(Parameter { name: name.into(), shape: shape.to_vec(), init, by_word: false });
    }

    pub(super) fn add_by_word(&mut self, name: impl Into<String>, shape: &[i64], init: Init) {
        self.0.push(Parameter { name: name.into(), shape: shape.to_vec(), init, by_word: true });
    }

    /// Weights uniform in ±√(6 / inputs) (He et al. 2015, <https://arxiv.org/abs/1502.01852>), biases in ±1/√inputs.
    pub(super) fn linear(&mut self, name: &str, inputs: i64, outputs: i64) {
        let [bias, weight] = linear_inits(inputs);
        self.add(format!("{name}.bias"), &[outputs], bias);
        self.add(format!("{name}.weight"), &[outputs, inputs], weight);
    }

    /// The linear layer that scores words.
    pub(super) fn output(&mut self, name: &str, inputs: i64, words: i64) {
        let [bias, weight] = linear_inits(inputs);
        self.add_by_word(format!("{name}.bias"), &[words], bias);
        self.add_by_word(format!("{name}.weight"), &[words, inputs], weight);
    }

    /// Word vectors, drawn with a standard deviation of 1/√size.
    pub(super) fn embedding(&mut self, name: &str, words: i64, size: i64) {
        let init = Init::Normal(1.0 / (size as f64).sqrt());
        self.add_by_word(format!("{name}.weight"), &[words, size], init);
    }

    pub(super) fn layer_norm(&mut self, name: &str, size: i64) {
        self.add(format!("{name}.weight"), &[size], Init::Constant(1.0));
        self.add(format!("{name}.bias"), &[size], Init::Constant(0.0));
    }

    pub(super) fn lstm(&mut self, name: &str, inputs: i64, hidden: i64) {
        let init = Init::Uniform(1.0 / (hidden as f64).sqrt());
        self.add(format!("{name}.weight_ih"), &[4 * hidden, inputs], init);
        self.add(format!("{name}.weight_hh"), &[4 * hidden, hidden], init);
        self.add(format!("{name}.bias_ih"), &[4 * hidden], init);
        self.add(format!("{name}.bias_hh"), &[4 * hidden], init);
    }
}

fn linear_inits(inputs: i64) -> [Init; 2] {
    let root = (inputs as f64).sqrt();
    [Init::Uniform(1.0 / root), Init::Uniform(3f64.sqrt() * (2f64.sqrt() / root))]
}
