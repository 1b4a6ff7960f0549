//! The device that a user names.

use tch::{Cuda, Device};

/// A device that is not there, or not a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Not one of the forms we know.
    #[error("--device {0}: write auto, cpu or cuda:N")]
    Unknown(String),
    /// CUDA was asked for, and libtorch sees no such GPU.
    #[error(
        "--device {0}: libtorch sees {1} CUDA devices (the libtorch of `just setup` is for CPUs; point LIBTORCH to a CUDA one)"
    )]
    NoCuda(String, i64),
}

/// Parses `auto` (the first GPU, or else the CPU), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
///
/// Another name, or a device that this machine or this libtorch does not have.
pub fn parse(name: &str) -> Result<Device, DeviceError> {
    let cuda = |index: usize| {
        let count = if Cuda::is_available() { Cuda::device_count() } else { 0 };
        let found = (index as i64) < count;
        found.then_some(Device::Cuda(index)).ok_or_else(|| DeviceError::NoCuda(name.to_owned(), count))
    };
    match name {
        "auto" => Ok(Device::cuda_if_available()),
        "cpu" => Ok(Device::Cpu),
        "cuda" => cuda(0),
        _ => match name.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => cuda(index),
            None => Err(DeviceError::Unknown(name.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_told_which_there_are() {
        assert_eq!(parse("cpu").unwrap(), Device::Cpu);
        for name in ["tpu", "", "CPU", "cuda:", "cuda:one", "cuda:-1"] {
            let error = parse(name).unwrap_err().to_string();
            assert_eq!(error, format!("--device {name}: write auto, cpu or cuda:N"));
        }
        let error = parse("cuda:4096").unwrap_err().to_string();
        assert!(error.starts_with("--device cuda:4096: libtorch sees "), "{error}");
    }
}
