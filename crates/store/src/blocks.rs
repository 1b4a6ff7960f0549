//! Ranges of objects, fetched in blocks: what lies side by side comes with one request, and the next block is on its way
//! before it is asked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use object_store::Error;

/// Long enough that a request's way matters little, short enough that a row of a table does not wait for it.
pub(crate) const BLOCK: u64 = 4 << 20;
/// Blocks that each core may have: the one it reads, the next, and one that another of its files is read from.
const PER_CORE: usize = 3;
/// Fewest blocks that are kept.
const LEAST: usize = 12;

/// A block on its way, or there.
type Fetch = Shared<BoxFuture<'static, Result<Bytes, Arc<Error>>>>;

/// The blocks that were used last.
pub(crate) struct Blocks {
    /// The latest last, each by its object and number.
    kept: Mutex<VecDeque<((u64, u64), Fetch)>>,
    most: usize,
}

impl Blocks {
    pub(crate) fn new() -> Blocks {
        let cores = available_parallelism().map_or(1, usize::from);
        Blocks { kept: Mutex::default(), most: LEAST.max(PER_CORE * cores) }
    }

    /// The bytes of `range` of the object number `id`, which is `size` bytes long. `start` begins to fetch a range, `wait` waits for
    /// it.
    pub(crate) fn range(
        &self,
        id: u64,
        range: Range<u64>,
        size: u64,
        start: impl Fn(Range<u64>) -> BoxFuture<'static, Result<Bytes, Arc<Error>>>,
        wait: impl Fn(Fetch) -> Result<Bytes, Arc<Error>>,
    ) -> Result<Bytes, Arc<Error>> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let fetch = |number: u64| {
            self.get((id, number), || start(number * BLOCK..((number + 1) * BLOCK).min(size)).shared())
        };
        let numbers = range.start / BLOCK..=(range.end - 1) / BLOCK;
        let last = *numbers.end();
        let goes_on = last == 0 || self.has((id, last - 1)) || numbers.start() < numbers.end();
        let fetches: Vec<(u64, Fetch)> = numbers.map(|number| (number, fetch(number))).collect();
        if goes_on && (last + 1) * BLOCK < size {
            drop(fetch(last + 1));
        }
        let mut whole = BytesMut::new();
        let single = fetches.len() == 1;
        for (number, fetch) in fetches {
            let block = wait(fetch).inspect_err(|_| self.forget((id, number)))?;
            let first = number * BLOCK;
            let within = |at: u64| (at.clamp(first, first + block.len() as u64) - first) as usize;
            let piece = block.slice(within(range.start)..within(range.end));
            if single {
                return Ok(piece);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    fn get(&self, key: (u64, u64), start: impl FnOnce() -> Fetch) -> Fetch {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(other, _)| *other == key);
        let (key, fetch) = place.and_then(|place| kept.remove(place)).unwrap_or_else(|| (key, start()));
        kept.push_back((key, fetch.clone()));
        if kept.len() > self.most {
            kept.pop_front();
        }
        fetch
    }

    fn has(&self, key: (u64, u64)) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(other, _)| *other == key)
    }

    /// A block that failed is asked for again the next time.
    fn forget(&self, key: (u64, u64)) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != key);
    }
}
