//! The head that predicts words of what a backbone sees.

use tch::{Kind, TchError, Tensor};

/// Scores of words before the sigmoid, `[images, words]`: linear in the mean of `grid [images, regions, channels]`.
///
/// # Errors
///
/// Tensors of other shapes.
pub fn word_scores(grid: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
    grid.f_mean_dim([1i64].as_slice(), false, Kind::Float)?.f_linear(weight, Some(bias))
}
