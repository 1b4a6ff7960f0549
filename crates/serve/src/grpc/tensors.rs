//! TensorFlow's tensors, as far as photos, captions and settings need them.

use serde_json::Number;

use crate::error::ServeError;
use crate::proto::tensorflow::tensor_shape_proto::Dim;
use crate::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};

pub(super) fn shape(size: i64) -> TensorShapeProto {
    TensorShapeProto { dim: vec![Dim { size, name: String::new() }], unknown_rank: false }
}

/// `DT_STRING`, of shape `[values]`.
pub(super) fn strings(values: Vec<Vec<u8>>) -> TensorProto {
    TensorProto {
        dtype: DataType::DtString.into(),
        tensor_shape: Some(shape(values.len() as i64)),
        string_val: values,
        ..Default::default()
    }
}

/// `DT_DOUBLE`, of shape `[values]`.
pub(super) fn doubles(values: Vec<f64>) -> TensorProto {
    TensorProto {
        dtype: DataType::DtDouble.into(),
        tensor_shape: Some(shape(values.len() as i64)),
        double_val: values,
        ..Default::default()
    }
}

/// The strings of a tensor of any shape.
pub(super) fn bytes(name: &str, tensor: TensorProto) -> Result<Vec<Vec<u8>>, ServeError> {
    if tensor.dtype() != DataType::DtString {
        let kind = tensor.dtype().as_str_name();
        return Err(ServeError::Malformed(format!(
            "{name} is {kind}: send the bytes of the photo's file as DT_STRING, not its pixels"
        )));
    }
    check_shape(name, &tensor, tensor.string_val.len())?;
    Ok(tensor.string_val)
}

/// The numbers of a tensor of any shape, from its list or from its content.
pub(super) fn numbers(name: &str, tensor: &TensorProto) -> Result<Vec<Number>, ServeError> {
    let content = tensor.tensor_content.as_slice();
    let words = |size: usize| content.chunks_exact(size);
    let double = |value: f64| Number::from_f64(value);
    let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap_or_default();
    let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).unwrap_or_default();
    let values: Vec<Option<Number>> = match (tensor.dtype(), content.is_empty()) {
        (DataType::DtInt32, true) => tensor.int_val.iter().map(|&value| Some(value.into())).collect(),
        (DataType::DtInt32, false) => {
            words(4).map(|word| Some(i32::from_le_bytes(four(word)).into())).collect()
        }
        (DataType::DtInt64, true) => tensor.int64_val.iter().map(|&value| Some(value.into())).collect(),
        (DataType::DtInt64, false) => {
            words(8).map(|word| Some(i64::from_le_bytes(eight(word)).into())).collect()
        }
        (DataType::DtFloat, true) => tensor.float_val.iter().map(|&value| double(value.into())).collect(),
        (DataType::DtFloat, false) => {
            words(4).map(|word| double(f32::from_le_bytes(four(word)).into())).collect()
        }
        (DataType::DtDouble, true) => tensor.double_val.iter().map(|&value| double(value)).collect(),
        (DataType::DtDouble, false) => words(8).map(|word| double(f64::from_le_bytes(eight(word)))).collect(),
        (other, _) => {
            return Err(ServeError::Malformed(format!("{name} is {}: send numbers", other.as_str_name())));
        }
    };
    let finite = values.into_iter().collect::<Option<Vec<Number>>>();
    let values = finite.ok_or_else(|| ServeError::Malformed(format!("{name} is not a finite number")))?;
    if content.is_empty() && values.len() == 1 {
        // A single value may stand for a whole tensor of equal ones.
        return Ok(values);
    }
    check_shape(name, tensor, values.len())?;
    Ok(values)
}

fn check_shape(name: &str, tensor: &TensorProto, values: usize) -> Result<(), ServeError> {
    let Some(shape) = &tensor.tensor_shape else { return Ok(()) };
    let sizes: Vec<i64> = shape.dim.iter().map(|dim| dim.size).collect();
    let announced = sizes.iter().try_fold(1i64, |all, size| all.checked_mul(*size));
    match announced == Some(values as i64) {
        true => Ok(()),
        false => Err(ServeError::Malformed(format!("{name} has the shape {sizes:?} and {values} values"))),
    }
}
