//! The pickles inside PyTorch weight files, read as data: nothing is imported and nothing runs.
//!
//! Only the opcodes that `torch.save` writes and the few names that a state dict needs are known; anything else is an
//! error. Invariant: values live in one flat arena, an opcode adds at most one object to it, and the opcodes are
//! counted, so neither nesting, nor shared references, nor announced lengths can cost more than the cap allows.

mod machine;

use super::{Dtype, element_count};
use machine::Machine;

/// ResNet-152 takes about 40,000.
const MAX_OPCODES: usize = 1_000_000;

/// Why a pickle was refused, and at which byte of it.
#[derive(Debug, thiserror::Error)]
#[error("byte {offset} of the pickle: {problem}")]
pub struct PickleError {
    /// Position of the offending opcode.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a pickle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end inside an opcode, or before STOP.
    #[error("the file ends too early")]
    Truncated,
    /// An opcode that no state dict needs.
    #[error("opcode {0:#04x} is not one that weight files use")]
    Opcode(u8),
    /// A class or function outside the allow-list.
    #[error("`{0}` is not allowed in a weight file: save a plain state dict")]
    Global(String),
    /// Operands that do not fit the opcode.
    #[error("{0}")]
    Operand(&'static str),
    /// More opcodes than any weight file has.
    #[error("more than {MAX_OPCODES} opcodes")]
    TooLong,
}

/// One Python value; containers, storages and tensors are indices into [`Pickle::objects`].
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    /// None and floating-point numbers: nothing that a tensor depends on.
    Ignored,
    Bool(bool),
    Int(i128),
    Str(&'a str),
    Global(Global),
    Object(usize),
}

#[derive(Debug)]
enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Storage<'a>),
    Tensor(StridedTensor<'a>),
}

/// The whole allow-list.
#[derive(Clone, Copy, Debug)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

impl Global {
    fn named(module: &str, name: &str) -> Result<Self, Problem> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "DoubleStorage") => Self::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::BF16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch", "IntStorage") => Self::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Self::Storage(Dtype::I16),
            ("torch", "CharStorage") => Self::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Self::Storage(Dtype::U8),
            _ => return Err(Problem::Global(format!("{module}.{name}"))),
        })
    }
}

/// A run of elements stored outside the pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    pub(super) elements: usize,
}

impl Storage<'_> {
    /// Size in bytes; None when no memory could hold it.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.elements.checked_mul(self.dtype.size())
    }
}

/// A view of a storage, checked to lie inside it and to have no more elements than it; the product of its sizes is an
/// i64 in any order, so that nobody who counts elements overflows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StridedTensor<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

impl StridedTensor<'_> {
    fn fits_its_storage(&self) -> bool {
        let Ok(limit) = i64::try_from(self.storage.elements) else {
            return false;
        };
        if self.size.len() != self.stride.len() || self.size.iter().chain(&self.stride).any(|&n| n < 0) {
            return false;
        }
        let Some(elements) = element_count(&self.size) else {
            return false;
        };
        if elements == 0 {
            return true;
        }
        let last = self.size.iter().zip(&self.stride).try_fold(self.offset, |last, (&size, &stride)| {
            last.checked_add((size - 1).checked_mul(stride)?)
        });
        self.offset >= 0 && elements <= limit && last.is_some_and(|last| last < limit)
    }
}

/// One finished pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    root: Value<'a>,
    objects: Vec<Object<'a>>,
    /// Bytes it took, STOP included; others may follow.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, PickleError> {
        let mut machine = Machine::new(bytes);
        for _ in 0..MAX_OPCODES {
            let offset = machine.at;
            let root = machine.step().map_err(|problem| PickleError { offset, problem })?;
            if let Some(root) = root {
                return Ok(Self { root, objects: machine.objects, length: machine.at });
            }
        }
        Err(PickleError { offset: machine.at, problem: Problem::TooLong })
    }

    /// The value itself, when it is a whole number.
    pub(super) fn integer(&self) -> Option<i128> {
        match self.root {
            Value::Int(integer) => Some(integer),
            _ => None,
        }
    }

    /// The value itself, when it is a list of texts.
    pub(super) fn texts(&self) -> Option<Vec<&'a str>> {
        let Value::Object(index) = self.root else {
            return None;
        };
        let Object::List(items) = &self.objects[index] else {
            return None;
        };
        items.iter().map(|item| if let Value::Str(text) = item { Some(*text) } else { None }).collect()
    }

    /// The truth value under a text key of the root dict.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match lookup(self.dict(self.root)?, key)? {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// Every storage named in the pickle, in the order of appearance.
    pub(super) fn storages(&self) -> impl Iterator<Item = Storage<'a>> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(*storage),
            _ => None,
        })
    }

    /// Tensors by name: of the root dict, or of the `state_dict` or `model` inside a training checkpoint.
    ///
    /// The error is the name of an entry that is no tensor, or what the root should have been.
    pub(super) fn state_dict(&self) -> Result<Vec<(&'a str, &StridedTensor<'a>)>, String> {
        let root = self.dict(self.root).ok_or("a state dict")?;
        let nested = ["state_dict", "model"].iter().find_map(|key| self.dict(lookup(root, key)?));
        nested
            .unwrap_or(root)
            .iter()
            .map(|(key, value)| match (key, value) {
                (Value::Str(name), Value::Object(index)) => match &self.objects[*index] {
                    Object::Tensor(tensor) => Ok((*name, tensor)),
                    _ => Err(format!("a tensor as entry `{name}`")),
                },
                (Value::Str(name), _) => Err(format!("a tensor as entry `{name}`")),
                _ => Err("texts as keys".to_owned()),
            })
            .collect()
    }

    fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match value {
            Value::Object(index) => match &self.objects[index] {
                Object::Dict(entries) => Some(entries),
                _ => None,
            },
            _ => None,
        }
    }
}

fn lookup<'a>(dict: &[(Value<'a>, Value<'a>)], wanted: &str) -> Option<Value<'a>> {
    dict.iter().find(|(key, _)| matches!(key, Value::Str(key) if *key == wanted)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A state dict of one tensor `w` over a storage of six floats.
    fn state_dict(offset: u8, size: &[u8], stride: &[u8]) -> Vec<u8> {
        let dims = |dims: &[u8]| {
            [b"(".to_vec(), dims.iter().flat_map(|&dim| [b'K', dim]).collect(), b"t".to_vec()].concat()
        };
        [
            b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n".to_vec(),
            b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
                .to_vec(),
            vec![b'K', offset],
            dims(size),
            dims(stride),
            b"\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
        ]
        .concat()
    }

    fn problem(bytes: &[u8]) -> Problem {
        Pickle::read(bytes).unwrap_err().problem
    }

    #[test]
    fn a_tensor_is_read_with_its_strides() {
        let bytes = state_dict(1, &[2, 2], &[1, 2]);
        let pickle = Pickle::read(&bytes).unwrap();
        let storage = Storage { key: "0", dtype: Dtype::F32, elements: 6 };
        let wanted = StridedTensor { storage, offset: 1, size: vec![2, 2], stride: vec![1, 2] };
        assert_eq!(pickle.state_dict().unwrap(), [("w", &wanted)]);
        assert_eq!(pickle.length, bytes.len());
    }

    #[test]
    fn views_that_leave_or_repeat_their_storage_are_refused() {
        for (offset, size, stride) in [
            (3, &[2, 2][..], &[1, 2][..]), // ends at element 6 of 6
            (0, &[7], &[0]),               // more elements than the storage
            (0, &[2, 2], &[1]),            // ranks differ
            (7, &[1], &[1]),
            (0, &[1; 9], &[1; 9]), // too many dimensions
        ] {
            let problem = problem(&state_dict(offset, size, stride));
            assert!(matches!(problem, Problem::Operand(_)), "{problem}");
        }
    }

    #[test]
    fn sizes_that_overflow_beside_a_zero_are_refused() {
        let huge = |dims: [u8; 3]| {
            // LONG1 of eight bytes: 2^40 for each 1.
            let dim = |one: u8| [b"\x8a\x08".to_vec(), vec![0, 0, 0, 0, 0, one, 0, 0]].concat();
            [b"(".to_vec(), dims.into_iter().flat_map(dim).collect(), b"t".to_vec()].concat()
        };
        let small = state_dict(0, &[9, 9, 9], &[1, 1, 1]);
        let at = small.windows(8).position(|window| window == b"(K\x09K\x09K\x09t").unwrap();
        for (dims, allowed) in [([1, 1, 0], false), ([0, 1, 1], false), ([0, 0, 1], true)] {
            let bytes = [&small[..at], &huge(dims), &small[at + 8..]].concat();
            assert_eq!(Pickle::read(&bytes).is_ok(), allowed, "{dims:?}");
        }
    }

    #[test]
    fn only_the_names_of_a_state_dict_are_known() {
        assert_eq!(
            problem(b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR."),
            Problem::Global("os.system".into())
        );
        assert_eq!(problem(b"\x80\x04\x8c\x02os\x8c\x06system\x93."), Problem::Global("os.system".into()));
        assert_eq!(problem(b"\x80\x02cbuiltins\neval\n."), Problem::Global("builtins.eval".into()));
    }

    #[test]
    fn announced_lengths_are_not_believed() {
        assert_eq!(problem(b"X\xff\xff\xff\xff"), Problem::Truncated);
        assert_eq!(problem(b"\x8a\xff"), Problem::Truncated);
        assert_eq!(problem(b""), Problem::Truncated);
        assert_eq!(problem(b"t."), Problem::Operand("a missing mark"));
    }

    #[test]
    fn depth_costs_nothing_and_length_is_capped() {
        let nested = [b")".to_vec(), vec![0x85; MAX_OPCODES - 2], b".".to_vec()].concat();
        assert!(Pickle::read(&nested).unwrap().state_dict().is_err());
        assert_eq!(problem(&vec![b'}'; MAX_OPCODES + 1]), Problem::TooLong);
    }

    #[test]
    fn shared_references_are_never_expanded() {
        // Each tuple holds the one before twice: 2^60 leaves, were they ever copied.
        let mut bytes = b")q\x00".to_vec();
        for slot in 0..60 {
            bytes.extend([b'h', slot, b'h', slot, 0x86, b'q', slot + 1]);
        }
        bytes.push(b'.');
        assert!(Pickle::read(&bytes).unwrap().state_dict().is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            _ = Pickle::read(&bytes).map(|pickle| pickle.state_dict().is_ok());
        }

        #[test]
        fn no_damage_makes_it_panic(changes in proptest::collection::vec((0usize..180, any::<u8>()), 1..6)) {
            let mut bytes = state_dict(0, &[2, 3], &[3, 1]);
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            _ = Pickle::read(&bytes).map(|pickle| pickle.state_dict().is_ok());
        }
    }
}
