//! What a request may ask.

use super::{ANY, BYTES};
use crate::error::ServeError;

/// A version of a model, as text.
pub(crate) fn version(text: &str) -> Result<u64, ServeError> {
    text.parse()
        .map_err(|_| ServeError::NotFound(format!("{text:?} is no version of a model: it is a number")))
}

/// Refuses parameters of an input or output that ask for what a captioner has not.
pub(crate) fn check_parameter(name: &str) -> Result<(), ServeError> {
    let reason = match name {
        "classification" => "a caption has no classes: ask for the output without classification",
        name if name.starts_with("shared_memory_") => {
            "the server shares no memory with its clients: tensors are sent in the request and in the answer"
        }
        _ => return Ok(()),
    };
    Err(ServeError::Malformed(reason.to_owned()))
}

/// The only input of a request.
pub(crate) fn only<T>(inputs: Vec<T>) -> Result<T, ServeError> {
    let [input] = <[T; 1]>::try_from(inputs).map_err(|_| {
        let text = "send one input, the photos; settings are parameters of the request";
        ServeError::Malformed(text.to_owned())
    })?;
    Ok(input)
}

/// Refuses all but bytes; `how` ends the sentence that says how they are sent.
pub(crate) fn check_datatype(name: &str, datatype: &str, how: &str) -> Result<(), ServeError> {
    match datatype {
        BYTES => Ok(()),
        other => Err(ServeError::Malformed(format!(
            "{name} has datatype {other}: send the bytes of the photo's file as {BYTES}, {how}"
        ))),
    }
}

/// Refuses a shape of another number of photos.
pub(crate) fn check_shape(shape: &[i64], photos: usize) -> Result<(), ServeError> {
    match fits(shape, photos) {
        true => Ok(()),
        false => Err(ServeError::Malformed(format!("the shape {shape:?} does not fit {photos} photos"))),
    }
}

/// Whether a tensor of a shape has as many elements; one size may be -1, whatever is left.
fn fits(shape: &[i64], elements: usize) -> bool {
    let (open, sizes): (Vec<i64>, Vec<i64>) = shape.iter().partition(|size| **size == ANY);
    let product = sizes.iter().try_fold(1u64, |all, size| all.checked_mul(u64::try_from(*size).ok()?));
    match (product, open.len()) {
        (Some(product), 0) => product == elements as u64,
        (Some(product), 1) => product > 0 && (elements as u64).is_multiple_of(product),
        _ => false,
    }
}
