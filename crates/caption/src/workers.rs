//! One copy per thread of what threads may not share.

use std::sync::{Mutex, PoisonError};

use crate::error::CaptionError;

/// As many copies as there are threads, each made when it is first needed: a lone photo costs no more than one.
pub(crate) struct Workers<T> {
    copies: Vec<Mutex<Option<T>>>,
    make: Box<dyn Fn() -> Result<T, CaptionError> + Send + Sync>,
}

impl<T> Workers<T> {
    pub(crate) fn new(
        count: usize,
        make: impl Fn() -> Result<T, CaptionError> + Send + Sync + 'static,
    ) -> Workers<T> {
        Workers { copies: (0..count).map(|_| Mutex::new(None)).collect(), make: Box::new(make) }
    }

    pub(crate) fn len(&self) -> usize {
        self.copies.len()
    }

    /// Makes the first so many copies that are not there yet.
    pub(crate) fn prepare(&self, count: usize) -> Result<(), CaptionError> {
        self.copies.iter().take(count).try_for_each(|copy| self.with(copy, |_| Ok(())))
    }

    /// Works with the copy of the pool's thread that asks: never waited for, as long as its work is not handed to the pool again.
    pub(crate) fn of_this_thread<R>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, CaptionError>,
    ) -> Result<R, CaptionError> {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.copies.len();
        self.with(&self.copies[thread], work)
    }

    fn with<R>(
        &self,
        copy: &Mutex<Option<T>>,
        work: impl FnOnce(&mut T) -> Result<R, CaptionError>,
    ) -> Result<R, CaptionError> {
        // Networks are only read: a panic leaves none half changed.
        let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *copy {
            Some(ready) => work(ready),
            none => work(none.insert((self.make)()?)),
        }
    }
}
