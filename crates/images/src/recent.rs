//! What was opened last.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Files that are kept open: more than threads read at once.
const MOST_OPEN: usize = 64;

/// Open files by their names, the last used last.
pub(crate) struct Recent<T>(Mutex<VecDeque<(String, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent(Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    /// What is open under that name. Threads may open it at the same time, which costs less than waiting for another file's opening;
    /// the first of them is everybody's, so that what is kept of its bytes is kept once.
    pub(crate) fn get<E>(&self, name: &str, open: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = find(&mut lock(), name) {
            return Ok(value);
        }
        let opened = open()?;
        let mut kept = lock();
        if let Some(value) = find(&mut kept, name) {
            return Ok(value);
        }
        kept.push_back((name.to_owned(), opened.clone()));
        if kept.len() > MOST_OPEN {
            kept.pop_front();
        }
        Ok(opened)
    }
}

/// The value of that name, which is put last.
fn find<T: Clone>(kept: &mut VecDeque<(String, T)>, name: &str) -> Option<T> {
    let place = kept.iter().position(|(other, _)| other == name)?;
    let entry = kept.remove(place)?;
    let value = entry.1.clone();
    kept.push_back(entry);
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_open_at_once_share_what_one_of_them_opened() {
        let (recent, both_open) = (Recent::default(), Barrier::new(2));
        let opened_by = |thread: u8| {
            recent.get("shard.tar", || {
                both_open.wait();
                Ok::<_, ()>(thread)
            })
        };
        let found = thread::scope(|scope| {
            [0, 1].map(|thread| scope.spawn(move || opened_by(thread))).map(|thread| thread.join().unwrap())
        });
        assert_eq!(found[0], found[1]);
        assert_eq!(recent.get("shard.tar", || Err("opened again")), Ok(found[0].unwrap()));
    }

    #[test]
    fn the_least_recently_used_is_closed() {
        let recent = Recent::default();
        let open = |number: usize| recent.get(&number.to_string(), || Ok::<_, ()>(number)).unwrap();
        (0..MOST_OPEN).for_each(|number| assert_eq!(open(number), number));
        open(0);
        open(MOST_OPEN);
        assert_eq!(recent.get("0", || Err(())), Ok(0));
        assert_eq!(recent.get("1", || Err("closed")), Err("closed"));
    }
}
