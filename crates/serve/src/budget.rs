//! One limit for the memory of requests, in fixed shares, so that nothing that one kind of them takes is missed by another.
//!
//! | share | for |
//! |---|---|
//! | 1/8 | connections: what each reads and writes at a time |
//! | 1/4 | bodies that arrive or wait for their answer, with what is unpacked from them |
//! | 1/8 | photos that are being decoded |
//! | 1/2 | one large photo at a time |

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::error::ServeError;

/// Connections at a time, whatever the memory; more wait in the system's queue.
const MOST_CONNECTIONS: u64 = 1024;
/// Each of the two doors keeps a place for the next one.
const LEAST_CONNECTIONS: u64 = 16;
/// Buffers of a connection.
const PER_CONNECTION: u64 = 128 << 10;
/// A photo that takes more is large: 40 megapixels, decoded in about a second.
const LARGE: u64 = 128 << 20;
/// A body is held once as it came and once as what it says, from base64 or from a message.
const COPIES: u64 = 2;
/// A body that has been arriving for longer gives way when there is no room for another.
const SLOW: Duration = Duration::from_secs(5);
/// How long the other waits for that.
const GIVES_WAY: Duration = Duration::from_secs(1);
/// Permits are of kilobytes, because there are no more than 2³² of them in a request.
const UNIT: u64 = 1 << 10;

/// The shares, and who holds them.
pub(crate) struct Budget {
    connections: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    most_bodies: u64,
    /// Bodies that are not whole yet, and some that are, in the order in which they began.
    arriving: Mutex<VecDeque<Weak<Arrival>>>,
    slow: Duration,
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
pub(crate) struct HeldBody {
    permit: Option<OwnedSemaphorePermit>,
    bytes: u64,
    units: u64,
    /// Until it is whole.
    arrival: Option<Arc<Arrival>>,
}

struct Arrival {
    began: Instant,
    give_way: Notify,
}

impl HeldBody {
    /// Ends when the body has to give way.
    pub(crate) async fn gives_way(&self) {
        match &self.arrival {
            Some(arrival) => arrival.give_way.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The body is whole.
    pub(crate) fn arrived(&mut self) {
        self.arrival = None;
    }
}

impl Budget {
    /// The shares of `memory` bytes.
    pub(crate) fn new(memory: u64) -> Budget {
        let semaphore = |bytes: u64| Arc::new(Semaphore::new((bytes / UNIT) as usize));
        let connections = (memory / 8 / PER_CONNECTION).clamp(LEAST_CONNECTIONS, MOST_CONNECTIONS);
        Budget {
            connections: Arc::new(Semaphore::new(connections as usize)),
            bodies: semaphore(memory / 4),
            most_bodies: memory / 4,
            arriving: Mutex::default(),
            slow: SLOW,
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

    /// A body of which nothing has arrived.
    pub(crate) fn begin(&self) -> HeldBody {
        let arrival = Arc::new(Arrival { began: Instant::now(), give_way: Notify::new() });
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        while arriving.pop_front_if(|first| first.strong_count() == 0).is_some() {}
        arriving.push_back(Arc::downgrade(&arrival));
        HeldBody { permit: None, bytes: 0, units: 0, arrival: Some(arrival) }
    }

    /// Takes room for the next `bytes` of a body: where there is none, that of one which arrives slowly, or none at all.
    pub(crate) async fn body(&self, held: &mut HeldBody, bytes: usize) -> Result<(), ServeError> {
        held.bytes += bytes as u64 * COPIES;
        if held.bytes > self.most_bodies {
            let most = (self.most_bodies / COPIES) >> 20;
            return Err(ServeError::TooLarge(format!(
                "the server's --memory holds bodies of {most} MB at most"
            )));
        }
        let more = held.bytes.div_ceil(UNIT) - held.units;
        let room = self.bodies.clone();
        let permit = match room.clone().try_acquire_many_owned(more as u32) {
            Ok(permit) => permit,
            Err(_) if self.displace() => {
                let room = tokio::time::timeout(GIVES_WAY, room.acquire_many_owned(more as u32)).await;
                room.ok().and_then(Result::ok).ok_or(ServeError::Busy)?
            }
            Err(_) => return Err(ServeError::Busy),
        };
        held.units += more;
        match &mut held.permit {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Sends away the body that has been arriving for longest, if that is too long.
    fn displace(&self) -> bool {
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        arriving.retain(|body| body.strong_count() > 0);
        let first = arriving.front().and_then(Weak::upgrade);
        let Some(slow) = first.filter(|body| body.began.elapsed() >= self.slow) else { return false };
        arriving.pop_front();
        slow.give_way.notify_one();
        true
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

    /// What a body gets that needs so much more.
    fn take(budget: &Budget, body: &mut HeldBody, bytes: usize) -> Result<(), ServeError> {
        budget.body(body, bytes).now_or_never().expect("nothing slow is there to wait for")
    }

    #[test]
    fn bodies_hold_their_share_until_they_are_dropped() {
        let budget = Budget::new(MEMORY);
        let mut bodies: Vec<HeldBody> = Vec::new();
        // Half of a quarter: each counts twice.
        for _ in 0..64 {
            let mut body = budget.begin();
            (0..4).for_each(|_| take(&budget, &mut body, 256 << 10).unwrap());
            bodies.push(body);
        }
        assert!(matches!(take(&budget, &mut budget.begin(), 1), Err(ServeError::Busy)));
        bodies.pop();
        let mut body = budget.begin();
        take(&budget, &mut body, 1 << 20).unwrap();
        assert!(matches!(take(&budget, &mut body, 1), Err(ServeError::Busy)));
        assert!(matches!(take(&budget, &mut budget.begin(), 65 << 20), Err(ServeError::TooLarge(_))));
    }

    #[test]
    fn the_bytes_of_a_body_count_whatever_pieces_they_come_in() {
        let budget = Budget::new(MEMORY);
        let mut body = budget.begin();
        (0..1000).for_each(|_| take(&budget, &mut body, 1).unwrap());
        assert_eq!(body.units, 2);
    }

    #[tokio::test]
    async fn the_slowest_body_gives_way_and_one_that_is_whole_does_not() {
        let budget = Budget { slow: Duration::ZERO, ..Budget::new(MEMORY) };
        let mut whole = budget.begin();
        budget.body(&mut whole, 4 << 20).await.unwrap();
        whole.arrived();
        let (mut slow, mut other, mut new) = (budget.begin(), budget.begin(), budget.begin());
        budget.body(&mut slow, 50 << 20).await.unwrap();
        budget.body(&mut other, 10 << 20).await.unwrap();
        let gives_way = async {
            slow.gives_way().await;
            drop(slow);
        };
        let ((), room) = tokio::join!(gives_way, budget.body(&mut new, 1 << 20));
        room.unwrap();
        assert!(other.gives_way().now_or_never().is_none() && whole.gives_way().now_or_never().is_none());
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
