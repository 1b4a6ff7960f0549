//! What tuning minimises.

use tch::{TchError, Tensor};
use torch::draws::Draws;

/// A way to turn the grids of some images into a loss.
pub(crate) trait Objective {
    /// The sum over the images of their losses in nats, a scalar: `grid [images, regions, channels]` of those train images. All
    /// that is drawn comes from `draws`.
    fn loss(&self, grid: &Tensor, images: &[usize], draws: &Draws) -> Result<Tensor, TchError>;

    /// What learns beside the network, by name.
    fn parameters(&self) -> Vec<(String, Tensor)>;
}
