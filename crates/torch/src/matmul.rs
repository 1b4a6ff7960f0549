//! How precisely libtorch multiplies matrices of fp32.

/// libtorch does not know the setting.
#[derive(Debug, thiserror::Error)]
#[error("libtorch cannot multiply matrices in lower precision")]
pub struct NoFastMatmul;

unsafe extern "C" {
    fn captioning_set_fast_matmul(fast: i32) -> i32;
}

/// Lets every product of fp32 matrices of this process round its factors to bf16, where the device is faster at that;
/// sums, and all that is kept, stay fp32.
///
/// Process-wide: for `main`, before it computes anything. Libraries take a [`Precision`](crate::precision::Precision).
///
/// # Errors
///
/// When this libtorch refuses the setting.
pub fn set_fast(fast: bool) -> Result<(), NoFastMatmul> {
    // SAFETY: the function takes a plain number, keeps nothing, and lets no exception out.
    let refused = unsafe { captioning_set_fast_matmul(i32::from(fast)) };
    if refused == 0 { Ok(()) } else { Err(NoFastMatmul) }
}
