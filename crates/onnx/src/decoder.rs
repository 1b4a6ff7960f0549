//! A decoder as two ONNX graphs: the other interpreter of its description.

use model::decoder::description::{Description, Graph as Layers, Layer, NORM_EPSILON, Node, Value};
use model::weights::{Array, NamedArrays, WeightsError};

use crate::graph::{Graph, Name, Size, Told};

/// What the first graph is given.
pub(crate) const GRID: &str = "grid";
/// What the second is given beside memory and state.
pub(crate) const WORDS: &str = "words";

/// What the second gives first.
pub(crate) const LOG_PROBABILITIES: &str = "log_probabilities";
/// What it gives last, if the decoder attends.
pub(crate) const ATTENTION: &str = "attention";

/// A tensor of the memory, or of the state that goes in or comes out.
pub(crate) fn memory(number: usize) -> String {
    format!("memory_{number}")
}

/// See [`memory`].
pub(crate) fn state(number: usize) -> String {
    format!("state_{number}")
}

/// See [`memory`].
pub(crate) fn next_state(number: usize) -> String {
    format!("next_state_{number}")
}

/// The ONNX files of a decoder.
#[derive(Clone, Debug)]
pub struct DecoderModels {
    /// `grid [images, regions, channels]` → the memory `memory_<n>`, then the state before the first word `state_<n>`, each with one
    /// row per image.
    pub encode: Vec<u8>,
    /// The memory and the state, with one row per hypothesis, and the last word of each, `words [rows]` (first `<bos>`), of 64-bit
    /// integers → `log_probabilities [rows, vocabulary]` of the next one, the state `next_state_<n>`, and for decoders that attend
    /// `attention [rows, regions]`.
    pub step: Vec<u8>,
}

impl DecoderModels {
    /// Those of a decoder with these parameters.
    ///
    /// # Errors
    ///
    /// A parameter that is absent or of another shape, by its name.
    pub fn new(description: &Description, parameters: &NamedArrays) -> Result<DecoderModels, WeightsError> {
        description.check(parameters)?;
        let mut graph = Graph::default();
        let grid = Walk { graph: &mut graph, parameters }.input(GRID, 3);
        let known = encode(&mut graph, description, parameters, grid.name);
        let step = step(Graph::default(), description, parameters, &known);
        Ok(DecoderModels { encode: graph.finish("encode"), step })
    }
}

/// Adds what makes the memory and the state before the first word of a grid `[images, regions, channels]`, and gives them out;
/// says their names, memory first. The parameters are those of the description.
pub(crate) fn encode(
    graph: &mut Graph,
    description: &Description,
    parameters: &NamedArrays,
    grid: Name,
) -> Vec<Ranked> {
    let mut walk = Walk { graph, parameters };
    let encoded = walk.layers(&description.encode, &[Ranked { name: grid, rank: 3 }]);
    let started = walk.layers(&description.start, &encoded);
    let named = (0..).map(memory).zip(&encoded).chain((0..).map(state).zip(&started));
    let given = named.map(|(name, value)| {
        walk.output(&name, value);
        Ranked { name, rank: value.rank }
    });
    given.collect()
}

/// The ONNX file of a step, which takes what [`encode`] gives; `graph` is empty still.
pub(crate) fn step(
    mut graph: Graph,
    description: &Description,
    parameters: &NamedArrays,
    known: &[Ranked],
) -> Vec<u8> {
    graph.reserve(parameters.arrays().values().map(Array::elements).sum());
    let mut step = Walk { graph: &mut graph, parameters };
    let mut inputs: Vec<Ranked> = known.iter().map(|value| step.input(&value.name, value.rank)).collect();
    step.graph.input_of_ints(WORDS, &[Size::Free("rows")]);
    inputs.push(Ranked { name: WORDS.to_owned(), rank: 1 });
    let outputs = step.layers(&description.step, &inputs);
    let (scores, rest) = outputs.split_at(1);
    for scores in scores {
        let log_probabilities = step.unary("LogSoftmax", scores, &[Told::Int("axis", -1)]);
        step.output(LOG_PROBABILITIES, &log_probabilities);
    }
    let (states, attention) = rest.split_at(description.state());
    (0..).map(next_state).zip(states).for_each(|(name, value)| step.output(&name, value));
    attention.iter().for_each(|attention| step.output(ATTENTION, attention));
    graph.finish("step")
}

/// A value, and how many dimensions it has.
#[derive(Clone)]
pub(crate) struct Ranked {
    pub(crate) name: Name,
    rank: usize,
}

struct Walk<'a> {
    graph: &'a mut Graph,
    parameters: &'a NamedArrays,
}

impl Walk<'_> {
    /// An input with rows.
    fn input(&mut self, name: &str, rank: usize) -> Ranked {
        Ranked {
            name: self
                .graph
                .input(name, &sizes(name, rank).iter().map(|size| Size::Free(size)).collect::<Vec<_>>()),
            rank,
        }
    }

    fn output(&mut self, name: &str, of: &Ranked) {
        let sizes = sizes(name, of.rank);
        self.graph.output(name, &of.name, &sizes.iter().map(|size| Size::Free(size)).collect::<Vec<_>>());
    }

    fn layers(&mut self, layers: &Layers, inputs: &[Ranked]) -> Vec<Ranked> {
        let mut values = inputs.to_vec();
        let of = |values: &[Ranked], inside: &[Value]| {
            inside.iter().map(|value| values[value.0].clone()).collect::<Vec<_>>()
        };
        for Node { layer, inputs } in &layers.nodes {
            let inputs = of(&values, inputs);
            values.extend(self.layer(layer, &inputs));
        }
        of(&values, &layers.outputs)
    }

    fn layer(&mut self, layer: &Layer, inputs: &[Ranked]) -> Vec<Ranked> {
        let x = &inputs[0..inputs.len().min(1)];
        match (layer, inputs) {
            (Layer::Lstm(name), [input, hidden, cell]) => self.lstm(name, input, hidden, cell).into(),
            (Layer::Attention { heads, query, output }, [x, keys, values, mask @ ..]) => {
                self.attention(*heads, [query, output], x, [keys, values], mask.first()).into()
            }
            (Layer::Parameter(name), _) => vec![self.parameter(name)],
            (Layer::Linear { weight, bias }, [x]) => vec![self.linear(weight, bias, x, 1.0)],
            (Layer::Energies { query, energy }, [keys, hidden]) => {
                vec![self.energies(query, energy, keys, hidden)]
            }
            (Layer::Positions(size), [words, earlier @ ..]) => {
                vec![self.positions(*size, words, earlier.first())]
            }
            (Layer::MeanProbability, several) => vec![self.mean_probability(several)],
            (_, [a, b, ..]) => vec![self.of_several(layer, a, b, inputs)],
            _ => x.iter().map(|x| self.of_one(layer, x)).collect(),
        }
    }

    /// Layers of one value.
    fn of_one(&mut self, layer: &Layer, x: &Ranked) -> Ranked {
        let rank = x.rank;
        match layer {
            Layer::Embedding(name) => {
                let name = format!("{name}.weight");
                let (shape, values) = self.array(&name);
                let table = self.graph.weights(&name, &shape, 0, || values);
                let name = self.graph.add("Gather", &[&table, &x.name], &[Told::Int("axis", 0)]);
                Ranked { name, rank: rank + 1 }
            }
            Layer::LayerNorm(name) => {
                let [scale, bias] =
                    ["weight", "bias"].map(|part| self.parameter(&format!("{name}.{part}")).name);
                let told = [Told::Int("axis", -1), Told::Float("epsilon", NORM_EPSILON as f32)];
                Ranked { name: self.graph.add("LayerNormalization", &[&x.name, &scale, &bias], &told), rank }
            }
            Layer::Heads(heads) => self.heads(*heads, x),
            Layer::Relu => self.unary("Relu", x, &[]),
            Layer::Tanh => self.unary("Tanh", x, &[]),
            Layer::Sigmoid => self.unary("Sigmoid", x, &[]),
            Layer::Softmax => self.unary("Softmax", x, &[Told::Int("axis", -1)]),
            Layer::Largest => {
                let at =
                    self.graph.add("ArgMax", &[&x.name], &[Told::Int("axis", -1), Told::Int("keepdims", 0)]);
                let size = self.sizes_of(x, -1, None);
                let marks = self.graph.constant("marks", &[2], || vec![0.0, 1.0]);
                Ranked {
                    name: self.graph.add("OneHot", &[&at, &size, &marks], &[Told::Int("axis", -1)]),
                    rank,
                }
            }
            Layer::Scale(factor) => {
                let factor = self.graph.scalar(*factor as f32);
                Ranked { name: self.graph.add("Mul", &[&x.name, &factor], &[]), rank }
            }
            Layer::Mean(axis) => {
                let told = [Told::Ints("axes", &[*axis]), Told::Int("keepdims", 0)];
                Ranked { name: self.graph.add("ReduceMean", &[&x.name], &told), rank: rank - 1 }
            }
            Layer::Unsqueeze(axis) => self.with_axis("Unsqueeze", *axis, x, rank + 1),
            Layer::Squeeze(axis) => self.with_axis("Squeeze", *axis, x, rank - 1),
            Layer::Flatten => {
                let (all, rest) = (self.graph.ints(&[-1]), self.sizes_of(x, 2, None));
                self.reshaped(x, &[&all, &rest], rank - 1)
            }
            Layer::Zeros(shape) => {
                let (rows, shape_of_row) = (self.sizes_of(x, 0, Some(1)), self.graph.ints(shape));
                let all = self.graph.add("Concat", &[&rows, &shape_of_row], &[Told::Int("axis", 0)]);
                Ranked { name: self.graph.add("ConstantOfShape", &[&all], &[]), rank: 1 + shape.len() }
            }
            // In use nothing is dropped, and the mean of one is itself.
            _ => x.clone(),
        }
    }

    /// Layers of two values or more.
    fn of_several(&mut self, layer: &Layer, a: &Ranked, b: &Ranked, all: &[Ranked]) -> Ranked {
        let names: Vec<&str> = all.iter().map(|value| value.name.as_str()).collect();
        let (operator, told) = match layer {
            Layer::PerImage => {
                let images = self.sizes_of(b, 0, Some(1));
                let (rows, size) = (self.graph.ints(&[-1]), self.sizes_of(a, -1, None));
                return self.reshaped(a, &[&images, &rows, &size], 3);
            }
            Layer::Like => {
                let (leading, size) = (self.sizes_of(b, 0, Some(-1)), self.sizes_of(a, -1, None));
                return self.reshaped(a, &[&leading, &size], b.rank);
            }
            Layer::Concat(axis) => ("Concat", vec![Told::Int("axis", *axis)]),
            Layer::Multiply => ("Mul", vec![]),
            Layer::BatchedProduct => ("MatMul", vec![]),
            Layer::Average => ("Mean", vec![]),
            _ => ("Add", vec![]),
        };
        Ranked { name: self.graph.add(operator, &names, &told), rank: a.rank }
    }

    fn unary(&mut self, operator: &str, x: &Ranked, told: &[Told]) -> Ranked {
        Ranked { name: self.graph.add(operator, &[&x.name], told), rank: x.rank }
    }

    fn with_axis(&mut self, operator: &str, axis: i64, x: &Ranked, rank: usize) -> Ranked {
        let axis = self.graph.ints(&[axis]);
        Ranked { name: self.graph.add(operator, &[&x.name, &axis], &[]), rank }
    }

    /// Some sizes of x, in a row.
    fn sizes_of(&mut self, x: &Ranked, start: i64, end: Option<i64>) -> Name {
        let end = end.map(|end| Told::Int("end", end));
        let told: Vec<Told> = [Told::Int("start", start)].into_iter().chain(end).collect();
        self.graph.add("Shape", &[&x.name], &told)
    }

    /// x in a shape that is put together of rows of sizes.
    fn reshaped(&mut self, x: &Ranked, sizes: &[&str], rank: usize) -> Ranked {
        let shape = self.graph.add("Concat", sizes, &[Told::Int("axis", 0)]);
        Ranked { name: self.graph.add("Reshape", &[&x.name, &shape], &[]), rank }
    }

    fn array(&self, name: &str) -> (Vec<i64>, Vec<f32>) {
        // The description was checked before the walk began.
        let array = self.parameters.arrays().get(name);
        array.map(|array: &Array| (array.shape().to_vec(), array.to_f32())).unwrap_or_default()
    }

    fn parameter(&mut self, name: &str) -> Ranked {
        let shape =
            self.parameters.arrays().get(name).map(|array| array.shape().to_vec()).unwrap_or_default();
        let values = self.parameters.arrays().get(name);
        let values = || values.map(Array::to_f32).unwrap_or_default();
        Ranked { name: self.graph.constant(name, &shape, values), rank: shape.len() }
    }

    /// `factor · (x Wᵀ + b)`, where the factor is a power of two, which no rounding sees.
    fn linear(&mut self, weight: &str, bias: &str, x: &Ranked, factor: f32) -> Ranked {
        let (shape, values) = self.array(weight);
        let [outputs, inputs] = shape[..] else { return x.clone() };
        let said = |name: &str| if factor == 1.0 { name.to_owned() } else { format!("{name}.{factor}") };
        let transposed = || transposed(&values, inputs as usize, factor);
        let weight =
            self.graph.weights(&format!("{}.transposed", said(weight)), &[inputs, outputs], 1, transposed);
        let (_, values) = self.array(bias);
        let bias = self
            .graph
            .constant(&said(bias), &[outputs], || values.iter().map(|value| factor * value).collect());
        let product = self.graph.add("MatMul", &[&x.name, &weight], &[]);
        Ranked { name: self.graph.add("Add", &[&product, &bias], &[]), rank: x.rank }
    }

    /// One product for input and hidden state together.
    fn lstm(&mut self, name: &str, input: &Ranked, hidden: &Ranked, cell: &Ranked) -> [Ranked; 2] {
        let [(of_input, input_weights), (of_hidden, hidden_weights)] =
            ["weight_ih", "weight_hh"].map(|part| self.array(&format!("{name}.{part}")));
        let [inputs, hiddens] = [&of_input, &of_hidden].map(|shape| shape.get(1).copied().unwrap_or(0));
        let weights = || {
            let [inputs, hiddens] = [inputs, hiddens].map(|columns| columns as usize);
            [transposed(&input_weights, inputs, 1.0), transposed(&hidden_weights, hiddens, 1.0)].concat()
        };
        let gates = of_input.first().copied().unwrap_or(0);
        let weight =
            self.graph.weights(&format!("{name}.weight.transposed"), &[inputs + hiddens, gates], 1, weights);
        let [(_, of_input), (_, of_hidden)] =
            ["bias_ih", "bias_hh"].map(|part| self.array(&format!("{name}.{part}")));
        let biases = || of_input.iter().zip(&of_hidden).map(|(a, b)| a + b).collect();
        let bias = self.graph.constant(&format!("{name}.bias"), &[gates], biases);
        let joined = self.graph.add("Concat", &[&input.name, &hidden.name], &[Told::Int("axis", 1)]);
        let product = self.graph.add("MatMul", &[&joined, &weight], &[]);
        let all = self.graph.add("Add", &[&product, &bias], &[]);
        let [write, keep, new, tell] = self.graph.add_several("Split", &[&all], &[Told::Int("axis", 1)]);
        let [write, keep, tell] = [write, keep, tell].map(|gate| self.graph.add("Sigmoid", &[&gate], &[]));
        let new = self.graph.add("Tanh", &[&new], &[]);
        let kept = self.graph.add("Mul", &[&keep, &cell.name], &[]);
        let written = self.graph.add("Mul", &[&write, &new], &[]);
        let cell = self.graph.add("Add", &[&kept, &written], &[]);
        let seen = self.graph.add("Tanh", &[&cell], &[]);
        let hidden = self.graph.add("Mul", &[&tell, &seen], &[]);
        [hidden, cell].map(|name| Ranked { name, rank: 2 })
    }

    fn energies(&mut self, query: &str, energy: &str, keys: &Ranked, hidden: &Ranked) -> Ranked {
        let query = self.linear(&format!("{query}.weight"), &format!("{query}.bias"), hidden, 2.0);
        let query = self.with_axis("Unsqueeze", 2, &query, 4);
        let keys = self.with_axis("Unsqueeze", 1, keys, 4);
        let compared = self.graph.add("Add", &[&keys.name, &query.name], &[]);
        let compared = self.graph.add("Sigmoid", &[&compared], &[]);
        let weight = format!("{energy}.weight");
        let (shape, values) = self.array(&weight);
        let size = shape.get(1).copied().unwrap_or(0);
        let doubled = || values.iter().map(|value| 2.0 * value).collect();
        let weight = self.graph.constant(&format!("{weight}.2.transposed"), &[size, 1], doubled);
        let name = self.graph.add("MatMul", &[&compared, &weight], &[]);
        self.with_axis("Squeeze", -1, &Ranked { name, rank: 4 }, 3)
    }

    /// `[rows, positions, size]` → `[rows, heads, positions, size / heads]`.
    fn heads(&mut self, heads: i64, x: &Ranked) -> Ranked {
        let shape = self.graph.ints(&[0, 0, heads, -1]);
        let split = self.graph.add("Reshape", &[&x.name, &shape], &[]);
        Ranked { name: self.graph.add("Transpose", &[&split], &[Told::Ints("perm", &[0, 2, 1, 3])]), rank: 4 }
    }

    fn attention(
        &mut self,
        heads: i64,
        [query, output]: [&str; 2],
        x: &Ranked,
        [keys, values]: [&Ranked; 2],
        mask: Option<&Ranked>,
    ) -> [Ranked; 2] {
        let (shape, _) = self.array(&format!("{query}.weight"));
        let size = shape.first().copied().unwrap_or(0);
        let query = self.linear(&format!("{query}.weight"), &format!("{query}.bias"), x, 1.0);
        let query = self.heads(heads, &query);
        let root = self.graph.scalar(((size / heads) as f32).sqrt());
        let query = self.graph.add("Div", &[&query.name, &root], &[]);
        let keys = self.graph.add("Transpose", &[&keys.name], &[Told::Ints("perm", &[0, 1, 3, 2])]);
        let mut energy = self.graph.add("MatMul", &[&query, &keys], &[]);
        if let Some(mask) = mask {
            energy = self.graph.add("Add", &[&energy, &mask.name], &[]);
        }
        let attention = self.graph.add("Softmax", &[&energy], &[Told::Int("axis", -1)]);
        let found = self.graph.add("MatMul", &[&attention, &values.name], &[]);
        let found = self.graph.add("Transpose", &[&found], &[Told::Ints("perm", &[0, 2, 1, 3])]);
        let shape = self.graph.ints(&[0, 0, size]);
        let found = Ranked { name: self.graph.add("Reshape", &[&found, &shape], &[]), rank: 3 };
        let found = self.linear(&format!("{output}.weight"), &format!("{output}.bias"), &found, 1.0);
        [found, Ranked { name: attention, rank: 4 }]
    }

    fn positions(&mut self, size: i64, words: &Ranked, earlier: Option<&Ranked>) -> Ranked {
        let (zero, one) = (self.graph.ints(&[0]), self.graph.ints(&[1]));
        let count = self.sizes_of(words, 1, Some(2));
        let [start, step, end] = [&zero, &one, &count].map(|row| {
            let axis = self.graph.ints(&[0]);
            self.graph.add("Squeeze", &[row, &axis], &[])
        });
        let mut positions = self.graph.add("Range", &[&start, &end, &step], &[]);
        if let Some(keys) = earlier {
            let first = self.sizes_of(keys, 2, Some(3));
            positions = self.graph.add("Add", &[&positions, &first], &[]);
        }
        let positions = self.graph.add("Cast", &[&positions], &[Told::Int("to", 1)]);
        let positions = self.graph.add("Unsqueeze", &[&positions, &one], &[]);
        let half = size / 2;
        let rate = |number: i64| (number as f64 * -(10_000f64.ln()) / half as f64).exp() as f32;
        let rates = self.graph.constant(&format!("rates_{size}"), &[half], || (0..half).map(rate).collect());
        let angle = self.graph.add("Mul", &[&positions, &rates], &[]);
        let [sine, cosine] = ["Sin", "Cos"].map(|operator| self.graph.add(operator, &[&angle], &[]));
        Ranked { name: self.graph.add("Concat", &[&sine, &cosine], &[Told::Int("axis", 1)]), rank: 2 }
    }

    fn mean_probability(&mut self, several: &[Ranked]) -> Ranked {
        let zero = self.graph.ints(&[0]);
        let logs: Vec<Name> = several
            .iter()
            .map(|scores| {
                let logs = self.graph.add("LogSoftmax", &[&scores.name], &[Told::Int("axis", -1)]);
                self.graph.add("Unsqueeze", &[&logs, &zero], &[])
            })
            .collect();
        let logs: Vec<&str> = logs.iter().map(String::as_str).collect();
        let stacked = self.graph.add("Concat", &logs, &[Told::Int("axis", 0)]);
        let told = [Told::Ints("axes", &[0]), Told::Int("keepdims", 0)];
        let sum = self.graph.add("ReduceLogSumExp", &[&stacked], &told);
        let count = self.graph.scalar((several.len() as f32).ln());
        Ranked { name: self.graph.add("Sub", &[&sum, &count], &[]), rank: 2 }
    }
}

/// `factor · Wᵀ` of W with so many columns.
fn transposed(values: &[f32], columns: usize, factor: f32) -> Vec<f32> {
    let column =
        |column: usize| values.iter().skip(column).step_by(columns.max(1)).map(move |value| factor * value);
    (0..columns).flat_map(column).collect()
}

/// Names for the sizes of a value with rows.
fn sizes(name: &str, rank: usize) -> Vec<String> {
    (0..rank).map(|axis| if axis == 0 { "rows".to_owned() } else { format!("{name}_{axis}") }).collect()
}
