//! How precisely matrices are multiplied.

use std::sync::atomic::{AtomicBool, Ordering};

use tch::Kind;

static FAST: AtomicBool = AtomicBool::new(false);

/// libtorch does not know the setting.
#[derive(Debug, thiserror::Error)]
#[error("libtorch cannot multiply matrices in lower precision")]
pub struct NoFastMatmul;

unsafe extern "C" {
    fn captioning_set_fast_matmul(fast: i32) -> i32;
}

/// Lets every product of fp32 matrices of this process round its factors to bf16, where the device is faster at that;
/// sums, and all that is kept, stay fp32.
pub fn set_fast(fast: bool) -> Result<(), NoFastMatmul> {
    // SAFETY: the function takes a plain number, keeps nothing, and lets no exception out.
    let refused = unsafe { captioning_set_fast_matmul(i32::from(fast)) };
    if refused != 0 {
        return Err(NoFastMatmul);
    }
    FAST.store(fast, Ordering::Relaxed);
    Ok(())
}

/// What factors are rounded to. libtorch rounds both factors at every product; whoever uses one of them many times
/// rounds it once.
pub(crate) fn factor_kind() -> Kind {
    if FAST.load(Ordering::Relaxed) { Kind::BFloat16 } else { Kind::Float }
}
