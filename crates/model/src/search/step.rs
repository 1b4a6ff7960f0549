//! What search knows of a decoder.

/// A decoder at work, whatever engine runs it.
pub trait Stepper {
    /// Tensors with one row per image (the memory) or per hypothesis (the state).
    type Rows;
    /// What the engine says when it refuses.
    type Error: std::error::Error + Send + Sync + 'static;

    /// How many rows there are.
    fn rows(&self, rows: &Self::Rows) -> usize;

    /// The rows at `indices`, repeats allowed: how hypotheses share an image, and have a parent.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    fn select(&self, rows: &Self::Rows, indices: &[usize]) -> Result<Self::Rows, Self::Error>;

    /// The state before the first word: one row for each row of the memory.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    fn start(&mut self, memory: &Self::Rows) -> Result<Self::Rows, Self::Error>;

    /// Reads one word per row (first `<bos>`) and tells what the next one may be.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    fn step(
        &mut self,
        memory: &Self::Rows,
        state: &Self::Rows,
        words: &[u32],
    ) -> Result<Step<Self::Rows>, Self::Error>;
}

/// What one step knows.
#[derive(Clone, Debug)]
pub struct Step<R> {
    /// Of the next word, natural logarithms: `[rows, vocabulary]`.
    pub log_probabilities: Table,
    /// State after the word.
    pub state: R,
    /// Share of attention on each region, `[rows, regions]`, for decoders that attend.
    pub attention: Option<Table>,
}

/// Numbers in rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Numbers of a row, at least one.
    pub columns: usize,
    /// Row after row.
    pub values: Vec<f32>,
}

impl Table {
    /// The rows in their order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.columns.max(1))
    }
}
