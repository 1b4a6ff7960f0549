//! Weights in bytes: one scale for each output channel, and no offset.
//!
//! Only the file holds bytes. Whatever runs it widens them as it loads and computes in f32, so that processors of all kinds agree.

/// How a file holds the weights of its layers; all other numbers it holds without loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// Without loss: in half precision where that is exact, else in single.
    #[default]
    Exact,
    /// In bytes: a quarter of f32, and at most half a 127th of a channel's largest weight beside it.
    Int8,
}

/// An array in bytes.
pub(crate) struct Quantized {
    /// `weight / scale`, rounded, within ±127.
    pub(crate) bytes: Vec<u8>,
    /// One per channel.
    pub(crate) scales: Vec<f32>,
}

/// An array whose `channels` follow one another every `stride` numbers, over and over.
pub(crate) fn quantize(values: &[f32], channels: usize, stride: usize) -> Quantized {
    let channel = |at: usize| at / stride % channels;
    let mut largest = vec![0.0f32; channels];
    for (at, value) in values.iter().enumerate() {
        largest[channel(at)] = largest[channel(at)].max(value.abs());
    }
    let scales: Vec<f32> = largest.into_iter().map(|largest| largest / 127.0).collect();
    let byte = |(at, value): (usize, &f32)| {
        let scale = scales[channel(at)];
        // A channel of zeros has none.
        let rounded = if scale > 0.0 { (value / scale).round_ties_even().clamp(-127.0, 127.0) } else { 0.0 };
        (rounded as i8).cast_unsigned()
    };
    Quantized { bytes: values.iter().enumerate().map(byte).collect(), scales }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::graph::{Graph, Size};
    use crate::session::{Input, Session};

    /// Weights `[channels, rest]` of very different sizes, the last channel all zeros.
    fn weights(channels: usize, rest: usize) -> Vec<f32> {
        let weight = |at: usize| {
            let (channel, place) = (at / rest, at % rest);
            let size = 0.01 * 3f32.powi(channel as i32 % 9);
            if channel + 1 == channels { 0.0 } else { size * (place as f32 * 0.7 + channel as f32).sin() }
        };
        (0..channels * rest).map(weight).collect()
    }

    #[test]
    fn every_weight_is_within_half_a_step_of_its_channel() {
        let (channels, rest) = (20, 33);
        let weights = weights(channels, rest);
        let Quantized { bytes, scales } = quantize(&weights, channels, rest);
        for (channel, row) in weights.chunks(rest).enumerate() {
            let largest = row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            assert_eq!(scales[channel], largest / 127.0);
            for (weight, byte) in row.iter().zip(&bytes[channel * rest..]) {
                let back = f32::from(byte.cast_signed()) * scales[channel];
                assert!((back - weight).abs() <= 0.5001 * scales[channel], "{weight} became {back}");
            }
        }
        assert!(bytes.iter().any(|byte| byte.cast_signed() == 127));
        assert!(bytes[(channels - 1) * rest..].iter().all(|&byte| byte == 0), "zeros stay zeros");
    }

    #[test]
    fn channels_are_found_along_any_axis() {
        let (channels, rest) = (7, 150);
        let rows = weights(channels, rest);
        let columns: Vec<f32> =
            (0..rest).flat_map(|place| rows.iter().skip(place).step_by(rest).copied()).collect();
        let (of_rows, of_columns) = (quantize(&rows, channels, rest), quantize(&columns, channels, 1));
        assert_eq!(of_rows.scales, of_columns.scales);
        assert!(
            (0..rest).all(|place| of_rows.bytes[3 * rest + place] == of_columns.bytes[place * channels + 3])
        );
    }

    /// What a product with the identity gives back of weights `[inputs, outputs]`, and the bytes of its file.
    fn multiplied(format: WeightFormat, shape: [usize; 2], values: &[f32]) -> (Vec<f32>, usize) {
        let [inputs, outputs] = shape.map(|size| size as i64);
        let mut graph = Graph::of(format);
        let x = graph.input("x", &[Size::Free("rows"), Size::Fixed(inputs)]);
        let held = graph.weights("weights", &[inputs, outputs], 1, || values.to_vec());
        let product = graph.add("MatMul", &[&x, &held], &[]);
        graph.output("y", &product, &[Size::Free("rows"), Size::Fixed(outputs)]);
        let file = graph.finish("product");
        let identity: Vec<f32> =
            (0..shape[0] * shape[0]).map(|at| if at % (shape[0] + 1) == 0 { 1.0 } else { 0.0 }).collect();
        let mut session = Session::new(&file, NonZeroUsize::MIN).unwrap();
        let input = Input::F32 { shape: &[shape[0]; 2], values: &identity };
        (session.run(&[("x", input)]).unwrap().remove(0).values, file.len())
    }

    #[test]
    fn onnx_runtime_widens_what_the_file_holds() {
        let shape = [40, 50];
        let values: Vec<f32> = (0..2000).map(|at| (at as f32 * 0.37).sin() * (1 + at % 50) as f32).collect();
        let (exact, size) = multiplied(WeightFormat::Exact, shape, &values);
        assert_eq!(exact, values);
        let (rounded, small) = multiplied(WeightFormat::Int8, shape, &values);
        assert!(small < size / 3, "{small} of {size} bytes");
        let Quantized { bytes, scales } = quantize(&values, 50, 1);
        let wanted: Vec<f32> = bytes
            .iter()
            .enumerate()
            .map(|(at, byte)| f32::from(byte.cast_signed()) * scales[at % 50])
            .collect();
        assert_eq!(rounded, wanted);
        // Few numbers are as they were.
        assert_eq!(multiplied(WeightFormat::Int8, [4, 5], &values[..20]).0, values[..20]);
    }

    #[test]
    fn a_weight_that_is_no_number_stays_none() {
        let mut values = vec![1.0f32; 40 * 50];
        values[7] = f32::NAN;
        let [exact, small] =
            [WeightFormat::Exact, WeightFormat::Int8].map(|format| multiplied(format, [40, 50], &values).0);
        let broken = |values: &[f32]| values.iter().map(|value| value.is_nan()).collect::<Vec<_>>();
        assert!(small[7].is_nan());
        assert_eq!(broken(&small), broken(&exact));
    }
}
