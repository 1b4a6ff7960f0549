//! A look at the bytes of an ONNX file of others before ONNX Runtime reads them.

use prost::Message;

use crate::proto::read::{Attribute, Function, Graph, Model, Node, Sparse, Tensor, ValueInfo};
use crate::session::Port;

/// Most numbers of one value of the network, as its file declares it.
pub(crate) const MOST_NUMBERS: u64 = 1 << 28;
/// `TensorProto.EXTERNAL`
const EXTERNAL: i32 = 1;

/// What an ONNX file must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// No protocol buffers, or cut.
    #[error("no whole ONNX file, export or fetch it again: {0}")]
    Malformed(String),
    /// What it holds is no ONNX network.
    #[error("no ONNX file: it holds no network")]
    Empty,
    /// In the format of ONNX Runtime, which is not a public one.
    #[error(
        "a file in ONNX Runtime's own format, not in that of ONNX: convert the .onnx file that it was made of no further"
    )]
    Ort,
    /// Weights lie in another file.
    #[error(
        "the weights `{tensor}` lie outside the file, in {place:?}: networks with weights outside the file are not read; save it \
         as one file (onnx.save of Python's onnx does, and torch.onnx.export with external_data=False)"
    )]
    External {
        /// Name of the first tensor that does.
        tensor: String,
        /// Where they are said to be.
        place: String,
    },
    /// A value that memory may not hold.
    #[error(
        "the network wants `{name}` {shape:?}, {gigabytes} GB; at most 1.1 GB ({MOST_NUMBERS} numbers) of one value are allowed"
    )]
    TooLarge {
        /// Name of the value.
        name: String,
        /// Its dimensions, those that are known.
        shape: Vec<u64>,
        /// As f32.
        gigabytes: u64,
    },
}

/// Refuses a file that reaches for others, or declares values that memory may not hold.
pub(crate) fn inspect(model: &[u8]) -> Result<(), Rejected> {
    if model.get(4..8) == Some(b"ORTM") {
        return Err(Rejected::Ort);
    }
    let model = Model::decode(model).map_err(|error| Rejected::Malformed(error.to_string()))?;
    let main = model.graph.ok_or(Rejected::Empty)?;
    if main.node.is_empty() {
        return Err(Rejected::Empty);
    }
    graph(&main)?;
    for training in &model.training_info {
        training.initialization.iter().chain(&training.algorithm).try_for_each(graph)?;
    }
    model.functions.iter().try_for_each(|Function { node, attribute_proto }| {
        node.iter().try_for_each(operator)?;
        attribute_proto.iter().try_for_each(attribute)
    })
}

// The reader of protocol buffers goes no deeper than 100 messages, and so does this.
fn graph(graph: &Graph) -> Result<(), Rejected> {
    graph.initializer.iter().try_for_each(tensor)?;
    graph.sparse_initializer.iter().try_for_each(sparse)?;
    graph.node.iter().try_for_each(operator)?;
    graph.input.iter().chain(&graph.output).chain(&graph.value_info).try_for_each(value)
}

fn operator(node: &Node) -> Result<(), Rejected> {
    node.attribute.iter().try_for_each(attribute)
}

fn attribute(attribute: &Attribute) -> Result<(), Rejected> {
    attribute.t.iter().chain(&attribute.tensors).try_for_each(tensor)?;
    attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors).try_for_each(sparse)?;
    attribute.g.iter().chain(&attribute.graphs).try_for_each(graph)
}

fn sparse(Sparse { values, indices }: &Sparse) -> Result<(), Rejected> {
    values.iter().chain(indices).try_for_each(tensor)
}

fn tensor(tensor: &Tensor) -> Result<(), Rejected> {
    if tensor.data_location != EXTERNAL && tensor.external_data.is_empty() {
        return Ok(());
    }
    let place = tensor.external_data.iter().find(|entry| entry.key == "location");
    Err(Rejected::External {
        tensor: tensor.name.clone(),
        place: place.map(|entry| entry.value.clone()).unwrap_or_default(),
    })
}

fn value(value: &ValueInfo) -> Result<(), Rejected> {
    let kind = value.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let dimensions = kind.and_then(|tensor| tensor.shape.as_ref()).map_or(&[][..], |shape| &shape.dim);
    let known = dimensions.iter().filter_map(|dimension| dimension.value);
    fits(&value.name, known.map(|size| size.max(1).unsigned_abs()).collect())
}

/// Refuses an output of which ONNX Runtime knows that memory may not hold it.
pub(crate) fn port(port: &Port) -> Result<(), Rejected> {
    fits(&port.name, port.shape.iter().flatten().map(|&size| size as u64).collect())
}

fn fits(name: &str, shape: Vec<u64>) -> Result<(), Rejected> {
    match shape.iter().try_fold(1u64, |numbers, &size| numbers.checked_mul(size)) {
        Some(numbers) if numbers <= MOST_NUMBERS => Ok(()),
        numbers => Err(Rejected::TooLarge {
            name: name.to_owned(),
            shape,
            gigabytes: numbers.map_or(u64::MAX, |numbers| numbers.saturating_mul(4)) / 1_000_000_000,
        }),
    }
}
