//! The task of a connection, and the wire by which others write without it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use primus_core::{BoxFuture, Carrier, Session, Wire};
use tracing::{Instrument as _, Span};

use crate::{
    connection::Connection, dialect::Dialect, driver::Driver, native::Native, turns::Turns,
};

/// Drives a connection until it is over.
pub(crate) struct Task<D: Dialect> {
    wire: Arc<SocketWire<D>>,
    /// What is left to be done once the driver is: rare, and large.
    farewell: Option<BoxFuture<'static, ()>>,
}

#[repr(C)]
struct SocketWire<D: Dialect> {
    /// Only where it lies.
    session: Weak<Session>,
    /// `None`: the connection is over.
    work: Turns<Option<Work<D>>>,
}

// In this order, so that what is needed to write a native message is in three lines of the cache, from the wire's own
// beginning on. Where all is dropped, the carrier lets the session know before the socket is closed.
#[repr(C)]
struct Work<D: Dialect> {
    carrier: Carrier,
    /// The task's.
    waker: Waker,
    driver: Driver<D>,
}

/// With the two counters of an `Arc`, what a native connection takes fills a size class of the allocators.
const _: () = assert!(size_of::<SocketWire<Native>>() <= 256 - 2 * size_of::<usize>());

impl<D: Dialect> Task<D> {
    pub(crate) fn spawn(connection: Connection, carrier: Carrier, dialect: D) {
        let task = Self::new(connection, carrier, dialect);
        let span = Span::current();
        if span.is_disabled() {
            tokio::spawn(task); // a span that records nothing takes as much room as the task
        } else {
            tokio::spawn(task.instrument(span));
        }
    }

    fn new(connection: Connection, carrier: Carrier, dialect: D) -> Self {
        let driver = Driver::new(connection, dialect);
        let wire = Arc::new(SocketWire {
            session: Arc::downgrade(carrier.session()),
            work: Turns::new(None),
        });
        carrier.lend(Arc::clone(&wire) as Arc<dyn Wire>);
        let work = Work { driver, carrier, waker: Waker::noop().clone() };
        wire.work.take(|place| *place = Some(work));
        Self { wire, farewell: None }
    }

    /// Ready with what is left of it once the connection is over; in a box, as it would be moved each time otherwise.
    fn poll_work(&self, cx: &mut Context<'_>) -> Poll<Option<Box<Work<D>>>> {
        let (polled, again) = self.wire.work.take(|place| {
            let Some(Work { driver, carrier, waker }) = place else { return Poll::Ready(None) };
            if !waker.will_wake(cx.waker()) {
                *waker = cx.waker().clone();
                carrier.moved();
            }
            driver.poll(cx, carrier).map(|()| place.take().map(Box::new))
        });
        if polled.is_pending() && again {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

impl<D: Dialect> Future for Task<D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.farewell.is_none() {
            let Some(work) = std::task::ready!(self.poll_work(cx)) else { return Poll::Ready(()) };
            self.farewell = work.driver.finish(work.carrier);
        }
        match &mut self.farewell {
            Some(farewell) => farewell.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl<D: Dialect> Drop for Task<D> {
    fn drop(&mut self) {
        // The session holds the wire, and the wire's carrier the session.
        let (work, _) = self.wire.work.take(Option::take);
        drop(work);
    }
}

impl<D: Dialect> Wire for SocketWire<D> {
    fn prefetch(&self) {
        Session::prefetch(self.session.as_ptr());
    }

    fn flush(&self) {
        self.work.visit(|place| {
            let Some(Work { driver, carrier, waker }) = place else { return };
            let mut cx = Context::from_waker(waker);
            match catch_unwind(AssertUnwindSafe(|| driver.flush(&mut cx, carrier))) {
                Ok(true) => {}
                Ok(false) => waker.wake_by_ref(),
                // A parser of the application that panics ends this connection, as it does in the task.
                Err(_) => {
                    waker.wake_by_ref();
                    drop(place.take());
                }
            }
        });
    }
}
