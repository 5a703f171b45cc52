//! The task of a connection, and the wire by which others write without it.
//!
//! Whoever works on the connection holds its lock for as long, which is never across an await. Nobody but
//! the task waits for it: who finds it held leaves word, and who holds it looks for that when done.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use primus_core::{BoxFuture, Carrier, Wire};

use tracing::{Instrument as _, Span};

use crate::{connection::Connection, dialect::Dialect, driver::Driver};

/// Drives a connection until it is over.
pub(crate) struct Task {
    shared: Arc<Shared>,
    /// What is left to be done once the driver is: rare, and large.
    farewell: Option<BoxFuture<'static, ()>>,
}

struct Shared {
    /// `None`: the connection is over.
    work: Mutex<Option<Work>>,
    /// Somebody came while another was at work.
    again: AtomicBool,
}

struct Work {
    driver: Driver,
    carrier: Carrier,
    /// The task's.
    waker: Waker,
}

impl Task {
    pub(crate) fn spawn(connection: Connection, carrier: Carrier, dialect: Dialect) {
        let task = Self::new(connection, carrier, dialect);
        let span = Span::current();
        if span.is_disabled() {
            tokio::spawn(task); // a span that records nothing takes as much room as the task
        } else {
            tokio::spawn(task.instrument(span));
        }
    }

    fn new(connection: Connection, carrier: Carrier, dialect: Dialect) -> Self {
        let driver = Driver::new(connection, &carrier, dialect);
        let work = Mutex::new(None);
        let shared = Arc::new(Shared { work, again: AtomicBool::new(false) });
        carrier.lend(Arc::clone(&shared) as Arc<dyn Wire>);
        *shared.lock() = Some(Work { driver, carrier, waker: Waker::noop().clone() });
        Self { shared, farewell: None }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.farewell.is_none() {
            let work = match self.shared.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(work)) => work,
            };
            self.farewell = work.driver.finish(work.carrier).map(|last| Box::pin(last) as _);
        }
        match &mut self.farewell {
            Some(farewell) => farewell.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // The session holds the wire, and the wire's carrier the session.
        let work = self.shared.lock().take();
        drop(work);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready with what is left of it once the connection is over.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Work>> {
        let mut work = self.lock();
        let Some(Work { driver, carrier, waker }) = &mut *work else { return Poll::Ready(None) };
        waker.clone_from(cx.waker());
        if driver.poll(cx, carrier).is_ready() {
            return Poll::Ready(work.take());
        }
        drop(work);
        if self.is_asked_again() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether somebody found the lock held; to be asked by who held it, after.
    fn is_asked_again(&self) -> bool {
        // Both sides swap: if this one comes first, the other sees that the lock is free.
        self.again.swap(false, Ordering::AcqRel)
    }

    fn try_flush(&self) -> bool {
        let mut work = match self.work.try_lock() {
            Ok(work) => work,
            Err(TryLockError::Poisoned(work)) => work.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Some(Work { driver, carrier, waker }) = &mut *work else { return true };
        let mut cx = Context::from_waker(waker);
        // A parser of the application that panics ends this connection, as it does in the task.
        match catch_unwind(AssertUnwindSafe(|| driver.flush(&mut cx, carrier))) {
            Ok(true) => {}
            Ok(false) => waker.wake_by_ref(),
            Err(_) => {
                let broken = work.take();
                drop(work);
                if let Some(broken) = broken {
                    broken.waker.wake_by_ref();
                }
            }
        }
        true
    }
}

impl Wire for Shared {
    fn flush(&self) {
        let mut asked = false;
        loop {
            if self.try_flush() {
                if !self.is_asked_again() {
                    return;
                }
                asked = false;
            } else if std::mem::replace(&mut asked, true) {
                return; // who holds it sees that we asked
            } else {
                self.again.swap(true, Ordering::AcqRel);
            }
        }
    }
}
