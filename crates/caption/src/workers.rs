//! One copy per thread of what threads may not share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// As many copies as the pool has threads. A tensor may move between threads but not be shared by them; copies share
/// the memory of the weights.
pub(crate) struct Workers<T>(Vec<Mutex<T>>);

impl<T> Workers<T> {
    pub(crate) fn new(copies: impl IntoIterator<Item = T>) -> Workers<T> {
        Workers(copies.into_iter().map(Mutex::new).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The copy of the pool's thread that asks: never waited for, as long as its work is not handed to the pool again.
    pub(crate) fn of_this_thread(&self) -> MutexGuard<'_, T> {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        // Networks are only read: a panic leaves none half changed.
        self.0[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
