//! What a message is made of, before it is decoded: two bytes of it can become a hundred in memory, unless they are those
//! of a photo.

use prost::encoding::{WireType, decode_key, decode_varint};

/// Ways through a message to its photos: fields, each inside of the one before.
pub(super) type Photos = &'static [&'static [u32]];

/// Field of `PredictRequest` with its inputs, of an input with its tensor, and of a tensor with its strings.
pub(super) const PREDICT: Photos = &[&[2, 2, 8]];
/// Field of `ModelInferRequest` with raw contents; with its inputs, of an input with its contents, and of these with bytes.
pub(super) const MODEL_INFER: Photos = &[&[7], &[5, 5, 8]];

/// Bytes of a message beside its photos.
pub(super) fn beside_photos(message: &[u8], photos: Photos) -> usize {
    let bytes = photos.iter().map(|path| strings(message, path)).sum();
    message.len().saturating_sub(bytes)
}

fn strings(message: &[u8], path: &[u32]) -> usize {
    let [field, below @ ..] = path else { return message.len() };
    Contents { rest: message, field: *field }.map(|content| strings(content, below)).sum()
}

/// The contents of a field, as often as it is there. What is no message ends it; whoever decodes will say so.
struct Contents<'a> {
    rest: &'a [u8],
    field: u32,
}

impl<'a> Iterator for Contents<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (field, kind) = decode_key(&mut self.rest).ok()?;
            let length = match kind {
                WireType::Varint => {
                    decode_varint(&mut self.rest).ok()?;
                    continue;
                }
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                WireType::LengthDelimited => usize::try_from(decode_varint(&mut self.rest).ok()?).ok()?,
                WireType::StartGroup | WireType::EndGroup => return None,
            };
            let (content, rest) = self.rest.split_at_checked(length)?;
            self.rest = rest;
            if field == self.field && kind == WireType::LengthDelimited {
                return Some(content);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prost::Message;

    use super::*;
    use crate::proto::inference::model_infer_request::InferInputTensor;
    use crate::proto::inference::{InferTensorContents, ModelInferRequest};
    use crate::proto::tensorflow::TensorProto;
    use crate::proto::tensorflow::serving::PredictRequest;

    fn message(strings: Vec<Vec<u8>>, numbers: Vec<i32>) -> Vec<u8> {
        let tensor = TensorProto { string_val: strings, int_val: numbers, ..Default::default() };
        let inputs = HashMap::from([("image_bytes".to_owned(), tensor)]);
        PredictRequest { inputs, ..Default::default() }.encode_to_vec()
    }

    fn infer(typed: Vec<Vec<u8>>, raw: Vec<Vec<u8>>, shape: Vec<i64>) -> Vec<u8> {
        let bytes = |all: Vec<Vec<u8>>| all.into_iter().map(Into::into).collect();
        let contents = InferTensorContents { bytes_contents: bytes(typed), ..Default::default() };
        let input = InferInputTensor { shape, contents: Some(contents), ..Default::default() };
        let raw_input_contents = bytes(raw);
        ModelInferRequest { inputs: vec![input], raw_input_contents, ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn only_the_strings_of_tensors_are_photos() {
        let beside = |message: Vec<u8>| beside_photos(&message, PREDICT);
        assert!(beside(message(vec![vec![7; 100_000], vec![7; 50_000]], vec![3, 4])) < 100);
        assert!(beside(message(vec![vec![]; 10_000], vec![])) > 20_000);
        assert!(beside(message(vec![vec![7; 100_000]], vec![3; 10_000])) > 10_000);
        let beside = |message: Vec<u8>| beside_photos(&message, MODEL_INFER);
        assert!(beside(infer(vec![vec![7; 100_000]], vec![], vec![1])) < 100);
        assert!(beside(infer(vec![], vec![vec![7; 100_000]; 2], vec![1])) < 100);
        assert!(beside(infer(vec![vec![]; 10_000], vec![], vec![])) > 20_000);
        assert!(beside(infer(vec![], vec![vec![]; 10_000], vec![])) > 20_000);
        assert!(beside(infer(vec![], vec![vec![7; 100_000]], vec![1; 10_000])) > 10_000);
        // A message without photos, whatever it holds.
        assert!(beside_photos(&infer(vec![vec![7; 1000]], vec![], vec![]), &[]) > 1000);
    }

    #[test]
    fn what_is_no_whole_message_has_an_end() {
        for (whole, photos) in [
            (message(vec![vec![7; 1000]], vec![3]), PREDICT),
            (infer(vec![vec![7; 500]], vec![vec![7; 500]], vec![1]), MODEL_INFER),
        ] {
            for length in 0..whole.len() {
                beside_photos(&whole[..length], photos);
            }
            assert_eq!(beside_photos(&[0xff; 50], photos), 50);
        }
    }
}
