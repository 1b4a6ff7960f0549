//! The numbers that a network computes with.

use serde::{Deserialize, Serialize};
use tch::Kind;

/// The numbers inside a network; what goes in and comes out is f32 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// bfloat16: 8 bits of mantissa, about twice as fast where the processor multiplies it.
    Bf16,
}

impl Precision {
    /// Its element type in libtorch.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}
