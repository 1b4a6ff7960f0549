//! How libtorch computes the layers of decoders.

use tch::{Device, Kind, TchError, Tensor};

use crate::draws::Draws;
use crate::native;

/// Zeroes a share of the numbers, where there are draws, and scales the others so that means stay.
///
/// One random byte decides for a number, so shares are multiples of 1/256.
pub(super) fn dropout(x: &Tensor, share: f64, draws: Option<&Draws>) -> Result<Tensor, TchError> {
    let bound = (share * 256.0).round().min(255.0);
    let Some(draws) = draws.filter(|_| bound > 0.0) else {
        return Ok(x.shallow_clone());
    };
    let bytes = draws.bytes(x.numel(), x.device())?;
    if native::is_for(x)? {
        return native::dropout(x, &bytes, bound as u8);
    }
    let kept = bytes.f_view_as(x)?.f_ge(bound)?;
    x.f_mul(&kept.f_to_kind(x.f_kind()?)?.f_mul_scalar_(256.0 / (256.0 - bound))?)
}

/// Scores of the regions before softmax, `[images, rows of each image, regions]`: of doubled keys `[images, regions, attention]`
/// and of queries `[images, rows of each image, attention]`, compared by `energy [1, attention]`.
///
/// Keys are read once per image, not once per row: at these sizes, memory traffic is what a look costs. libtorch computes σ
/// several times as fast as tanh.
pub(super) fn energies(keys: &Tensor, query: &Tensor, energy: &Tensor) -> Result<Tensor, TchError> {
    if native::is_for(keys)? && native::is_for(query)? {
        return native::energies(keys, query, energy);
    }
    let query = query.f_mul_scalar(2.0)?.f_unsqueeze(2)?;
    let weights = energy.f_mul_scalar(2.0)?;
    let compared = keys.f_unsqueeze(1)?.f_add(&query)?.f_sigmoid_()?;
    compared.f_linear(&weights, None::<Tensor>)?.f_squeeze_dim(-1)
}

/// `[rows, positions, size]` → `[rows, heads, positions, size / heads]`.
pub(super) fn heads(x: &Tensor, heads: i64) -> Result<Tensor, TchError> {
    let (rows, positions, size) = x.size3()?;
    x.f_view([rows, positions, heads, size / heads])?.f_transpose(1, 2)
}

/// What queries `[rows, heads, positions, size / heads]` find, `[rows, positions, size]`, and the share of attention
/// `[rows, heads, positions, keys]`. `mask` is added to the energies.
pub(super) fn attend(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    mask: Option<&Tensor>,
) -> Result<(Tensor, Tensor), TchError> {
    let (_, _, _, size) = keys.size4()?;
    let energy = query.f_div_scalar((size as f64).sqrt())?.f_matmul(&keys.f_transpose(2, 3)?)?;
    let energy = mask.map_or(Ok(energy.shallow_clone()), |mask| energy.f_add(mask))?;
    let attention = energy.f_softmax(-1, Kind::Float)?;
    let found = attention.f_matmul(values)?.f_transpose(1, 2)?.f_flatten(2, 3)?;
    Ok((found, attention))
}

/// Sines and cosines of `count` positions from `first` on: `[count, size]`.
pub(super) fn sinusoids(first: i64, count: i64, size: i64, device: Device) -> Result<Tensor, TchError> {
    let half = size / 2;
    let options = (Kind::Float, device);
    let rate = Tensor::f_arange(half, options)?.f_mul_scalar(-(10_000f64.ln()) / half as f64)?.f_exp()?;
    let positions = Tensor::f_arange(count, options)?.f_add_scalar(first as f64)?;
    let angle = positions.f_unsqueeze(1)?.f_mul(&rate)?;
    Tensor::f_cat(&[angle.f_sin()?, angle.f_cos()?], 1)
}

/// 1 at each of `indices […, 1]`, 0 elsewhere, in the shape of `like`.
pub(super) fn one_hot(like: &Tensor, indices: &Tensor) -> Result<Tensor, TchError> {
    like.f_zeros_like()?.f_scatter_value(-1, indices, 1.0)
}

/// ln of the mean of the probabilities of several scores, `[rows, vocabulary]` each.
pub(super) fn mean_probability(scores: &[&Tensor]) -> Result<Tensor, TchError> {
    let logs: Vec<Tensor> =
        scores.iter().map(|scores| scores.f_log_softmax(-1, Kind::Float)).collect::<Result<_, _>>()?;
    let sum = Tensor::f_stack(&logs, 0)?.f_logsumexp([0i64].as_slice(), false)?;
    sum.f_sub_scalar((scores.len() as f64).ln())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn dropout_zeroes_its_share_and_keeps_the_mean() {
        let draws = Draws::new(1);
        let draws = Some(&draws);
        let x = Tensor::ones([1001, 101], (Kind::Float, Device::Cpu));
        for share in [0.1, 0.3, 0.5] {
            let dropped = dropout(&x, share, draws).unwrap();
            let zeros = dropped.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            assert!((zeros - share).abs() < 0.005, "{zeros} of {share}");
            assert!((dropped.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.01);
            let rows = dropped.eq(0.0).to_kind(Kind::Float).mean_dim([1i64].as_slice(), false, Kind::Float);
            assert!(rows.std(false).double_value(&[]) < 0.07, "every place has its own draw");
            assert_ne!(dropped, dropout(&x, share, draws).unwrap());
        }
        assert_eq!(dropout(&x, 0.5, None).unwrap(), x);
        assert_eq!(dropout(&x, 0.0, draws).unwrap(), x);
    }

    #[test]
    fn what_was_dropped_has_no_gradient() {
        let x = Tensor::ones([64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let dropped = dropout(&x, 0.5, Some(&Draws::new(1))).unwrap();
        dropped.sum(Kind::Float).backward();
        assert_eq!(x.grad(), dropped);
    }
}
