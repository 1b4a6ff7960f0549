//! Threads that work beside the requests for as long as the process lives: one that panics is seen, counted and started
//! again.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;

/// How long something that failed rests before it is tried again: longer each time, until it works.
pub(crate) struct BackOff {
    first: Duration,
    next: Duration,
}

impl BackOff {
    const LONGEST: Duration = Duration::from_secs(60);

    pub(crate) fn new(first: Duration) -> BackOff {
        BackOff { first, next: first }
    }

    /// The rest after one more failure.
    pub(crate) fn rest(&mut self) -> Duration {
        let rest = self.next;
        self.next = (rest * 2).min(Self::LONGEST.max(self.first));
        rest
    }

    pub(crate) fn worked(&mut self) {
        self.next = self.first;
    }
}

/// Which threads are down at the moment.
pub(crate) struct Threads {
    down: Mutex<BTreeSet<&'static str>>,
    metrics: Arc<Metrics>,
}

impl Threads {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Threads {
        Threads { down: Mutex::default(), metrics }
    }

    /// Their names.
    pub(crate) fn down(&self) -> Vec<&'static str> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn set(&self, name: &'static str, up: bool) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = if up { down.remove(name) } else { down.insert(name) };
        self.metrics.threads.with_label_values(&[name]).set(up.into());
    }

    /// Starts a thread that does `work` until it returns. What panics is begun again after a rest.
    pub(crate) fn start(
        self: &Arc<Self>,
        name: &'static str,
        first_rest: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let threads = self.clone();
        let supervised = move || {
            let mut back_off = BackOff::new(first_rest);
            loop {
                threads.set(name, true);
                let began = Instant::now();
                // What the work holds is only replaced whole, so that a panic leaves nothing half done.
                if catch_unwind(AssertUnwindSafe(&mut work)).is_ok() {
                    return;
                }
                threads.set(name, false);
                threads.metrics.restarts.with_label_values(&[name]).inc();
                if began.elapsed() > BackOff::LONGEST {
                    back_off.worked();
                }
                let rest = back_off.rest();
                tracing::error!(
                    thread = name,
                    rest_ms = rest.as_millis() as u64,
                    "a thread panicked; it is started again"
                );
                std::thread::sleep(rest);
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(supervised)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_that_panics_is_seen_counted_and_started_again() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let threads = Arc::new(Threads::new(metrics.clone()));
        let (told, tells) = channel();
        let (down, mut turns) = (threads.clone(), 0);
        let work = move || {
            turns += 1;
            told.send((turns, down.down())).unwrap();
            assert!(turns == 3, "as a bug would");
        };
        threads.start("fragile", Duration::from_millis(1), work).unwrap();
        assert_eq!(tells.iter().collect::<Vec<_>>(), [(1, vec![]), (2, vec![]), (3, vec![])]);
        assert_eq!(metrics.restarts.with_label_values(&["fragile"]).get(), 2);
        assert_eq!(metrics.threads.with_label_values(&["fragile"]).get(), 1);
    }

    #[test]
    fn a_thread_is_down_until_it_is_started_again() {
        let threads = Arc::new(Threads::new(Arc::new(Metrics::new().unwrap())));
        let (told, tells) = channel::<()>();
        // Its sender is dropped with the closure's value when the panic unwinds.
        let mut once = Some(told);
        let work = move || {
            let _told = once.take();
            panic!("as a bug would");
        };
        threads.start("broken", Duration::from_secs(3600), work).unwrap();
        assert!(tells.recv().is_err());
        while threads.down() != ["broken"] {
            std::thread::yield_now();
        }
    }

    #[test]
    fn rests_grow_until_it_works() {
        let mut back_off = BackOff::new(Duration::from_secs(20));
        let rests: Vec<u64> = (0..4).map(|_| back_off.rest().as_secs()).collect();
        assert_eq!(rests, [20, 40, 60, 60]);
        back_off.worked();
        assert_eq!(back_off.rest().as_secs(), 20);
    }
}
