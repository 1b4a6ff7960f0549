//! Captions of a batch end at different steps, and what has ended costs nothing more: where an image's captions stand in
//! falling order of length, only the first few of each image are left at a late step.

use artifacts::vocabulary::PAD;
use tch::{Kind, TchError, Tensor};

/// The places of a padded batch that are computed: at each step the captions of each image up to the last that goes on in
/// any of them.
#[derive(Debug)]
pub struct Ragged {
    /// Captions of each image at each step, never more than before and at least one.
    left: Vec<i64>,
    /// Of each computed word its place among `images × captions × steps`, step after step.
    places: Tensor,
    images: i64,
    /// `[images × captions, steps]`.
    padded: [i64; 2],
}

impl Ragged {
    /// Of `words [images, captions, steps]`, padded at their ends.
    ///
    /// # Errors
    ///
    /// Words of another shape.
    pub fn new(words: &Tensor) -> Result<Ragged, TchError> {
        let (images, captions, steps) = words.size3()?;
        let goes_on = words.f_ne(i64::from(PAD))?.f_any_dim(0, false)?;
        let counted =
            Tensor::f_arange_start(1, captions + 1, (Kind::Int64, words.device()))?.f_unsqueeze(1)?;
        let count = goes_on.f_mul(&counted)?.f_amax([0i64].as_slice(), false)?;
        let mut left: Vec<i64> = (0..steps)
            .map(|step| Ok(count.f_int64_value(&[step])?.max(1)))
            .collect::<Result<_, TchError>>()?;
        for step in (1..left.len()).rev() {
            left[step - 1] = left[step - 1].max(left[step]);
        }
        let mut places = Vec::new();
        for (step, &left) in (0..steps).zip(&left) {
            let rows = (0..images).flat_map(|image| (0..left).map(move |caption| image * captions + caption));
            places.extend(rows.map(|row| row * steps + step));
        }
        let places = Tensor::f_from_slice(&places)?.f_to_device(words.device())?;
        Ok(Ragged { left, places, images, padded: [images * captions, steps] })
    }

    /// How many captions of each image are computed, step after step.
    pub(super) fn left(&self) -> impl Iterator<Item = i64> + '_ {
        self.left.iter().copied()
    }

    /// Padded values `[images × captions, steps, …]`, or those with images and captions apart → those that are computed,
    /// `[places, …]`.
    ///
    /// # Errors
    ///
    /// Tensors of other shapes.
    pub fn select(&self, padded: &Tensor) -> Result<Tensor, TchError> {
        let [rows, steps] = self.padded;
        let inner = padded.numel() as i64 / (rows * steps).max(1);
        let flat = if inner == 1 { vec![rows * steps] } else { vec![rows * steps, inner] };
        padded.f_reshape(flat)?.f_index_select(0, &self.places)
    }

    /// What was computed at each step, `[images, left, size]` each → `[places, size]`.
    pub(super) fn join(&self, steps: &[Tensor]) -> Result<Tensor, TchError> {
        let steps: Vec<Tensor> = steps.iter().map(|step| step.f_flatten(0, 1)).collect::<Result<_, _>>()?;
        Tensor::f_cat(&steps, 0)
    }

    /// Values `[places, size]` → those of each step, `[images, left, size]`.
    pub(super) fn steps(&self, values: &Tensor) -> Result<Vec<Tensor>, TchError> {
        let (_, size) = values.size2()?;
        let rows: Vec<i64> = self.left().map(|left| left * self.images).collect();
        let steps = values.f_split_with_sizes(rows, 0)?;
        steps.into_iter().map(|step| step.f_view([self.images, -1, size])).collect()
    }

    /// What was computed, `[places, size]` → padded with zeros, `[images × captions, steps, size]`.
    ///
    /// # Errors
    ///
    /// Tensors of other shapes.
    pub fn spread(&self, computed: &Tensor) -> Result<Tensor, TchError> {
        let [rows, steps] = self.padded;
        let (_, size) = computed.size2()?;
        let zeros = Tensor::f_zeros([rows * steps, size], (computed.f_kind()?, computed.device()))?;
        zeros.f_index_copy(0, &self.places, computed)?.f_view([rows, steps, size])
    }
}

/// The first captions of each image: `[images, captions, size]` → `[images, left, size]`.
pub(super) fn first(state: &Tensor, left: i64) -> Result<Tensor, TchError> {
    if state.size3()?.1 == left { Ok(state.shallow_clone()) } else { state.f_narrow(1, 0, left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_not_computed() {
        // The second image's short caption stands first: it is computed as long as the other one.
        let words = Tensor::from_slice(&[1i64, 4, 5, 6, 1, 4, 0, 0, 1, 0, 0, 0, 1, 4, 5, 0]).view([2, 2, 4]);
        let ragged = Ragged::new(&words).unwrap();
        assert_eq!(ragged.left().collect::<Vec<_>>(), [2, 2, 2, 1]);
        let values = Tensor::arange(16, (Kind::Int64, words.device())).view([2, 2, 4]);
        let selected = ragged.select(&values).unwrap();
        let ids = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(ids(&selected), [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 11]);
        let steps: Vec<Tensor> = ragged
            .left()
            .enumerate()
            .map(|(step, left)| values.select(2, step as i64).narrow(1, 0, left).unsqueeze(-1))
            .collect();
        let selected = selected.unsqueeze(-1);
        assert_eq!(ragged.join(&steps).unwrap(), selected);
        assert_eq!(ragged.steps(&selected).unwrap(), steps);
        let padded = ragged.spread(&selected).unwrap();
        assert_eq!(padded.size(), [4, 4, 1]);
        assert_eq!(ids(&padded), [0, 1, 2, 3, 4, 5, 6, 0, 8, 9, 10, 11, 12, 13, 14, 0]);
    }

    #[test]
    fn padding_between_words_is_computed_and_nothing_but_padding_is_one_row() {
        let left = |words: &[i64], shape: [i64; 3]| -> Vec<i64> {
            Ragged::new(&Tensor::from_slice(words).view(shape)).unwrap().left().collect()
        };
        assert_eq!(left(&[1, 0, 5, 0], [1, 1, 4]), [1, 1, 1, 1]);
        assert_eq!(left(&[1, 0, 1, 5], [1, 2, 2]), [2, 2]);
        assert_eq!(left(&[0, 0, 0, 0], [1, 2, 2]), [1, 1]);
    }
}
