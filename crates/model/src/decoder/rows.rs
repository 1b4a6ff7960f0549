//! A bundle of tensors that share their first dimension.

use tch::Tensor;

/// What a decoder keeps an image (its memory) or a hypothesis (its state): tensors with one row each.
#[derive(Debug)]
pub struct Rows(pub Vec<Tensor>);

impl Rows {
    /// The rows at `indices [n]` (integers), repeats allowed: how captions share an image, and beams a parent.
    pub fn select(&self, indices: &Tensor) -> Rows {
        Rows(self.0.iter().map(|tensor| tensor.index_select(0, indices)).collect())
    }
}
