//! Where a network computes, and with which numbers.

use tch::{Device, Kind};

use crate::precision::{Precision, SlowPrecision};

/// A device and a precision that it is good at. Any device will do for f32: `Device::Cpu.into()`.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    pub(super) device: Device,
    precision: Precision,
}

impl Placement {
    /// Refuses bf16 on a CPU that would have to emulate it.
    ///
    /// # Errors
    ///
    /// bf16 on a CPU that would have to emulate it.
    pub fn new(device: Device, precision: Precision) -> Result<Self, SlowPrecision> {
        Ok(Self { device, precision: precision.check(device)? })
    }

    /// Where it computes.
    pub fn device(self) -> Device {
        self.device
    }

    /// The numbers inside.
    pub fn precision(self) -> Precision {
        self.precision
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
