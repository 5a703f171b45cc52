//! A value that messages look at and that seldom changes: who looks takes no lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwapOption, Guard};

/// Who looks has what it was then. Those who change it take turns.
pub(crate) struct Snapshot<T> {
    value: ArcSwapOption<T>,
    turn: Mutex<()>,
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self { value: ArcSwapOption::empty(), turn: Mutex::new(()) }
    }
}

impl<T: Clone + Default> Snapshot<T> {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is now, to be looked at for a moment: not even its references are counted.
    pub(crate) fn look(&self) -> Guard<Option<Arc<T>>> {
        self.value.load()
    }

    /// What it is now; `None`: it has never been changed.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        self.value.load_full()
    }

    /// Changes it. What is taken out is to be returned, so that it is dropped when others may change it again.
    pub(crate) fn edit<R>(&self, edit: impl FnOnce(&mut T) -> R) -> R {
        let turn = self.turn();
        let mut value = self.get().as_deref().cloned().unwrap_or_default();
        let result = edit(&mut value);
        let before = self.value.swap(Some(Arc::new(value)));
        drop(turn);
        drop(before);
        result
    }

    /// Keeps everybody out who would change it.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Sized {
        self.turn()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Barrier, mpsc::channel},
        thread,
        time::Duration,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn who_looks_takes_no_lock() {
        let (value, looked) = (Snapshot::<Vec<u8>>::default(), Barrier::new(2));
        value.edit(|value| value.push(1));
        let (sender, seen) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = value.get();
                looked.wait();
                looked.wait();
                sender.send(value.get()).unwrap();
            });
            looked.wait();
            let held = value.hold();
            looked.wait();
            let seen = seen.recv_timeout(PATIENCE);
            drop(held);
            assert_eq!(seen.expect("it waits for no lock").as_deref(), Some(&vec![1]));
        });
    }

    #[test]
    fn what_has_never_been_changed_is_nothing_and_takes_no_lock() {
        let value = Snapshot::<Vec<u8>>::default();
        let _held = value.hold();
        assert!(value.get().is_none());
    }

    #[test]
    fn each_change_is_seen_at_once_by_every_thread() {
        let (value, turn) = (Snapshot::<u32>::default(), Barrier::new(3));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 1..=100 {
                        turn.wait();
                        assert_eq!(value.get().as_deref(), Some(&round));
                        turn.wait();
                    }
                });
            }
            for _ in 0..100 {
                value.edit(|value| *value += 1);
                turn.wait();
                turn.wait();
            }
        });
    }

    #[test]
    fn what_is_taken_out_is_dropped_though_a_thread_has_seen_it() {
        let value = Snapshot::<Vec<Arc<()>>>::default();
        let held = Arc::new(());
        value.edit(|value| value.push(Arc::clone(&held)));
        assert_eq!(value.get().unwrap().len(), 1);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(value.edit(Vec::pop));
        assert_eq!(Arc::strong_count(&held), 1);
        value.edit(|value| value.push(Arc::clone(&held)));
        let before = value.get().unwrap();
        drop(value.edit(Vec::pop));
        assert_eq!((before.len(), value.get().unwrap().len()), (1, 0));
        drop(before);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
