//! The processes of one training: where each [stands](Place), and how they give each other tensors, by libtorch's own
//! `torch.distributed` (Gloo between CPUs, NCCL between GPUs).
//!
//! Nothing is summed on the way: sums of floats depend on their order, and who needs one adds up in the order of ranks.

mod place;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use tch::{Device, Kind, TchError, Tensor};
use torch_sys::C_tensor;

pub use self::place::{Meeting, Place, PlaceError};

/// Why processes could not give each other tensors.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// This machine lacks what a group needs.
    #[error("this process cannot give others tensors on {0:?}: {1}")]
    Unable(Device, String),
    /// Not all processes came.
    #[error(
        "the {processes} processes of the training did not meet at MASTER_ADDR:MASTER_PORT, {host}:{port}, within {limit:?}{}: \
         start all of them at the same time, with the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE ({reason})",
        .arrived.map(|arrived| format!(", {arrived} of {processes} came")).unwrap_or_default()
    )]
    Unmet {
        /// Of the meeting.
        host: String,
        /// Of the meeting.
        port: u16,
        /// How many there should be.
        processes: usize,
        /// How many came, where it is known.
        arrived: Option<usize>,
        /// How long they waited.
        limit: Duration,
        /// libtorch's words.
        reason: String,
    },
    /// All came, and cannot reach each other.
    #[error(
        "the processes of the training met, but could not connect to each other (GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME \
         names the network interface): {0}"
    )]
    Unconnected(String),
    /// A process of the group is gone, or did not answer in time.
    #[error(
        "{collective}: another process of the training has ended or hangs; start all of them again: the training goes on \
         from its last saved state ({reason})"
    )]
    Lost {
        /// What the processes did together.
        collective: &'static str,
        /// libtorch's words.
        reason: String,
    },
    /// The host's name holds a zero byte.
    #[error("MASTER_ADDR is {0:?}, which is no name of a machine")]
    Host(String),
    /// A tensor that cannot be sent as it is.
    #[error("{collective} takes flat tensors on {device:?}, {needs}: not {shape:?} on {given:?}")]
    Tensor {
        /// What the processes did together.
        collective: &'static str,
        /// Where the group's tensors are.
        device: Device,
        /// What else is asked of it.
        needs: String,
        /// The tensor's.
        shape: Vec<i64>,
        /// Where the tensor is.
        given: Device,
    },
    /// libtorch cannot make a tensor.
    #[error(transparent)]
    Torch(#[from] TchError),
}

unsafe extern "C" {
    fn captioning_group_refusal() -> *const c_char;
    fn captioning_group_join(
        host: *const c_char,
        port: u16,
        restart: c_int,
        rank: c_int,
        processes: c_int,
        gpu: c_int,
        limit_ms: i64,
        arrived: *mut c_int,
        joined: *mut *mut c_void,
    ) -> c_int;
    fn captioning_group_gather_all(group: *mut c_void, all: *mut C_tensor, own: *mut C_tensor) -> c_int;
    fn captioning_group_all_to_all(group: *mut c_void, received: *mut C_tensor, sent: *mut C_tensor)
    -> c_int;
    fn captioning_group_broadcast(group: *mut c_void, tensor: *mut C_tensor, root: c_int) -> c_int;
    fn captioning_group_leave(group: *mut c_void);
}

/// This process among the others of a training.
///
/// All of them call the same methods in the same order, with tensors of the same kind and shape: flat `[n]`, contiguous,
/// on the group's device. A call returns when its result is there. After an error the group is of no use.
#[derive(Debug)]
pub struct Group {
    handle: NonNull<c_void>,
    rank: usize,
    processes: usize,
    device: Device,
}

impl Group {
    /// Meets the other processes, for tensors on `device`. Between CPUs connections take the network interfaces of
    /// `GLOO_SOCKET_IFNAME`, or that of the machine's name. `limit` is how long each step of this waits for the others, and
    /// how long every later call does.
    ///
    /// # Errors
    /// [`GroupError::Unable`], [`GroupError::Unmet`] and [`GroupError::Unconnected`].
    pub fn join(place: &Place, device: Device, limit: Duration) -> Result<Group, GroupError> {
        let Place { rank, processes, ref meeting, .. } = *place;
        let host = CString::new(meeting.host.clone()).map_err(|_| GroupError::Host(meeting.host.clone()))?;
        let restart = meeting.restart.map_or(-1, c_int::from);
        let gpu = if let Device::Cuda(index) = device { index as c_int } else { -1 };
        let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let (mut arrived, mut handle) = (-1, ptr::null_mut());
        // SAFETY: the text ends with a zero byte and outlives the call, which does not keep it; the last two are for it to fill.
        let refused = unsafe {
            captioning_group_join(
                host.as_ptr(),
                meeting.port,
                restart,
                rank as c_int,
                processes as c_int,
                gpu,
                limit_ms,
                &raw mut arrived,
                &raw mut handle,
            )
        };
        match NonNull::new(handle).filter(|_| refused == 0) {
            Some(handle) => Ok(Group { handle, rank, processes, device }),
            None if arrived < 0 => Err(GroupError::Unable(device, refusal())),
            None if arrived as usize == processes => Err(GroupError::Unconnected(refusal())),
            None => Err(GroupError::Unmet {
                host: meeting.host.clone(),
                port: meeting.port,
                processes,
                arrived: (arrived > 0).then_some(arrived as usize),
                limit,
                reason: refusal(),
            }),
        }
    }

    /// From 0 to [`processes`](Self::processes) − 1.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn processes(&self) -> usize {
        self.processes
    }

    /// Gives `own`, `[n]`, to every process, and returns that of each, `[n]`, in the order of ranks.
    ///
    /// # Errors
    /// [`GroupError::Lost`], and a tensor that is not as the [group](Self) wants it.
    pub fn gather_all(&self, own: &Tensor) -> Result<Vec<Tensor>, GroupError> {
        self.gather("gather_all", own)
    }

    /// Gives slice `r` of `sent`, `[processes × n]`, to process `r`, and returns what it gets: in slice `r` of
    /// `[processes × n]` what process `r` sent here.
    ///
    /// # Errors
    /// [`GroupError::Lost`], and a tensor that is not as the [group](Self) wants it, or cannot be cut into equal slices.
    pub fn all_to_all(&self, sent: &Tensor) -> Result<Tensor, GroupError> {
        const NAME: &str = "all_to_all";
        self.check(NAME, sent, self.processes)?;
        let mut received = sent.f_empty_like()?;
        // SAFETY: both tensors and the group outlive the call, which keeps none of them.
        let refused = unsafe {
            captioning_group_all_to_all(self.handle.as_ptr(), received.as_mut_ptr(), sent.as_ptr().cast_mut())
        };
        done(NAME, refused).map(|()| received)
    }

    /// Overwrites `tensor`, `[n]`, with that of process `root`.
    ///
    /// # Errors
    /// [`GroupError::Lost`], and a tensor that is not as the [group](Self) wants it.
    pub fn broadcast(&self, root: usize, tensor: &mut Tensor) -> Result<(), GroupError> {
        const NAME: &str = "broadcast";
        self.check(NAME, tensor, 1)?;
        // SAFETY: the tensor and the group outlive the call, which keeps neither.
        let refused =
            unsafe { captioning_group_broadcast(self.handle.as_ptr(), tensor.as_mut_ptr(), root as c_int) };
        done(NAME, refused)
    }

    /// The `bytes` of process `root`; those of the others do not count, and may be of any length.
    ///
    /// # Errors
    /// [`GroupError::Lost`].
    pub fn broadcast_bytes(&self, root: usize, bytes: &[u8]) -> Result<Vec<u8>, GroupError> {
        let mut length = Tensor::f_from_slice(&[bytes.len() as i64])?.f_to_device(self.device)?;
        self.broadcast(root, &mut length)?;
        let length = i64::try_from(&length)?;
        let mut message = if self.rank == root {
            Tensor::f_from_slice(bytes)?.f_to_device(self.device)?
        } else {
            Tensor::f_empty([length], (Kind::Uint8, self.device))?
        };
        if length > 0 {
            self.broadcast(root, &mut message)?;
        }
        Ok(Vec::try_from(&message.f_to_device(Device::Cpu)?)?)
    }

    /// Returns when all processes have called it.
    ///
    /// # Errors
    /// [`GroupError::Lost`].
    pub fn barrier(&self) -> Result<(), GroupError> {
        let nothing = Tensor::f_zeros([1], (Kind::Float, self.device))?;
        self.gather("barrier", &nothing).map(drop)
    }

    fn gather(&self, name: &'static str, own: &Tensor) -> Result<Vec<Tensor>, GroupError> {
        self.check(name, own, 1)?;
        let count = self.processes as i64;
        let mut all = Tensor::f_empty([count * own.numel() as i64], (own.kind(), self.device))?;
        // SAFETY: both tensors and the group outlive the call, which keeps none of them.
        let refused = unsafe {
            captioning_group_gather_all(self.handle.as_ptr(), all.as_mut_ptr(), own.as_ptr().cast_mut())
        };
        done(name, refused)?;
        Ok(all.f_chunk(count, 0)?)
    }

    /// What C++ takes for granted of a tensor.
    fn check(&self, collective: &'static str, tensor: &Tensor, slices: usize) -> Result<(), GroupError> {
        let fits = tensor.dim() == 1 && tensor.is_contiguous() && tensor.device() == self.device;
        if fits && tensor.numel() > 0 && tensor.numel().is_multiple_of(slices) {
            return Ok(());
        }
        Err(GroupError::Tensor {
            collective,
            device: self.device,
            needs: format!("contiguous, of {slices} equal slices that are not empty"),
            shape: tensor.size(),
            given: tensor.device(),
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the handle is of a join, and nobody uses it any more.
        unsafe { captioning_group_leave(self.handle.as_ptr()) }
    }
}

fn done(collective: &'static str, refused: c_int) -> Result<(), GroupError> {
    if refused == 0 { Ok(()) } else { Err(GroupError::Lost { collective, reason: refusal() }) }
}

/// Why the last call of this thread that was refused was: libtorch's first line.
fn refusal() -> String {
    // SAFETY: the text ends with a zero byte and stays until this thread's next call, after the copy.
    let text = unsafe { CStr::from_ptr(captioning_group_refusal()) };
    text.to_string_lossy().lines().next().unwrap_or_default().to_owned()
}
