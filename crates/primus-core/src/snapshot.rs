//! A value that messages look at and that seldom changes: who looks takes no lock.

use std::{
    any::Any,
    cell::RefCell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// So many values a thread remembers. One that it has forgotten it looks up under its lock.
const REMEMBERED: usize = 16;

/// Numbers the states of all values, so that none is ever taken for another.
static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static SEEN: RefCell<Seen> = const { RefCell::new(Seen::NOTHING) };
}

/// What a thread has looked at. It keeps nothing of that alive.
struct Seen {
    states: [Option<(u64, Weak<dyn Any + Send + Sync>)>; REMEMBERED],
    oldest: usize,
}

impl Seen {
    const NOTHING: Self = Self { states: [const { None }; REMEMBERED], oldest: 0 };

    fn recall(&self, number: u64) -> Option<Arc<dyn Any + Send + Sync>> {
        let (_, value) = self.states.iter().flatten().find(|(seen, _)| *seen == number)?;
        value.upgrade()
    }

    fn remember(&mut self, number: u64, value: Weak<dyn Any + Send + Sync>) {
        self.states[self.oldest] = Some((number, value));
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }
}

/// It has a lock for those who change it. Who looks compares a number, and finds what its thread has
/// seen, once after each change under the lock.
#[derive(Default)]
pub(crate) struct Snapshot<T> {
    /// Of the state that it is in; 0: it has never been changed.
    number: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T: Clone + Send + Sync + 'static> Snapshot<T> {
    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is now; `None`: what it was made as.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let number = self.number.load(Ordering::Acquire);
        if number == 0 {
            return None;
        }
        let seen = SEEN.try_with(|seen| seen.borrow().recall(number)).ok().flatten();
        Some(seen.and_then(|seen| seen.downcast().ok()).unwrap_or_else(|| self.look()))
    }

    #[cold]
    fn look(&self) -> Arc<T> {
        let (number, value) = {
            let value = self.lock();
            (self.number.load(Ordering::Relaxed), Arc::clone(&value))
        };
        let weak: Weak<T> = Arc::downgrade(&value);
        let _ = SEEN.try_with(|seen| seen.borrow_mut().remember(number, weak));
        value
    }

    /// Changes it, under the lock: what is taken out is to be returned, so that it is dropped without.
    pub(crate) fn edit<R>(&self, edit: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.lock();
        // Where nobody else has it, what threads have seen ends here.
        let result = edit(Arc::make_mut(&mut value));
        self.number.store(NEXT.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        result
    }

    /// Keeps everybody out who would take the lock.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Sized {
        self.lock()
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
    fn who_has_looked_looks_again_without_a_lock() {
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

    #[test]
    fn more_values_than_a_thread_remembers_are_told_apart() {
        let values: Vec<_> = (0..REMEMBERED * 2 + 1)
            .map(|number| {
                let value = Snapshot::<usize>::default();
                value.edit(|value| *value = number);
                value
            })
            .collect();
        let looked = |values: &[Snapshot<usize>]| -> Vec<_> {
            values.iter().map(|value| *value.get().unwrap()).collect()
        };
        for _ in 0..3 {
            assert_eq!(looked(&values), (0..values.len()).collect::<Vec<_>>());
        }
        let few = &values[..REMEMBERED];
        assert_eq!(looked(few), looked(few));
        let _held: Vec<_> = few.iter().map(Snapshot::hold).collect();
        assert_eq!(looked(few), (0..REMEMBERED).collect::<Vec<_>>());
    }
}
