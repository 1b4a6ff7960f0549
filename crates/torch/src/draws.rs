//! What training draws: dropout, and where hard attention looks.

use std::cell::RefCell;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor};

/// A stream of random numbers that one seed decides, on any device and whatever else draws meanwhile.
///
/// libtorch's own generator belongs to the process: threads that draw from it side by side get what the scheduler gives them.
#[derive(Debug)]
pub struct Draws(RefCell<ChaCha8Rng>);

impl Draws {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Draws {
        Draws(RefCell::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// So many random bytes: `[count]`.
    ///
    /// # Errors
    ///
    /// The device has no room.
    pub fn bytes(&self, count: usize, device: Device) -> Result<Tensor, TchError> {
        let mut bytes = vec![0u8; count];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Tensor::f_from_slice(&bytes)?.f_to_device(device)
    }

    /// Numbers that are uniform in [0, 1).
    ///
    /// # Errors
    ///
    /// The device has no room.
    pub fn uniform(&self, shape: &[i64], device: Device) -> Result<Tensor, TchError> {
        let count = shape.iter().product::<i64>() as usize;
        let mut random = self.0.borrow_mut();
        let numbers: Vec<f32> = (0..count).map(|_| random.random()).collect();
        Tensor::f_from_slice(&numbers)?.f_view(shape)?.f_to_device(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_every_draw() {
        let of = |seed| {
            let draws = Draws::new(seed);
            let uniform = draws.uniform(&[3, 4], Device::Cpu).unwrap();
            assert_eq!(uniform.size(), [3, 4]);
            let bytes = draws.bytes(7, Device::Cpu).unwrap();
            (Vec::<f32>::try_from(uniform.flatten(0, -1)).unwrap(), Vec::<u8>::try_from(bytes).unwrap())
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(of(1).0.iter().all(|number| (0.0..1.0).contains(number)));
    }
}
