//! A bundle of tensors that share their first dimension.

use tch::{TchError, Tensor};

/// What a decoder keeps per image (its memory) or per hypothesis (its state): tensors with one row each.
#[derive(Debug)]
pub struct Rows(pub Vec<Tensor>);

impl Rows {
    /// The rows at `indices [n]` (integers), repeats allowed: how captions share an image, and beams a parent.
    ///
    /// # Errors
    ///
    /// What libtorch says, of a row that is not there for example.
    pub fn select(&self, indices: &Tensor) -> Result<Rows, TchError> {
        let selected: Result<_, _> = self.0.iter().map(|tensor| tensor.f_index_select(0, indices)).collect();
        selected.map(Rows)
    }
}
