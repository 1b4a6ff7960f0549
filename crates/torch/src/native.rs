//! Operations of a training step that libtorch lacks, or has slower: `cpp/`, with their gradients.
//!
//! They compute on the thread that calls them and change nothing outside the tensors that they return. The element-wise ones
//! are for fp32 on a CPU; products are for every device.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use tch::{Device, Kind, TchError, Tensor};
use torch_sys::C_tensor;

use crate::precision::Precision;

unsafe extern "C" {
    fn captioning_error() -> *const c_char;
    fn captioning_linear(
        result: *mut *mut C_tensor,
        x: *mut C_tensor,
        weight: *mut C_tensor,
        bias: *mut C_tensor,
        bf16: c_int,
    ) -> c_int;
    fn captioning_shared(
        result: *mut *mut c_void,
        value: *mut C_tensor,
        transposed: c_int,
        bf16: c_int,
    ) -> c_int;
    fn captioning_shared_product(result: *mut *mut C_tensor, handle: *mut c_void, x: *mut C_tensor) -> c_int;
    fn captioning_shared_free(handle: *mut c_void);
    fn captioning_gates(
        hidden: *mut *mut C_tensor,
        next: *mut *mut C_tensor,
        product: *mut C_tensor,
        known: *mut C_tensor,
        cell: *mut C_tensor,
    ) -> c_int;
    fn captioning_energies(
        result: *mut *mut C_tensor,
        keys: *mut C_tensor,
        query: *mut C_tensor,
        energy: *mut C_tensor,
    ) -> c_int;
    fn captioning_dropout(
        result: *mut *mut C_tensor,
        x: *mut C_tensor,
        draws: *mut C_tensor,
        bound: i64,
    ) -> c_int;
    fn captioning_log_probabilities(
        chosen: *mut *mut C_tensor,
        mean: *mut *mut C_tensor,
        scores: *mut C_tensor,
        target: *mut C_tensor,
    ) -> c_int;
    fn captioning_adamw(
        value: *mut C_tensor,
        gradient: *mut C_tensor,
        mean: *mut C_tensor,
        square: *mut C_tensor,
        step: i64,
        learning_rate: f64,
        beta_1: f64,
        beta_2: f64,
        weight_decay: f64,
        epsilon: f64,
        scale: f64,
    ) -> c_int;
}

/// What went wrong, in libtorch's words.
fn refusal() -> TchError {
    // SAFETY: the message is a string that ends with 0, and stays until this thread's next call.
    let message = unsafe { CStr::from_ptr(captioning_error()) };
    TchError::Torch(message.to_string_lossy().into_owned())
}

fn done(code: c_int) -> Result<(), TchError> {
    if code == 0 { Ok(()) } else { Err(refusal()) }
}

/// The tensors that `compute` puts where it is told to.
fn tensors<const N: usize>(
    compute: impl FnOnce(&mut [*mut C_tensor; N]) -> c_int,
) -> Result<[Tensor; N], TchError> {
    let mut results = [null_mut(); N];
    done(compute(&mut results))?;
    // SAFETY: where it worked, every place holds a tensor of its own, which nobody else frees.
    Ok(results.map(|result| unsafe { Tensor::from_ptr(result) }))
}

/// The functions read the tensor and keep references of their own.
fn pointer(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}

/// Whether the element-wise operations are for this tensor.
pub(crate) fn is_for(x: &Tensor) -> Result<bool, TchError> {
    Ok(x.device() == Device::Cpu && x.f_kind()? == Kind::Float)
}

/// x Wᵀ + b of `x […, inputs]`, `weight [outputs, inputs]` and `bias [outputs]`: `[…, outputs]`. Factors of all products, also of
/// those that make gradients, are rounded to `precision`; what they come to is f32.
pub(crate) fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    precision: Precision,
) -> Result<Tensor, TchError> {
    let bias = bias.map_or(null_mut(), pointer);
    // SAFETY: the pointers are of tensors that live through the call, or null where the function allows it.
    let [result] = tensors(|[result]| unsafe {
        captioning_linear(result, pointer(x), pointer(weight), bias, precision.is_bf16())
    })?;
    Ok(result)
}

/// A factor that the products of many steps share: its gradient is computed once for all of them.
pub(crate) struct Shared(*mut c_void);

impl Shared {
    /// Of `value`, or of its transpose, rounded to `precision` once.
    pub(crate) fn new(value: &Tensor, transposed: bool, precision: Precision) -> Result<Shared, TchError> {
        let mut handle = null_mut();
        // SAFETY: the tensor lives through the call, which puts a handle of its own where it is told to.
        let code = unsafe {
            captioning_shared(&raw mut handle, pointer(value), c_int::from(transposed), precision.is_bf16())
        };
        done(code).map(|()| Shared(handle))
    }

    /// `x` times the factor, of as many dimensions as it.
    pub(crate) fn product(&self, x: &Tensor) -> Result<Tensor, TchError> {
        // SAFETY: the handle is alive as long as this value, the tensor through the call.
        let [result] = tensors(|[result]| unsafe { captioning_shared_product(result, self.0, pointer(x)) })?;
        Ok(result)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: it is freed once; graphs that use the factor hold it themselves.
        unsafe { captioning_shared_free(self.0) };
    }
}

/// The gates of an LSTM in the order input, forget, cell, output: two addends `[…, 4 × hidden]` and the cell state `[…, hidden]` → the
/// next hidden and cell state.
pub(crate) fn gates(product: &Tensor, known: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor), TchError> {
    // SAFETY: the pointers are of tensors that live through the call.
    let [hidden, next] = tensors(|[hidden, next]| unsafe {
        captioning_gates(hidden, next, pointer(product), pointer(known), pointer(cell))
    })?;
    Ok((hidden, next))
}

/// Scores of regions, 2wᵀ σ(keys + 2 query): doubled `keys [images, regions, attention]`, `query [images, rows, attention]` and
/// `energy [1, attention]` → `[images, rows, regions]`.
pub(crate) fn energies(keys: &Tensor, query: &Tensor, energy: &Tensor) -> Result<Tensor, TchError> {
    // SAFETY: the pointers are of tensors that live through the call.
    let [result] = tensors(|[result]| unsafe {
        captioning_energies(result, pointer(keys), pointer(query), pointer(energy))
    })?;
    Ok(result)
}

/// Zero where the byte of `draws` is below `bound`, and as much more elsewhere as keeps the mean.
pub(crate) fn dropout(x: &Tensor, draws: &Tensor, bound: u8) -> Result<Tensor, TchError> {
    // SAFETY: the pointers are of tensors that live through the call.
    let [result] = tensors(|[result]| unsafe {
        captioning_dropout(result, pointer(x), pointer(draws), i64::from(bound))
    })?;
    Ok(result)
}

/// Of `scores [rows, vocabulary]` before softmax: the log-probability of each `target [rows]`, and the mean of those of all words.
pub(crate) fn log_probabilities(scores: &Tensor, target: &Tensor) -> Result<[Tensor; 2], TchError> {
    // SAFETY: the pointers are of tensors that live through the call.
    tensors(|[chosen, mean]| unsafe {
        captioning_log_probabilities(chosen, mean, pointer(scores), pointer(target))
    })
}

/// How [`adamw`] steps.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Decays of the running means of gradients and of their squares.
    pub betas: [f64; 2],
    /// Added to the root of the second.
    pub epsilon: f64,
    /// Share of the value that a step of learning rate 1 takes away.
    pub weight_decay: f64,
    /// Of this step.
    pub learning_rate: f64,
    /// Which step it is, from 1.
    pub step: i64,
    /// What the gradient is multiplied by first.
    pub scale: f64,
}

/// A step of AdamW (Loshchilov and Hutter 2019) in one pass: changes `value` and the running means of its gradient, `mean`, and of
/// the gradient's square, all of one shape; what is left in `gradient` means nothing.
///
/// # Errors
///
/// Tensors of other shapes or kinds.
pub fn adamw(
    value: &Tensor,
    gradient: &Tensor,
    [mean, square]: [&Tensor; 2],
    by: &AdamW,
) -> Result<(), TchError> {
    let [beta_1, beta_2] = by.betas;
    // SAFETY: the pointers are of tensors that live through the call.
    done(unsafe {
        captioning_adamw(
            pointer(value),
            pointer(gradient),
            pointer(mean),
            pointer(square),
            by.step,
            by.learning_rate,
            beta_1,
            beta_2,
            by.weight_decay,
            by.epsilon,
            by.scale,
        )
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true)
    }

    /// Compares what two functions give and their gradients by all inputs, on any weighing of what they give.
    fn agree(
        inputs: &[&Tensor],
        ours: impl Fn() -> Result<Vec<Tensor>, TchError>,
        theirs: impl Fn() -> Vec<Tensor>,
        tolerance: f64,
    ) {
        let [ours, theirs] = [ours().unwrap(), theirs()];
        let weights: Vec<Tensor> = theirs.iter().map(Tensor::randn_like).collect();
        let [ours, theirs] = [ours, theirs].map(|results| {
            let sums =
                results.iter().zip(&weights).map(|(result, weight)| (result * weight).sum(Kind::Float));
            let gradients = Tensor::run_backward(&[sums.sum::<Tensor>()], inputs, false, false);
            results.into_iter().chain(gradients).collect::<Vec<_>>()
        });
        for (number, (a, b)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(a.size(), b.size());
            let difference = (a - b).abs().max().double_value(&[]);
            let largest = b.abs().max().double_value(&[]).max(1.0);
            assert!(
                difference <= tolerance * largest,
                "result {number} differs by {difference} of {largest}"
            );
        }
    }

    #[test]
    fn products_and_their_gradients_are_those_of_libtorch() {
        tch::manual_seed(1);
        let (x, weight, bias) = (random(&[3, 5, 7]), random(&[11, 7]), random(&[11]));
        let theirs = || vec![x.linear(&weight, Some(&bias))];
        for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Bf16, 2e-2)] {
            let precision = precision.on(Device::Cpu);
            let ours = || Ok(vec![linear(&x, &weight, Some(&bias), precision)?]);
            agree(&[&x, &weight, &bias], ours, theirs, tolerance);
        }
        let without = || Ok(vec![linear(&x, &weight, None, Precision::F32)?]);
        agree(&[&x, &weight], without, || vec![x.linear(&weight, None::<Tensor>)], 1e-5);
        assert!(linear(&x, &random(&[11, 8]), None, Precision::F32).is_err(), "other sizes are an error");
    }

    /// Most computers have no AVX-512. This program starts itself as one of them.
    #[test]
    fn all_is_the_same_on_a_processor_that_has_avx2_alone() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["native::", "--skip", "avx2_alone"])
            .envs([("ONEDNN_MAX_CPU_ISA", "AVX2"), ("ATEN_CPU_CAPABILITY", "avx2")])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !told.contains(" 0 passed"), "{told}");
    }

    #[test]
    fn a_factor_that_steps_share_gathers_the_gradients_of_all() {
        tch::manual_seed(2);
        let (weight, regions) = (random(&[6, 4]), random(&[2, 5, 4]));
        let (rows, shares) = ([random(&[3, 4]), random(&[2, 4])], [random(&[2, 3, 5]), random(&[2, 1, 5])]);
        let inputs = [&weight, &regions, &rows[0], &rows[1], &shares[0], &shares[1]];
        let theirs = || {
            let linear = rows.iter().map(|rows| rows.linear(&weight, None::<Tensor>));
            linear.chain(shares.iter().map(|shares| shares.bmm(&regions))).collect()
        };
        let ours = || {
            let linear = Shared::new(&weight, true, Precision::F32)?;
            let batched = Shared::new(&regions, false, Precision::F32)?;
            let linear = rows.iter().map(|rows| linear.product(rows));
            linear.chain(shares.iter().map(|shares| batched.product(shares))).collect()
        };
        agree(&inputs, ours, theirs, 1e-5);
        // Where no step has a gradient, the factor has none.
        let unused = Shared::new(&weight, true, Precision::F32).unwrap();
        let product = unused.product(&rows[0]).unwrap();
        assert_eq!(product.detach(), unused.product(&rows[0]).unwrap().detach());
    }

    #[test]
    fn gates_and_their_gradients_are_those_of_the_formula() {
        tch::manual_seed(3);
        // Sizes that no vector divides, and numbers at which an exponential would overflow.
        let (product, known) = (random(&[3, 2, 4 * 37]), random(&[3, 2, 4 * 37]) * 60.0);
        let known = known.detach().set_requires_grad(true);
        let cell = random(&[3, 2, 37]);
        let theirs = || {
            let gates = (&product + &known).chunk(4, -1);
            let next = gates[1].sigmoid() * &cell + gates[0].sigmoid() * gates[2].tanh();
            vec![gates[3].sigmoid() * next.tanh(), next]
        };
        let ours = || gates(&product, &known, &cell).map(|(hidden, next)| vec![hidden, next]);
        agree(&[&product, &known, &cell], ours, theirs, 1e-5);
        assert!(gates(&product, &known, &random(&[3, 2, 36])).is_err());
    }

    #[test]
    fn energies_and_their_gradients_are_those_of_the_formula() {
        tch::manual_seed(4);
        let (keys, query, energy) = (random(&[2, 5, 21]), random(&[2, 3, 21]), random(&[1, 21]));
        let theirs = || {
            let compared = (keys.unsqueeze(1) + query.unsqueeze(2) * 2.0).sigmoid();
            vec![compared.linear(&energy, None::<Tensor>).squeeze_dim(-1) * 2.0]
        };
        agree(&[&keys, &query, &energy], || Ok(vec![energies(&keys, &query, &energy)?]), theirs, 1e-5);
        assert!(energies(&keys, &random(&[3, 3, 21]), &energy).is_err());
    }

    #[test]
    fn log_probabilities_and_their_gradients_are_those_of_libtorch() {
        tch::manual_seed(5);
        let scores = (random(&[6, 101]) * 30.0).detach().set_requires_grad(true);
        let target = Tensor::from_slice(&[0i64, 5, 100, 7, 7, 16]);
        let theirs = || {
            let all = scores.log_softmax(-1, Kind::Float);
            let chosen = all.gather(1, &target.unsqueeze(1), false).squeeze_dim(1);
            vec![chosen, all.mean_dim([-1i64].as_slice(), false, Kind::Float)]
        };
        agree(&[&scores], || log_probabilities(&scores, &target).map(Vec::from), theirs, 1e-5);
        assert!(log_probabilities(&scores, &(target + 1)).is_err(), "a word beyond the vocabulary");
    }
}
