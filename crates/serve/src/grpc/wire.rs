//! What a message is made of, before it is decoded: two bytes of it can become a hundred in memory, unless they are those
//! of a photo.

use prost::encoding::{WireType, decode_key, decode_varint};

/// Field of `PredictRequest` with its inputs, of an input with its tensor, and of a tensor with its strings.
const STRINGS: [u32; 3] = [2, 2, 8];

/// Bytes of a `PredictRequest` beside the strings of its tensors.
pub(super) fn beside_photos(message: &[u8]) -> usize {
    message.len().saturating_sub(strings(message, &STRINGS))
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
    use crate::proto::tensorflow::TensorProto;
    use crate::proto::tensorflow::serving::PredictRequest;

    fn message(strings: Vec<Vec<u8>>, numbers: Vec<i32>) -> Vec<u8> {
        let tensor = TensorProto { string_val: strings, int_val: numbers, ..Default::default() };
        let inputs = HashMap::from([("image_bytes".to_owned(), tensor)]);
        PredictRequest { inputs, ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn only_the_strings_of_tensors_are_photos() {
        assert!(beside_photos(&message(vec![vec![7; 100_000], vec![7; 50_000]], vec![3, 4])) < 100);
        assert!(beside_photos(&message(vec![vec![]; 10_000], vec![])) > 20_000);
        assert!(beside_photos(&message(vec![vec![7; 100_000]], vec![3; 10_000])) > 10_000);
        let whole = message(vec![vec![7; 1000]], vec![3]);
        for length in 0..whole.len() {
            beside_photos(&whole[..length]);
        }
        assert_eq!(beside_photos(&[0xff; 50]), 50);
    }
}
