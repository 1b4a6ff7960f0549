//! The stack machine of Python's `pickle` module, protocols 2 to 4, as far as `torch.save` uses it.

use std::collections::HashMap;

use super::{Global, Object, Problem, Storage, StridedTensor, Value};

/// Longest module or class name; a longer one is none of ours.
const MAX_NAME: usize = 256;

/// Most dimensions of a tensor: a convolution has four.
const MAX_DIMS: usize = 8;

/// Bytes on one side, a stack and an arena of objects on the other.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at each open MARK.
    marks: Vec<usize>,
    memo: HashMap<usize, Value<'a>>,
    pub(super) objects: Vec<Object<'a>>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), objects: Vec::new() }
    }

    /// Runs one opcode; gives the result at STOP.
    pub(super) fn step(&mut self) -> Result<Option<Value<'a>>, Problem> {
        let opcode = self.byte()?;
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => _ = self.byte()?,  // PROTO
            0x95 => _ = self.take(8)?, // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::Ignored),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.integer(1, false)?,
            b'M' => self.integer(2, false)?,
            b'J' => self.integer(4, true)?,
            0x8a => {
                let length = self.length(1)?; // LONG1
                self.integer(length, true)?;
            }
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.stack.push(Value::Ignored);
            }
            b'U' | 0x8c => self.text(1)?, // SHORT_BINSTRING (Python 2), SHORT_BINUNICODE
            b'T' | b'X' => self.text(4)?, // BINSTRING (Python 2), BINUNICODE
            b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            b')' => self.push(Object::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?; // TUPLE1 to TUPLE3
                self.push(Object::Tuple(items));
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }
            b'q' => self.memoize(1)?,
            b'r' => self.memoize(4)?,
            0x94 => _ = self.memo.insert(self.memo.len(), self.top()?),
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            0x93 => {
                let names = self.pop_many(2)?; // STACK_GLOBAL
                let [Value::Str(module), Value::Str(name)] = names[..] else {
                    return Err(Problem::Operand("a class is named by two texts"));
                };
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.persistent_id()?,
            _ => return Err(Problem::Opcode(opcode)),
        }
        Ok(None)
    }

    /// Calls one of the known names on a tuple of arguments.
    fn reduce(&mut self) -> Result<(), Problem> {
        let arguments = self.pop_tuple()?;
        let Value::Global(function) = self.pop()? else {
            return Err(Problem::Operand("REDUCE calls something that is no function"));
        };
        match (function, &arguments[..]) {
            (Global::OrderedDict, []) => self.push(Object::Dict(Vec::new())),
            // (storage, offset, size, stride, requires_grad, backward_hooks[, metadata])
            (
                Global::RebuildTensor,
                [storage, Value::Int(offset), size, stride, _, _]
                | [storage, Value::Int(offset), size, stride, _, _, _],
            ) => {
                let Value::Object(index) = *storage else {
                    return Err(Problem::Operand("a tensor without storage"));
                };
                let Object::Storage(storage) = self.objects[index] else {
                    return Err(Problem::Operand("a tensor without storage"));
                };
                let offset = i64::try_from(*offset).map_err(|_| Problem::Operand("a tensor's offset"))?;
                let tensor =
                    StridedTensor { storage, offset, size: self.dims(*size)?, stride: self.dims(*stride)? };
                if !tensor.fits_its_storage() {
                    return Err(Problem::Operand("a tensor reaches outside its storage"));
                }
                self.push(Object::Tensor(tensor));
            }
            // (tensor, requires_grad, backward_hooks)
            (Global::RebuildParameter, [tensor, _, _]) => self.stack.push(*tensor),
            _ => return Err(Problem::Operand("a known function with unknown arguments")),
        }
        Ok(())
    }

    /// BUILD sets attributes. A state dict only carries its module versions there, which no tensor depends on.
    fn build(&mut self) -> Result<(), Problem> {
        self.pop()?;
        match self.top()? {
            Value::Object(index) if matches!(self.objects[index], Object::Dict(_)) => Ok(()),
            _ => Err(Problem::Operand("BUILD on something that is no dict")),
        }
    }

    /// `('storage', class, key, location, elements[, None])` stands for elements kept outside the pickle.
    fn persistent_id(&mut self) -> Result<(), Problem> {
        let id = self.pop_tuple()?;
        let (
            Value::Str("storage"),
            [Value::Global(Global::Storage(dtype)), Value::Str(key), Value::Str(_), rest @ ..],
        ) = (id.first().copied().unwrap_or(Value::Ignored), id.get(1..).unwrap_or_default())
        else {
            return Err(Problem::Operand("a persistent id that is no storage"));
        };
        let ([Value::Int(elements)] | [Value::Int(elements), Value::Ignored]) = rest else {
            return Err(Problem::Operand("a storage that is a view of another"));
        };
        let elements = usize::try_from(*elements).map_err(|_| Problem::Operand("a storage's length"))?;
        self.push(Object::Storage(Storage { key, dtype: *dtype, elements }));
        Ok(())
    }

    fn dims(&self, tuple: Value<'a>) -> Result<Vec<i64>, Problem> {
        let Value::Object(index) = tuple else {
            return Err(Problem::Operand("a tensor's shape"));
        };
        let Object::Tuple(items) = &self.objects[index] else {
            return Err(Problem::Operand("a tensor's shape"));
        };
        let dim = |item: &Value<'a>| match item {
            Value::Int(dim) => i64::try_from(*dim).map_err(|_| Problem::Operand("a tensor's shape")),
            _ => Err(Problem::Operand("a tensor's shape")),
        };
        if items.len() > MAX_DIMS {
            return Err(Problem::Operand("a tensor of too many dimensions"));
        }
        items.iter().map(dim).collect()
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), Problem> {
        match self.top_object()? {
            Object::List(list) => list.extend(items),
            _ => return Err(Problem::Operand("APPEND to something that is no list")),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Value<'a>]) -> Result<(), Problem> {
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(Problem::Operand("a key without a value"));
        };
        match self.top_object()? {
            Object::Dict(entries) => entries.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(Problem::Operand("SETITEM on something that is no dict")),
        }
        Ok(())
    }

    fn memoize(&mut self, width: usize) -> Result<(), Problem> {
        let slot = self.length(width)?;
        self.memo.insert(slot, self.top()?);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), Problem> {
        let slot = self.length(width)?;
        let value = self.memo.get(&slot).ok_or(Problem::Operand("an empty memo slot"))?;
        self.stack.push(*value);
        Ok(())
    }

    fn integer(&mut self, width: usize, signed: bool) -> Result<(), Problem> {
        let bytes = self.take(width)?;
        if width > 16 {
            return Err(Problem::Operand("an integer of more than 16 bytes"));
        }
        let negative = signed && bytes.last().is_some_and(|&last| last >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 16];
        wide[..width].copy_from_slice(bytes);
        self.stack.push(Value::Int(i128::from_le_bytes(wide)));
        Ok(())
    }

    fn text(&mut self, width: usize) -> Result<(), Problem> {
        let length = self.length(width)?;
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| Problem::Operand("a text that is not UTF-8"))?;
        self.stack.push(Value::Str(text));
        Ok(())
    }

    /// An unsigned length or slot of `width` ≤ 4 bytes.
    fn length(&mut self, width: usize) -> Result<usize, Problem> {
        Ok(self.take(width)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)))
    }

    /// The text up to the next line feed.
    fn line(&mut self) -> Result<&'a str, Problem> {
        let rest = &self.bytes[self.at..];
        let rest = &rest[..rest.len().min(MAX_NAME)];
        let end =
            rest.iter().position(|&byte| byte == b'\n').ok_or(Problem::Operand("a name without end"))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| Problem::Operand("a name that is not UTF-8"))
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let taken = self.bytes[self.at..].get(..length).ok_or(Problem::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn push(&mut self, object: Object<'a>) {
        self.stack.push(Value::Object(self.objects.len()));
        self.objects.push(object);
    }

    fn top(&self) -> Result<Value<'a>, Problem> {
        self.stack.last().copied().ok_or(Problem::Operand("an empty stack"))
    }

    fn top_object(&mut self) -> Result<&mut Object<'a>, Problem> {
        match self.top()? {
            Value::Object(index) => Ok(&mut self.objects[index]),
            _ => Err(Problem::Operand("a plain value where a container belongs")),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, Problem> {
        self.stack.pop().ok_or(Problem::Operand("an empty stack"))
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>, Problem> {
        let start = self.stack.len().checked_sub(count).ok_or(Problem::Operand("an empty stack"))?;
        Ok(self.stack.split_off(start))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, Problem> {
        let mark = self.marks.pop().ok_or(Problem::Operand("a missing mark"))?;
        // An opcode between may have popped below the mark.
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn pop_tuple(&mut self) -> Result<Vec<Value<'a>>, Problem> {
        let Value::Object(index) = self.pop()? else {
            return Err(Problem::Operand("arguments that are no tuple"));
        };
        match &self.objects[index] {
            Object::Tuple(items) => Ok(items.clone()),
            _ => Err(Problem::Operand("arguments that are no tuple")),
        }
    }
}
