//! Where a network computes, and with which numbers.

use tch::{Device, Kind};

use crate::precision::Precision;

/// A device and a precision that it is good at. Any device will do for f32: `Device::Cpu.into()`.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    pub(super) device: Device,
    precision: Precision,
}

/// The processor has no instructions for bfloat16.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this processor lacks AVX512_BF16, without which bf16 is slower than f32: use f32")]
pub struct SlowPrecision;

impl Placement {
    /// Refuses bf16 on a CPU that would have to emulate it.
    ///
    /// # Errors
    ///
    /// bf16 on a CPU that would have to emulate it.
    pub fn new(device: Device, precision: Precision) -> Result<Self, SlowPrecision> {
        match (precision, device) {
            (Precision::Bf16, Device::Cpu) if !cpu_has_bf16() => Err(SlowPrecision),
            _ => Ok(Self { device, precision }),
        }
    }

    /// The element type of weights and activations.
    pub(super) fn kind(self) -> Kind {
        self.precision.kind()
    }
}

impl From<Device> for Placement {
    fn from(device: Device) -> Self {
        Self { device, precision: Precision::F32 }
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
