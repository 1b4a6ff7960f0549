//! Ctrl-C in a stage that saves where it stands before it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The user, or the system, wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped by a signal; the same command goes on from here")]
pub struct Stopped {
    /// The signal's number.
    pub signal: i32,
}

/// Whether the program has been asked to end: by Ctrl-C, or by who shuts the machine down. Asked twice, it ends at once.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Hears signals from now on, instead of ending by them.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn on_signals() -> std::io::Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
            let heard = Arc::new(AtomicBool::new(false));
            // In this order, so that the first signal arms what the second one does.
            flag::register_conditional_default(signal, Arc::clone(&heard))?;
            flag::register(signal, heard)?;
            flag::register_usize(signal, Arc::clone(&stop.0), signal as usize)?;
        }
        Ok(stop)
    }

    /// Ends the work where that is wanted.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub fn check(&self) -> Result<(), Stopped> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Stopped { signal: signal as i32 }),
        }
    }
}
