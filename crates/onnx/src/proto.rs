//! The messages of an ONNX file that we write, with the numbers of onnx.proto (<https://github.com/onnx/onnx>, IR version 8).

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Model {
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(crate) producer_name: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<OperatorSet>,
}

/// Which version of the operators is meant; ONNX's own have no domain.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(float, tag = "2")]
    pub(crate) f: f32,
    #[prost(int64, tag = "3")]
    pub(crate) i: i64,
    #[prost(message, optional, tag = "5")]
    pub(crate) t: Option<Tensor>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(crate) ints: Vec<i64>,
    /// 1 float, 2 int, 4 tensor, 7 ints.
    #[prost(int32, tag = "20")]
    pub(crate) kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    /// Little-endian, row-major.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) kind: Option<Type>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(crate) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<Dimension>,
}

/// A number, a name, or neither where only a run knows.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub(crate) value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) param: Option<String>,
}

/// `TensorProto.FLOAT`
pub(crate) const FLOAT: i32 = 1;
/// `TensorProto.INT8`
pub(crate) const INT8: i32 = 3;
/// `TensorProto.FLOAT16`
pub(crate) const FLOAT16: i32 = 10;
/// `TensorProto.INT64`
pub(crate) const INT64: i32 = 7;

/// What is read of the files of others: where their weights lie, and how large their values are. All else is passed over.
pub(crate) mod read {
    pub(crate) use super::ValueInfo;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Model {
        #[prost(message, optional, tag = "7")]
        pub(crate) graph: Option<Graph>,
        #[prost(message, repeated, tag = "20")]
        pub(crate) training_info: Vec<Training>,
        #[prost(message, repeated, tag = "25")]
        pub(crate) functions: Vec<Function>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Training {
        #[prost(message, optional, tag = "1")]
        pub(crate) initialization: Option<Graph>,
        #[prost(message, optional, tag = "2")]
        pub(crate) algorithm: Option<Graph>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Function {
        #[prost(message, repeated, tag = "7")]
        pub(crate) node: Vec<Node>,
        #[prost(message, repeated, tag = "11")]
        pub(crate) attribute_proto: Vec<Attribute>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub(crate) node: Vec<Node>,
        #[prost(message, repeated, tag = "5")]
        pub(crate) initializer: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        pub(crate) input: Vec<ValueInfo>,
        #[prost(message, repeated, tag = "12")]
        pub(crate) output: Vec<ValueInfo>,
        #[prost(message, repeated, tag = "13")]
        pub(crate) value_info: Vec<ValueInfo>,
        #[prost(message, repeated, tag = "15")]
        pub(crate) sparse_initializer: Vec<Sparse>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Node {
        #[prost(message, repeated, tag = "5")]
        pub(crate) attribute: Vec<Attribute>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Attribute {
        #[prost(message, optional, tag = "5")]
        pub(crate) t: Option<Tensor>,
        #[prost(message, optional, tag = "6")]
        pub(crate) g: Option<Graph>,
        #[prost(message, repeated, tag = "10")]
        pub(crate) tensors: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        pub(crate) graphs: Vec<Graph>,
        #[prost(message, optional, tag = "22")]
        pub(crate) sparse_tensor: Option<Sparse>,
        #[prost(message, repeated, tag = "23")]
        pub(crate) sparse_tensors: Vec<Sparse>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Sparse {
        #[prost(message, optional, tag = "1")]
        pub(crate) values: Option<Tensor>,
        #[prost(message, optional, tag = "2")]
        pub(crate) indices: Option<Tensor>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Tensor {
        #[prost(string, tag = "8")]
        pub(crate) name: String,
        #[prost(message, repeated, tag = "13")]
        pub(crate) external_data: Vec<Entry>,
        /// 1: in another file.
        #[prost(int32, tag = "14")]
        pub(crate) data_location: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Entry {
        #[prost(string, tag = "1")]
        pub(crate) key: String,
        #[prost(string, tag = "2")]
        pub(crate) value: String,
    }
}
