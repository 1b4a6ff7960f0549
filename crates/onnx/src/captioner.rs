//! A whole captioner as two ONNX graphs: what is done once per photo, and what is done once per word.

use model::backbone::BackboneSpec;
use model::checkpoint::Assembled;
use model::grids::Join;
use model::weights::{NamedArrays, WeightsError};

use crate::decoder::{ATTENTION, LOG_PROBABILITIES, Ranked, WORDS, next_state};
use crate::graph::{Graph, Name, Told};
use crate::int8::WeightFormat;
use crate::proto::{FLOAT, FLOAT16};
use crate::{backbone, decoder};

/// A set of features that the captioner reads: which network makes it of which images.
#[derive(Clone, Debug)]
pub struct Looks<'a> {
    /// Name of the input with the images; sets that are shown the same ones share it.
    pub images: String,
    /// Side of the images in pixels.
    pub side: u32,
    /// The network.
    pub backbone: &'static BackboneSpec,
    /// Its weights. Two sets of the same network have the same.
    pub weights: &'a NamedArrays,
}

/// The ONNX files of a captioner, with the names of what goes in and out.
#[derive(Clone, Debug)]
pub struct CaptionerModels {
    /// Normalised images `[batch, 3, side, side]` → the memory and the state before the first word, with one row per image.
    pub encoder: Vec<u8>,
    /// The memory, the state and the words of some hypotheses → what the next words may be; see
    /// [`DecoderModels::step`](crate::DecoderModels::step).
    pub decoder: Vec<u8>,
    /// The inputs of the encoder.
    pub images: Vec<String>,
    /// The memory: outputs of the one, inputs of the other.
    pub memory: Vec<String>,
    /// The state, likewise.
    pub state: Vec<String>,
    /// The other input of a step.
    pub words: String,
    /// The first output of a step.
    pub log_probabilities: String,
    /// The state after the step, in the order of [`state`](Self::state).
    pub next_state: Vec<String>,
    /// The last output of a step, for decoders that attend.
    pub attention: Option<String>,
}

impl CaptionerModels {
    /// Those of a decoder and the sets that it reads, in the order in which `join` joins them.
    ///
    /// Grids are rounded to half precision on their way, as they are for the decoder's training and wherever this workspace
    /// captions.
    ///
    /// # Errors
    ///
    /// A tensor that is absent or of another shape, by its name; numbers that are not finite.
    pub fn new(
        sets: &[Looks],
        join: &Join,
        decoder: &Assembled,
        weights: WeightFormat,
    ) -> Result<CaptionerModels, WeightsError> {
        let Assembled { description, parameters, .. } = decoder;
        description.check(parameters)?;
        let mut graph = Graph::of(weights);
        let images = inputs(&mut graph, sets);
        let grid = joined(&mut graph, sets, join)?;
        graph.enter("decoder.");
        let known = decoder::encode(&mut graph, description, parameters, grid);
        let step = decoder::step(Graph::of(weights), description, parameters, &known);
        let names = |values: &[Ranked]| values.iter().map(|value| value.name.clone()).collect();
        let (memory, state) = known.split_at(description.memory());
        Ok(CaptionerModels {
            encoder: graph.finish("encoder"),
            decoder: step,
            images,
            memory: names(memory),
            state: names(state),
            words: WORDS.to_owned(),
            log_probabilities: LOG_PROBABILITIES.to_owned(),
            next_state: (0..state.len()).map(next_state).collect(),
            attention: description.attends().then(|| ATTENTION.to_owned()),
        })
    }
}

/// Each input once.
fn inputs(graph: &mut Graph, sets: &[Looks]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for Looks { images, side, .. } in sets {
        if !names.contains(images) {
            backbone::images(graph, images, *side);
            names.push(images.clone());
        }
    }
    names
}

/// The grids of all sets as one, `[batch, regions, channels]`.
fn joined(graph: &mut Graph, sets: &[Looks], join: &Join) -> Result<Name, WeightsError> {
    let mut grids = vec![];
    for (number, Looks { images, side, backbone, weights }) in sets.iter().enumerate() {
        // A network that two sets share is in the file once.
        graph.enter(&format!("{}.", backbone.name));
        let (grid, regions) = backbone::grid(graph, backbone, weights, images, *side)?;
        let mut grid = rounded(graph, &grid);
        if let Some(shares) = join.shares(number) {
            graph.enter(&format!("join.{number}."));
            let shares = graph.constant("shares", &[join.regions() as i64, regions], || shares);
            let resampled = graph.add("MatMul", &[&shares, &grid], &[]);
            grid = rounded(graph, &resampled);
        }
        grids.push(grid);
    }
    Ok(match grids.as_slice() {
        [only] => only.clone(),
        several => {
            let several: Vec<&str> = several.iter().map(String::as_str).collect();
            graph.add("Concat", &several, &[Told::Int("axis", 2)])
        }
    })
}

/// To half precision and back.
fn rounded(graph: &mut Graph, value: &str) -> Name {
    let half = graph.add("Cast", &[value], &[Told::Int("to", FLOAT16.into())]);
    graph.add("Cast", &[&half], &[Told::Int("to", FLOAT.into())])
}
