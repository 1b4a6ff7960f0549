//! The numbers that a network computes with.

use std::ffi::c_int;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

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

    /// As C++ reads it.
    pub(crate) fn is_bf16(self) -> c_int {
        c_int::from(self == Precision::Bf16)
    }
}

/// What a recipe asks for, before it is known where networks run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// bf16 where the device multiplies it in hardware, f32 elsewhere.
    Auto,
    /// 32-bit floating point.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
}

/// The processor has no instructions for bfloat16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this processor lacks AVX512_BF16, without which bf16 is slower than f32")]
pub struct SlowPrecision;

impl SlowPrecision {
    /// What people and manifests are told by whoever goes on all the same.
    pub fn said(self) -> String {
        format!("{self}: f32 is used")
    }
}

impl Precision {
    /// Refuses bf16 on a CPU that would have to emulate it.
    ///
    /// # Errors
    ///
    /// bf16 on a CPU that would have to emulate it.
    pub fn check(self, device: Device) -> Result<Precision, SlowPrecision> {
        match (self, device) {
            (Precision::Bf16, Device::Cpu) if !cpu_has_bf16() => Err(SlowPrecision),
            _ => Ok(self),
        }
    }

    /// The same, or f32 where the device would have to emulate it.
    pub fn on(self, device: Device) -> Precision {
        self.check(device).unwrap_or(Precision::F32)
    }
}

impl PrecisionChoice {
    /// What a device computes with.
    pub fn on(self, device: Device) -> Precision {
        match self {
            PrecisionChoice::F32 => Precision::F32,
            PrecisionChoice::Auto | PrecisionChoice::Bf16 => Precision::Bf16.on(device),
        }
    }

    /// What a device lacks to compute with what was asked for by name.
    pub fn lack(self, device: Device) -> Option<SlowPrecision> {
        match self {
            PrecisionChoice::Auto | PrecisionChoice::F32 => None,
            PrecisionChoice::Bf16 => Precision::Bf16.check(device).err(),
        }
    }
}

/// Every processor with AMX has AVX512_BF16, too.
#[cfg(target_arch = "x86_64")]
fn cpu_has_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_bf16() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_processor_lacks_is_not_used() {
        let fast = Precision::Bf16.check(Device::Cpu).is_ok();
        assert_eq!(PrecisionChoice::Auto.on(Device::Cpu) == Precision::Bf16, fast);
        assert_eq!(PrecisionChoice::Bf16.on(Device::Cpu), PrecisionChoice::Auto.on(Device::Cpu));
        assert_eq!(PrecisionChoice::Bf16.lack(Device::Cpu).is_none(), fast);
        assert_eq!(PrecisionChoice::Auto.lack(Device::Cpu), None);
        assert_eq!(PrecisionChoice::F32.on(Device::Cpu), Precision::F32);
    }
}
