//! What tuning minimises.

use tch::{TchError, Tensor};

/// A way to turn the grids of some images into a loss. Tensors may move between threads but not be shared by them: every
/// part of a batch has a copy, and all copies share the parameters.
pub(crate) trait Objective: Send {
    /// The sum over the images of their losses, a scalar: `grid [images, regions, channels]` of those train images.
    fn loss(&self, grid: &Tensor, images: &[usize]) -> Result<Tensor, TchError>;

    /// What learns beside the network, by name.
    fn parameters(&self) -> Vec<(String, Tensor)>;

    /// The same for another thread.
    fn share(&self) -> Box<dyn Objective + '_>;
}
