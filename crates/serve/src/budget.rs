//! One limit for the memory of requests, in fixed shares, so that nothing that one kind of them takes is missed by another.
//!
//! | share | for |
//! |---|---|
//! | 1/8 | connections: what each reads and writes at a time |
//! | 1/4 | bodies that arrive or wait for their answer, with what is unpacked from them |
//! | 1/8 | photos that are being decoded |
//! | 1/2 | one large photo at a time |

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ServeError;

/// Connections at a time, whatever the memory; more wait in the system's queue.
const MOST_CONNECTIONS: u64 = 1024;
/// Buffers of a connection.
const PER_CONNECTION: u64 = 128 << 10;
/// A photo that takes more is large: 40 megapixels, decoded in about a second.
const LARGE: u64 = 128 << 20;
/// A body is held once as it came and once as what it says, from base64 or from a message.
const COPIES: u64 = 2;
/// Permits are of kilobytes, because there are no more than 2³² of them in a request.
const UNIT: u64 = 1 << 10;

/// The shares, and who holds them.
pub(crate) struct Budget {
    connections: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    most_bodies: u64,
    photos: Arc<Semaphore>,
    most_photos: u64,
    lane: Arc<Semaphore>,
    most_large: u64,
}

/// Memory that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _permit: OwnedSemaphorePermit,
}

/// What the body of a request holds, more with each piece that arrives.
#[derive(Default)]
pub(crate) struct HeldBody {
    permit: Option<OwnedSemaphorePermit>,
    bytes: u64,
    units: u64,
}

impl Budget {
    /// The shares of `memory` bytes.
    pub(crate) fn new(memory: u64) -> Budget {
        let semaphore = |bytes: u64| Arc::new(Semaphore::new((bytes / UNIT) as usize));
        let connections = (memory / 8 / PER_CONNECTION).clamp(1, MOST_CONNECTIONS);
        Budget {
            connections: Arc::new(Semaphore::new(connections as usize)),
            bodies: semaphore(memory / 4),
            most_bodies: memory / 4,
            photos: semaphore(memory / 8),
            most_photos: memory / 8,
            lane: Arc::new(Semaphore::new(1)),
            most_large: memory / 2,
        }
    }

    /// The least memory in which bodies of this many bytes find room.
    pub(crate) fn least(body: usize) -> u64 {
        body as u64 * COPIES * 4
    }

    /// Waits for a place among the connections.
    pub(crate) async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        self.connections.clone().acquire_owned().await.ok()
    }

    /// Takes room for the next `bytes` of a body, at once or not at all.
    pub(crate) fn body(&self, held: &mut HeldBody, bytes: usize) -> Result<(), ServeError> {
        held.bytes += bytes as u64 * COPIES;
        if held.bytes > self.most_bodies {
            let most = (self.most_bodies / COPIES) >> 20;
            return Err(ServeError::TooLarge(format!(
                "the server's --memory holds bodies of {most} MB at most"
            )));
        }
        let more = held.bytes.div_ceil(UNIT) - held.units;
        let permit = self.bodies.clone().try_acquire_many_owned(more as u32).map_err(|_| ServeError::Busy)?;
        held.units += more;
        match &mut held.permit {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Whether a photo that takes `bytes` to decode goes through the lane of the large ones.
    pub(crate) fn is_large(&self, bytes: u64) -> bool {
        bytes > LARGE.min(self.most_photos)
    }

    /// Waits for the memory that a photo takes to be decoded: a large one behind the other large ones, so that the small
    /// ones pass.
    pub(crate) async fn photo(&self, bytes: u64) -> Result<Held, ServeError> {
        let closed = |error: tokio::sync::AcquireError| ServeError::Internal(error.to_string());
        if bytes > self.most_large {
            let (needed, most) = (bytes.div_ceil(1 << 20), self.most_large >> 20);
            return Err(ServeError::TooLarge(format!(
                "the photo takes {needed} MB of memory to decode, and the server has {most} MB for one: scale it down, \
                 or save it as a baseline JPEG or an 8-bit PNG"
            )));
        }
        let permit = if self.is_large(bytes) {
            self.lane.clone().acquire_owned().await
        } else {
            self.photos.clone().acquire_many_owned(bytes.div_ceil(UNIT) as u32).await
        };
        Ok(Held { _permit: permit.map_err(closed)? })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MEMORY: u64 = 512 << 20;

    #[test]
    fn bodies_hold_their_share_until_they_are_dropped() {
        let budget = Budget::new(MEMORY);
        let mut bodies: Vec<HeldBody> = Vec::new();
        // Half of a quarter: each counts twice.
        for _ in 0..64 {
            let mut body = HeldBody::default();
            (0..4).for_each(|_| budget.body(&mut body, 256 << 10).unwrap());
            bodies.push(body);
        }
        assert!(matches!(budget.body(&mut HeldBody::default(), 1), Err(ServeError::Busy)));
        bodies.pop();
        let mut body = HeldBody::default();
        budget.body(&mut body, 1 << 20).unwrap();
        assert!(matches!(budget.body(&mut body, 1), Err(ServeError::Busy)));
        assert!(matches!(budget.body(&mut HeldBody::default(), 65 << 20), Err(ServeError::TooLarge(_))));
    }

    #[test]
    fn the_bytes_of_a_body_count_whatever_pieces_they_come_in() {
        let budget = Budget::new(MEMORY);
        let mut body = HeldBody::default();
        (0..1000).for_each(|_| budget.body(&mut body, 1).unwrap());
        assert_eq!(body.units, 2);
    }

    #[test]
    fn small_photos_pass_the_large_ones_that_wait() {
        let budget = Budget::new(MEMORY);
        let large = 200 << 20;
        assert!(budget.is_large(large) && !budget.is_large(10 << 20));
        let first = budget.photo(large).now_or_never().unwrap().unwrap();
        assert!(budget.photo(large).now_or_never().is_none());
        let small = budget.photo(40 << 20).now_or_never().unwrap().unwrap();
        assert!(budget.photo(40 << 20).now_or_never().is_none());
        drop(small);
        assert!(budget.photo(40 << 20).now_or_never().is_some());
        drop(first);
        assert!(budget.photo(large).now_or_never().is_some());
        let error = budget.photo(300 << 20).now_or_never().unwrap().unwrap_err().to_string();
        assert!(error.contains("takes 300 MB") && error.contains("has 256 MB"), "{error}");
    }
}
