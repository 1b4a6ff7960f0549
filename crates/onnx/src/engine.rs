//! Networks at work: grids of images, and a decoder's steps for search.

use std::num::NonZeroUsize;
use std::sync::Arc;

use model::search::{Step, Stepper, Table};

use crate::backbone::{GRID, IMAGES};
use crate::decoder::{self, DecoderModels, LOG_PROBABILITIES, WORDS};
use crate::session::{Array, Input, OnnxError, Session};

/// A backbone ready to look at images of one size, always as many at once: it keeps the memory of the largest batch.
#[derive(Debug)]
pub struct Backbone {
    session: Session,
    side: usize,
}

impl Backbone {
    /// The network in an ONNX file of [`backbone`](crate::backbone()) for images of `side` pixels, on so many threads.
    ///
    /// # Errors
    ///
    /// ONNX Runtime is missing, or cannot read or run the model.
    pub fn new(model: &[u8], side: u32, threads: NonZeroUsize) -> Result<Backbone, OnnxError> {
        Ok(Backbone { session: Session::of_equal_runs(model, threads)?, side: side as usize })
    }

    /// Numbers of one image: 3 × side × side.
    pub fn numbers(&self) -> usize {
        3 * self.side * self.side
    }

    /// Features of normalised images, `[batch × 3 × side × side]`: `[batch × regions × channels]`, regions row by row from the
    /// top left.
    ///
    /// # Errors
    ///
    /// Numbers that are no whole number of images, and refusals of ONNX Runtime.
    pub fn grids(&mut self, images: &[f32]) -> Result<Vec<f32>, OnnxError> {
        let batch = images.len() / self.numbers();
        let input = Input::F32 { shape: &[batch, 3, self.side, self.side], values: images };
        let grids = self.session.run(&[(IMAGES, input)])?.into_iter().next();
        grids.map(|grids| grids.values).ok_or_else(|| OnnxError::Absent(GRID.to_owned()))
    }
}

/// A decoder ready to write: the engine of [`beam_search`](model::search::beam_search).
#[derive(Debug)]
pub struct Decoder {
    encode: Session,
    step: Session,
    memory: Vec<String>,
    state: Vec<String>,
}

/// What a decoder keeps: arrays with one row each per hypothesis (its state) or per image (its memory, behind which the state
/// before the first word waits). They are shared, because many rows stay where they are from one step to the next.
pub type Rows = Vec<Arc<Array>>;

impl Decoder {
    /// The decoder in ONNX files, on so many threads.
    ///
    /// # Errors
    ///
    /// ONNX Runtime is missing, or cannot read or run the models.
    pub fn new(models: &DecoderModels, threads: NonZeroUsize) -> Result<Decoder, OnnxError> {
        let (encode, step) = (Session::new(&models.encode, threads)?, Session::new(&models.step, threads)?);
        let named = |name: fn(usize) -> String| {
            let is_input = |name: &String| step.inputs().iter().any(|port| port.name == *name);
            (0..).map(name).take_while(is_input).collect()
        };
        let (memory, state) = (named(decoder::memory), named(decoder::state));
        Ok(Decoder { encode, step, memory, state })
    }

    /// The memory of images: of their grids `[images × regions × channels]`, in that shape.
    ///
    /// # Errors
    ///
    /// Grids of another shape than the decoder reads, and refusals of ONNX Runtime.
    pub fn encode(&mut self, grids: &[f32], shape: [usize; 3]) -> Result<Rows, OnnxError> {
        Ok(shared(self.encode.run(&[(decoder::GRID, Input::F32 { shape: &shape, values: grids })])?))
    }
}

impl Stepper for Decoder {
    type Rows = Rows;
    type Error = OnnxError;

    fn rows(&self, rows: &Rows) -> usize {
        rows.first().and_then(|array| array.shape.first().copied()).unwrap_or(0)
    }

    fn select(&self, rows: &Rows, indices: &[usize]) -> Result<Rows, OnnxError> {
        if indices.iter().copied().eq(0..self.rows(rows)) {
            return Ok(rows.clone());
        }
        Ok(rows.iter().map(|array| Arc::new(array.rows(indices))).collect())
    }

    fn start(&mut self, memory: &Rows) -> Result<Rows, OnnxError> {
        Ok(memory.iter().skip(self.memory.len()).cloned().collect())
    }

    fn step(&mut self, memory: &Rows, state: &Rows, words: &[u32]) -> Result<Step<Rows>, OnnxError> {
        let words: Vec<i64> = words.iter().map(|&word| word.into()).collect();
        let shape = [words.len()];
        let arrays = self.memory.iter().zip(memory).chain(self.state.iter().zip(state));
        let inputs = arrays
            .map(|(name, array)| (name.as_str(), Input::F32 { shape: &array.shape, values: &array.values }));
        let words = (WORDS, Input::I64 { shape: &shape, values: &words });
        let inputs: Vec<(&str, Input)> = inputs.chain([words]).collect();
        let mut outputs = self.step.run(&inputs)?.into_iter();
        let log_probabilities = outputs.next().map(table);
        let state = shared(outputs.by_ref().take(self.state.len()));
        let attention = outputs.next().map(table);
        let log_probabilities =
            log_probabilities.ok_or_else(|| OnnxError::Absent(LOG_PROBABILITIES.to_owned()))?;
        Ok(Step { log_probabilities, state, attention })
    }
}

fn shared(arrays: impl IntoIterator<Item = Array>) -> Rows {
    arrays.into_iter().map(Arc::new).collect()
}

/// An array `[rows, columns]`.
fn table(Array { shape, values }: Array) -> Table {
    Table { columns: shape.last().copied().unwrap_or(1), values }
}
