//! The numbers of one tensor, as a file holds them.

use bytes::Bytes;
use half::{bf16, f16};

/// Element types that weight files of networks have.
///
/// In the order in which tensors stand in our files: the largest elements first, so that all are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// Floating point of 64 bits.
    F64,
    /// Signed integers of 64 bits.
    I64,
    /// Floating point of 32 bits.
    F32,
    /// Signed integers of 32 bits.
    I32,
    /// Half precision: 5 bits of exponent.
    F16,
    /// bfloat16: 8 bits of exponent.
    BF16,
    /// Signed integers of 16 bits.
    I16,
    /// Signed bytes.
    I8,
    /// Unsigned bytes.
    U8,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::BF16 | Dtype::I16 => 2,
            Dtype::I8 | Dtype::U8 => 1,
        }
    }

    /// Whether its numbers have fractions.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }
}

/// A tensor, row-major. A clone shares its memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    dtype: Dtype,
    shape: Vec<i64>,
    bytes: Bytes,
}

impl Array {
    /// Of little-endian elements in row-major order, as many as the shape says.
    pub fn new(dtype: Dtype, shape: Vec<i64>, bytes: impl Into<Bytes>) -> Option<Array> {
        let bytes = bytes.into();
        let known = shape.iter().all(|&size| size >= 0).then(|| super::element_count(&shape)).flatten();
        let elements = usize::try_from(known?).ok()?;
        (elements.checked_mul(dtype.size()) == Some(bytes.len())).then_some(Array { dtype, shape, bytes })
    }

    /// Of f32 numbers, as many as the shape says.
    pub fn of_f32(shape: Vec<i64>, values: &[f32]) -> Option<Array> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Array::new(Dtype::F32, shape, bytes)
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// The elements, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, which share the memory.
    pub(crate) fn shared(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The elements as f32, rounded to the nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        match self.dtype {
            Dtype::F64 => self.elements_as(|bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::I64 => self.elements_as(|bytes| i64::from_le_bytes(bytes) as f32),
            Dtype::F32 => self.elements_as(f32::from_le_bytes),
            Dtype::I32 => self.elements_as(|bytes| i32::from_le_bytes(bytes) as f32),
            Dtype::F16 => self.elements_as(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.elements_as(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::I16 => self.elements_as(|bytes| i16::from_le_bytes(bytes).into()),
            Dtype::I8 => self.elements_as(|bytes| i8::from_le_bytes(bytes).into()),
            Dtype::U8 => self.elements_as(|bytes| u8::from_le_bytes(bytes).into()),
        }
    }

    /// The elements as f64; integers of more than 53 bits are rounded.
    pub fn to_f64(&self) -> Vec<f64> {
        match self.dtype {
            Dtype::F64 => self.elements_as(f64::from_le_bytes),
            Dtype::I64 => self.elements_as(|bytes| i64::from_le_bytes(bytes) as f64),
            Dtype::I32 => self.elements_as(|bytes| i32::from_le_bytes(bytes).into()),
            // The others fit f32.
            _ => self.to_f32().into_iter().map(f64::from).collect(),
        }
    }

    /// The same in half precision, unless an element is beyond its range; integers stay as they are.
    pub fn halved(&self) -> Array {
        if !self.dtype.is_float() || self.dtype == Dtype::F16 {
            return self.clone();
        }
        let halves: Vec<f16> = self.to_f64().into_iter().map(f16::from_f64).collect();
        if halves.iter().any(|half| !half.is_finite()) {
            return self.clone();
        }
        let bytes: Vec<u8> = halves.into_iter().flat_map(f16::to_le_bytes).collect();
        Array { dtype: Dtype::F16, shape: self.shape.clone(), bytes: bytes.into() }
    }

    fn elements_as<T, const N: usize>(&self, number: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (elements, _) = self.bytes.as_chunks::<N>();
        elements.iter().map(|&bytes| number(bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubles(values: &[f64]) -> Array {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Array::new(Dtype::F64, vec![values.len() as i64], bytes).unwrap()
    }

    #[test]
    fn every_element_type_is_read_as_what_it_is() {
        let array = |dtype, bytes: &[u8]| Array::new(dtype, vec![1], bytes.to_vec()).unwrap().to_f64();
        assert_eq!(array(Dtype::F64, &(-1.25f64).to_le_bytes()), [-1.25]);
        assert_eq!(array(Dtype::I64, &(-7i64).to_le_bytes()), [-7.0]);
        assert_eq!(array(Dtype::F32, &0.1f32.to_le_bytes()), [f64::from(0.1f32)]);
        assert_eq!(array(Dtype::I32, &i32::MAX.to_le_bytes()), [f64::from(i32::MAX)]);
        assert_eq!(array(Dtype::F16, &[0x00, 0xc1]), [-2.5]);
        assert_eq!(array(Dtype::BF16, &[0x20, 0xc0]), [-2.5]);
        assert_eq!(array(Dtype::I16, &(-300i16).to_le_bytes()), [-300.0]);
        assert_eq!(array(Dtype::I8, &[0xff]), [-1.0]);
        assert_eq!(array(Dtype::U8, &[0xff]), [255.0]);
    }

    #[test]
    fn a_shape_that_the_bytes_do_not_fill_is_none() {
        let array = |shape: &[i64]| Array::new(Dtype::F32, shape.to_vec(), vec![0; 24]);
        assert!(array(&[2, 3]).is_some() && array(&[6, 1]).is_some());
        for shape in [&[2, 2][..], &[], &[7], &[-2, -3], &[i64::MAX, i64::MAX]] {
            assert!(array(shape).is_none(), "{shape:?}");
        }
        assert_eq!(Array::of_f32(vec![], &[2.0]).unwrap().to_f32(), [2.0]);
    }

    #[test]
    fn what_half_precision_cannot_hold_stays_as_it_is() {
        let stored = |array: Array| {
            let halved = array.halved();
            let (before, after) = (array.to_f64(), halved.to_f64());
            assert!(before.iter().zip(after).all(|(before, after)| (before - after).abs() < 0.01));
            halved.dtype()
        };
        assert_eq!(stored(Array::of_f32(vec![3], &[1.0, -0.3, 1e-9]).unwrap()), Dtype::F16);
        assert_eq!(stored(doubles(&[0.7])), Dtype::F16);
        assert_eq!(stored(Array::of_f32(vec![2], &[1.0, 70_000.0]).unwrap()), Dtype::F32);
        let integer = Array::new(Dtype::I64, vec![1], 70_000i64.to_le_bytes().to_vec()).unwrap();
        assert_eq!(stored(integer), Dtype::I64);
    }
}
