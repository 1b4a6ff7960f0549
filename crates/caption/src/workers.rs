//! Networks ready to run, which threads may not share.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use crate::error::CaptionError;

/// The cores that work on a call, the calling thread's among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// One: others work on other calls.
    One,
    /// All that there are.
    All,
}

/// One that runs on all cores, for a photo that is alone, and one for each core, for several side by side. Those are made when they
/// are first needed: a lone photo costs no more than one. What they are made of is let go with the last.
pub(crate) struct Workers<T> {
    alone: Mutex<T>,
    each: Vec<Mutex<Copy<T>>>,
}

enum Copy<T> {
    Unmade(Arc<Make<T>>),
    Made(T),
}

/// Makes one that runs on so many threads.
type Make<T> = dyn Fn(NonZeroUsize) -> Result<T, CaptionError> + Send + Sync;

impl<T> Workers<T> {
    /// Those for so many cores. The first is made now, so that what cannot be made is known.
    pub(crate) fn new(
        cores: NonZeroUsize,
        make: impl Fn(NonZeroUsize) -> Result<T, CaptionError> + Send + Sync + 'static,
    ) -> Result<Workers<T>, CaptionError> {
        let alone = Mutex::new(make(cores)?);
        let make: Arc<Make<T>> = Arc::new(make);
        let each = (0..cores.get()).map(|_| Mutex::new(Copy::Unmade(make.clone()))).collect();
        Ok(Workers { alone, each })
    }

    /// Makes all that are not there yet.
    pub(crate) fn prepare(&self) -> Result<(), CaptionError> {
        let ready = |copy: &Mutex<Copy<T>>| {
            with(&mut copy.lock().unwrap_or_else(PoisonError::into_inner), |_| Ok(()))
        };
        self.each.iter().try_for_each(ready)
    }

    /// Works with the one that runs on all cores, and waits until it is free.
    pub(crate) fn alone<R>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, CaptionError>,
    ) -> Result<R, CaptionError> {
        // Networks are only read: a panic leaves none half changed.
        work(&mut self.alone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works with one that is on one core and free; waits for one only where more threads ask than there are cores.
    pub(crate) fn on_one<R>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, CaptionError>,
    ) -> Result<R, CaptionError> {
        let free = self.each.iter().find_map(|copy| match copy.try_lock() {
            Ok(copy) => Some(copy),
            Err(TryLockError::Poisoned(copy)) => Some(copy.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        match free {
            Some(mut copy) => with(&mut copy, work),
            None => with(&mut self.each[0].lock().unwrap_or_else(PoisonError::into_inner), work),
        }
    }

    /// Works with the one on all cores, or with one of those on one.
    pub(crate) fn on<R>(
        &self,
        cores: Cores,
        work: impl FnOnce(&mut T) -> Result<R, CaptionError>,
    ) -> Result<R, CaptionError> {
        match cores {
            Cores::All => self.alone(work),
            Cores::One => self.on_one(work),
        }
    }
}

fn with<T, R>(
    copy: &mut Copy<T>,
    work: impl FnOnce(&mut T) -> Result<R, CaptionError>,
) -> Result<R, CaptionError> {
    loop {
        match &mut *copy {
            Copy::Made(ready) => return work(ready),
            Copy::Unmade(make) => {
                let made = make(NonZeroUsize::MIN)?;
                *copy = Copy::Made(made);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORES: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    #[test]
    fn a_lone_photo_has_all_cores_and_others_one_each() {
        let workers = Workers::new(CORES, |threads| Ok(threads.get())).unwrap();
        assert_eq!(workers.alone(|threads| Ok(*threads)).unwrap(), 3);
        assert_eq!(workers.on_one(|threads| Ok(*threads)).unwrap(), 1);
    }

    #[test]
    fn what_they_are_made_of_goes_with_the_last() {
        let weights = Arc::new("weights");
        let held = weights.clone();
        let workers = Workers::new(CORES, move |_| Ok(held.len())).unwrap();
        assert_eq!(workers.on_one(|copy| Ok(*copy)).unwrap(), 7);
        assert_eq!(Arc::strong_count(&weights), 2);
        workers.prepare().unwrap();
        assert_eq!(Arc::strong_count(&weights), 1);
    }

    #[test]
    fn what_cannot_be_made_is_an_error_and_tried_again() {
        let failing = |_| -> Result<(), CaptionError> { Err(CaptionError::NoKeywords) };
        assert!(Workers::new(CORES, failing).is_err());
        let tries = Mutex::new(0);
        let second_fails = move |_| {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            if *tries == 2 { Err(CaptionError::NoKeywords) } else { Ok(*tries) }
        };
        let workers = Workers::new(NonZeroUsize::MIN, second_fails).unwrap();
        assert!(workers.prepare().is_err());
        assert_eq!(workers.on_one(|copy| Ok(*copy)).unwrap(), 3);
    }
}
