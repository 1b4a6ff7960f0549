//! Networks of others, as torch.onnx exports them, give PyTorch's own grids; what is none is refused with the reason.
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use artifacts::features::{Layout, OnnxOutput};
use onnx::{ForeignBackbone, ForeignError, OnnxError, Rejected};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign")
}

fn network(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name).with_extension("onnx")).unwrap()
}

/// Two images, and the grids that PyTorch gives for them.
fn reference(name: &str, side: usize) -> (Vec<f32>, Vec<f32>) {
    let bytes = std::fs::read(folder().join(name).with_extension("bin")).unwrap();
    let mut values: Vec<f32> =
        bytes.as_chunks().0.iter().map(|&bytes: &[u8; 4]| f32::from_le_bytes(bytes)).collect();
    let grids = values.split_off(2 * 3 * side * side);
    (values, grids)
}

fn of(output: &str, regions: Layout, drop_tokens: usize) -> OnnxOutput {
    OnnxOutput { output: output.to_owned(), regions, drop_tokens }
}

fn open(model: &[u8], of: &OnnxOutput, side: u32) -> Result<ForeignBackbone, ForeignError> {
    ForeignBackbone::new(model, of, side, NonZeroUsize::MIN)
}

#[test]
fn grids_are_those_of_pytorch() {
    let (first, tokens) = (Layout::ChannelsFirst, Layout::Tokens);
    let cases = [
        ("vit", "vit", of("", tokens, 1), 32, None, 16, 24),
        ("vit_one", "vit", of("tokens", tokens, 1), 32, None, 16, 24),
        ("vit_registers", "vit_registers", of("", tokens, 5), 32, None, 16, 24),
        ("convnext", "convnext", of("", first, 0), 64, Some([2, 2]), 4, 24),
        ("mobilenet", "mobilenet", of("grid", first, 0), 48, Some([3, 3]), 9, 16),
    ];
    for (file, expected, output, side, sides, regions, channels) in cases {
        let (images, wanted) = reference(expected, side);
        let wanted: Vec<f32> = match output.regions {
            // PyTorch's own are with all tokens.
            Layout::Tokens => wanted
                .chunks((regions + output.drop_tokens) * channels)
                .flat_map(|image| image[output.drop_tokens * channels..].to_vec())
                .collect(),
            _ => wanted,
        };
        let mut backbone =
            open(&network(file), &output, side as u32).unwrap_or_else(|error| panic!("{file}: {error}"));
        let grids = backbone.grids(&images).unwrap();
        assert_eq!((grids.sides, grids.regions, grids.channels), (sides, regions, channels), "{file}");
        assert_eq!(grids.values.len(), wanted.len(), "{file}");
        let largest = wanted.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let differ = |(found, wanted): (&f32, &f32)| (found - wanted).abs();
        let error = grids.values.iter().zip(&wanted).map(differ).fold(0.0, f32::max) / largest;
        assert!(error < 1e-5 && largest > 0.1, "{file}: relative error {error}");
        // An image gives what it gives beside others.
        let alone = backbone.grids(&images[images.len() / 2..]).unwrap();
        let half = &grids.values[wanted.len() / 2..];
        assert!(alone.values.iter().zip(half).map(differ).fold(0.0, f32::max) / largest < 1e-5, "{file}");
        assert_eq!(
            backbone.output().output,
            if file == "convnext" || file == "mobilenet" { "grid" } else { "tokens" }
        );
    }
}

#[test]
fn a_fixed_number_of_images_is_filled_up_and_open_shapes_are_found_by_running() {
    let values: Vec<f32> = (0..4 * 3 * 32 * 32).map(|number| (number % 1009) as f32).collect();
    let mut three = open(&network("bad/last_of_three"), &of("", Layout::ChannelsLast, 0), 32).unwrap();
    let grids = three.grids(&values).unwrap();
    assert_eq!(
        (grids.sides, grids.regions, grids.channels, grids.values.len()),
        (Some([32, 32]), 1024, 3, values.len())
    );
    // The fourth image is in the second batch.
    assert_eq!(grids.values[3 * 3072..][..3], [0, 1, 2].map(|channel| values[3 * 3072 + channel * 1024]));
    let mut dynamic = open(&network("bad/dynamic"), &of("grid", Layout::ChannelsFirst, 0), 32).unwrap();
    let same = dynamic.grids(&values).unwrap();
    assert_eq!((same.sides, same.values), (grids.sides, grids.values));
}

#[test]
fn what_no_backbone_can_be_made_of_is_refused_with_the_reason() {
    let first = |output: &str| of(output, Layout::ChannelsFirst, 0);
    let said = |file: &str, of: OnnxOutput, side: u32| match open(&network(file), &of, side) {
        Ok(mut backbone) => backbone.grids(&vec![0.5; backbone.numbers()]).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let cases = [
        ("bad/external", first(""), "the weights `weight` lie outside the file, in \"../../etc/passwd\""),
        (
            "bad/external",
            first(""),
            "networks with weights outside the file are not read; save it as one file",
        ),
        ("bad/external_nested", first(""), "the weights `hidden` lie outside the file, in \"elsewhere.bin\""),
        ("bad/operator", first(""), "Nonesuch"),
        ("bad/domain", first(""), "my.company"),
        ("bad/future", first(""), "999"),
        ("bad/huge_input", first(""), "wants `images` [1, 3, 32768, 32768], 12 GB; at most 1.1 GB"),
        ("bad/huge_output", first(""), "wants `grid` [1, 3, 32768, 32768], 12 GB; at most 1.1 GB"),
        ("bad/nan", first(""), "not finite in half precision: its weights are damaged, or `mean` and `std`"),
        ("bad/large", first(""), "not finite in half precision"),
        (
            "bad/two_inputs",
            first(""),
            "takes `images: f32 [1, 3, 32, 32]`, `mask: f32 [1]`: a backbone takes one array",
        ),
        ("bad/bytes", first(""), "takes `images: u8 [1, 3, 32, 32]`: a backbone takes one array of f32"),
        ("bad/gray", first(""), "takes `images: f32 [1, 1, 32, 32]`: a backbone takes one array of f32"),
        ("bad/vector", first(""), "output `grid` is [1, 3], and [batch, channels, rows, columns] is wanted"),
        (
            "bad/whole",
            first(""),
            "output `grid: i64 [4]` is no array of f32: export the network with outputs of f32",
        ),
        ("vit", first(""), "and [batch, channels, rows, columns] is wanted: `regions` says how"),
        ("vit", of("", Layout::Tokens, 17), "gives 17 tokens, and `drop_tokens` leaves none of them"),
        ("mobilenet", first(""), "`output` must name the one that is meant"),
        (
            "mobilenet",
            first("features"),
            "gives no `features`: it gives `grid: f32 [?, 16, 3, 3]`, `pooled: f32 [?, 16]`",
        ),
        ("mobilenet", first("pooled"), "the outputs are `grid: f32 [?, 16, 3, 3]`, `pooled: f32 [?, 16]`"),
    ];
    for (file, of, wanted) in cases {
        let side = if file == "mobilenet" { 48 } else { 32 };
        let said = said(file, of, side);
        assert!(said.contains(wanted), "{file}: {said}\nis not: {wanted}");
    }
    assert_eq!(
        said("vit", of("", Layout::Tokens, 1), 64),
        "the network takes images of 32×32 pixels, but is shown 64×64: `crop` must be what it takes"
    );
}

#[test]
fn a_file_that_is_cut_or_none_is_refused_or_runs() {
    let whole = network("vit");
    let output = of("", Layout::Tokens, 1);
    for length in (0..whole.len()).step_by(1013) {
        // Cut between two fields it is still a file of its format, only with less in it.
        let error = open(&whole[..length], &output, 32).err();
        assert!(
            matches!(&error, Some(ForeignError::Rejected(_) | ForeignError::Onnx(OnnxError::Model { .. }))),
            "{length}: {error:?}"
        );
    }
    for text in [&b"PK\x03\x04 a zip"[..], b"<html>404 Not Found</html>", b""] {
        assert!(matches!(open(text, &output, 32), Err(ForeignError::Rejected(_))));
    }
    let own = [&[24, 0, 0, 0][..], b"ORTM", &[0; 64]].concat();
    assert_eq!(open(&own, &output, 32).unwrap_err(), ForeignError::Rejected(Rejected::Ort));
}
