//! An ONNX graph in the making.

use std::collections::HashSet;

use half::f16;
use half::slice::HalfFloatSliceExt;
use prost::Message;

use crate::int8::{WeightFormat, quantize};
use crate::proto::{self, FLOAT, FLOAT16, INT8, INT64};

/// One set of operators for all graphs: the first with layer normalisation.
const OPSET: i64 = 17;
/// What files of that set are, at least.
const IR_VERSION: i64 = 8;

/// Fewer numbers are not worth an operator that widens them.
const WORTH_NARROWING: usize = 1024;

/// A value of the graph, by its name.
pub(crate) type Name = String;

/// Something beside the inputs that an operator is told.
pub(crate) enum Told<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Float(&'a str, f32),
}

/// A size in the shape of an input or output.
#[derive(Clone, Copy)]
pub(crate) enum Size<'a> {
    Fixed(i64),
    /// One that a run decides, by a name.
    Free(&'a str),
}

/// Operators in the order in which they compute.
///
/// The numbers are written at once, because they are large: a message of protocol buffers may come in pieces, which a reader joins.
#[derive(Default)]
pub(crate) struct Graph {
    graph: proto::Graph,
    /// The file so far.
    file: Vec<u8>,
    constants: HashSet<String>,
    values: usize,
    /// What the names of constants begin with now.
    scope: String,
    weights: WeightFormat,
}

impl Graph {
    /// A graph that holds its [`weights`](Self::weights) so.
    pub(crate) fn of(weights: WeightFormat) -> Graph {
        Graph { weights, ..Graph::default() }
    }

    /// Makes room for about so many numbers more.
    pub(crate) fn reserve(&mut self, numbers: usize) {
        self.file.reserve(numbers * size_of::<f32>() + (1 << 16));
    }

    /// Puts the constants that follow under names that begin so: two networks in one graph may call their weights alike.
    pub(crate) fn enter(&mut self, scope: &str) {
        self.scope = scope.to_owned();
    }

    /// An operator with one output.
    pub(crate) fn add(&mut self, operator: &str, inputs: &[&str], told: &[Told]) -> Name {
        let name = self.fresh(operator);
        self.operator(operator, inputs, vec![name.clone()], told);
        name
    }

    /// An operator with several.
    pub(crate) fn add_several<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        told: &[Told],
    ) -> [Name; N] {
        let names = [(); N].map(|()| self.fresh(operator));
        self.operator(operator, inputs, names.to_vec(), told);
        names
    }

    fn fresh(&mut self, operator: &str) -> Name {
        self.values += 1;
        format!("{operator}_{}", self.values)
    }

    fn operator(&mut self, operator: &str, inputs: &[&str], output: Vec<Name>, told: &[Told]) {
        let attribute = |told: &Told| match *told {
            Told::Int(name, i) => {
                proto::Attribute { name: name.to_owned(), i, kind: 2, ..Default::default() }
            }
            Told::Ints(name, ints) => {
                proto::Attribute { name: name.to_owned(), ints: ints.to_vec(), kind: 7, ..Default::default() }
            }
            Told::Float(name, f) => {
                proto::Attribute { name: name.to_owned(), f, kind: 1, ..Default::default() }
            }
        };
        self.graph.node.push(proto::Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            name: output.first().cloned().unwrap_or_default(),
            output,
            op_type: operator.to_owned(),
            attribute: told.iter().map(attribute).collect(),
        });
    }

    /// Numbers that the graph holds, under a name of their own; made only when there is none of that name.
    ///
    /// Those that half precision holds exactly are written in it: a file of halves stays small.
    pub(crate) fn constant(&mut self, name: &str, shape: &[i64], values: impl FnOnce() -> Vec<f32>) -> Name {
        let (name, is_new) = self.scoped(name);
        if is_new {
            self.hold(&name, shape, &values());
        }
        name
    }

    /// The weights of a layer, whose output channels lie along `axis`: numbers as in [`constant`](Self::constant), or bytes if
    /// the graph holds its weights in them.
    pub(crate) fn weights(
        &mut self,
        name: &str,
        shape: &[i64],
        axis: usize,
        values: impl FnOnce() -> Vec<f32>,
    ) -> Name {
        let (name, is_new) = self.scoped(name);
        if !is_new {
            return name;
        }
        let values = values();
        // What is not finite has no scale: it is held as it is, and not made to look sound.
        let fits = values.len() >= WORTH_NARROWING && values.iter().all(|value| value.is_finite());
        if self.weights == WeightFormat::Exact || !fits {
            self.hold(&name, shape, &values);
            return name;
        }
        let channels = shape[axis] as usize;
        let stride = shape[axis + 1..].iter().product::<i64>() as usize;
        let quantized = quantize(&values, channels, stride);
        // Along the other axes all share a scale.
        let mut shape_of_scales = vec![1; shape.len()];
        shape_of_scales[axis] = shape[axis];
        let [bytes, scales, wide] = ["int8", "scales", "wide"].map(|part| format!("{name}.{part}"));
        self.initialize(&bytes, shape, INT8, quantized.bytes);
        self.initialize(&scales, &shape_of_scales, FLOAT, little_endian(&quantized.scales));
        // Not DequantizeLinear, which ONNX Runtime would do again in each run: of these it keeps the result.
        self.operator("Cast", &[&bytes], vec![wide.clone()], &[Told::Int("to", FLOAT.into())]);
        self.operator("Mul", &[&wide, &scales], vec![name.clone()], &[]);
        name
    }

    /// The full name of a constant, and whether it is the first of that name.
    fn scoped(&mut self, name: &str) -> (Name, bool) {
        let name = format!("{}{name}", self.scope);
        let is_new = self.constants.insert(name.clone());
        (name, is_new)
    }

    fn hold(&mut self, name: &str, shape: &[i64], values: &[f32]) {
        let mut halves = vec![f16::ZERO; values.len()];
        halves.convert_from_f32_slice(values);
        let exact = values.iter().zip(&halves).all(|(value, half)| half.to_f32() == *value);
        if exact && values.len() >= WORTH_NARROWING {
            let half = format!("{name}.half");
            self.initialize(&half, shape, FLOAT16, halves.into_iter().flat_map(f16::to_le_bytes).collect());
            self.operator("Cast", &[&half], vec![name.to_owned()], &[Told::Int("to", FLOAT.into())]);
        } else {
            self.initialize(name, shape, FLOAT, little_endian(values));
        }
    }

    /// Whole numbers in a row.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Name {
        let name = format!("ints_{}", values.iter().map(i64::to_string).collect::<Vec<_>>().join("_"));
        if self.constants.insert(name.clone()) {
            let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.initialize(&name, &[values.len() as i64], INT64, raw_data);
        }
        name
    }

    /// One number without dimensions.
    pub(crate) fn scalar(&mut self, value: f32) -> Name {
        self.constant(&format!("number_{value}"), &[], || vec![value])
    }

    fn initialize(&mut self, name: &str, shape: &[i64], data_type: i32, raw_data: Vec<u8>) {
        let (name, dims) = (name.to_owned(), shape.to_vec());
        let initializer = vec![proto::Tensor { dims, data_type, name, raw_data }];
        self.write(proto::Graph { initializer, ..Default::default() }, proto::Model::default());
    }

    /// An input of f32.
    pub(crate) fn input(&mut self, name: &str, shape: &[Size]) -> Name {
        self.graph.input.push(value(name, FLOAT, shape));
        name.to_owned()
    }

    /// An input of 64-bit integers.
    pub(crate) fn input_of_ints(&mut self, name: &str, shape: &[Size]) -> Name {
        self.graph.input.push(value(name, INT64, shape));
        name.to_owned()
    }

    /// An output of f32, which is a value of the graph.
    pub(crate) fn output(&mut self, name: &str, of: &str, shape: &[Size]) {
        self.operator("Identity", &[of], vec![name.to_owned()], &[]);
        self.graph.output.push(value(name, FLOAT, shape));
    }

    /// Another piece of the file.
    fn write(&mut self, graph: proto::Graph, model: proto::Model) {
        let piece = proto::Model { graph: Some(graph), ..model };
        self.file.reserve(piece.encoded_len());
        piece.encode_raw(&mut self.file);
    }

    /// The bytes of a file.
    pub(crate) fn finish(mut self, name: &str) -> Vec<u8> {
        let graph = proto::Graph { name: name.to_owned(), ..std::mem::take(&mut self.graph) };
        let model = proto::Model {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            opset_import: vec![proto::OperatorSet { domain: String::new(), version: OPSET }],
            ..Default::default()
        };
        self.write(graph, model);
        self.file
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn value(name: &str, elem_type: i32, shape: &[Size]) -> proto::ValueInfo {
    let dimension = |size: &Size| match *size {
        Size::Fixed(size) => proto::Dimension { value: Some(size), param: None },
        Size::Free(name) => proto::Dimension { value: None, param: Some(name.to_owned()) },
    };
    let shape = proto::Shape { dim: shape.iter().map(dimension).collect() };
    let tensor = proto::TensorType { elem_type, shape: Some(shape) };
    proto::ValueInfo { name: name.to_owned(), kind: Some(proto::Type { tensor: Some(tensor) }) }
}
