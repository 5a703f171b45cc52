//! All orders in which the task of a connection, a publisher and a flusher may meet, by model checking.
//!
//! The outbox and the handler are a model, by the rules of `Session::offer` and `Driver::poll`; whose turn it
//! is, is decided by the code itself.

#[path = "../../crates/primus-websocket/src/turns.rs"]
mod turns;

mod sync {
    pub(crate) use std::sync::{PoisonError, TryLockError};

    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    };
}

use std::sync::Arc;

use loom::{sync::atomic::AtomicUsize, thread};

use self::{
    sync::{AtomicBool, Mutex, Ordering},
    turns::Turns,
};

/// What was written, in order.
type Written = Vec<u32>;

struct Connection {
    outbox: Mutex<Vec<u32>>,
    /// Its task is in a turn and will write before it waits.
    driving: AtomicBool,
    socket: AtomicUsize,
    turns: Turns<Written>,
}

impl Connection {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            outbox: Mutex::new(Vec::new()),
            driving: AtomicBool::new(false),
            socket: AtomicUsize::new(0),
            turns: Turns::new(Vec::new()),
        })
    }

    /// True: it was empty, and nobody is there who writes, so it has to be flushed.
    fn push(&self, message: u32) -> bool {
        let mut outbox = self.outbox.lock().unwrap();
        let drained = outbox.is_empty();
        outbox.push(message);
        drained && !self.driving.load(Ordering::Acquire)
    }

    fn write(&self, written: &mut Written) {
        written.append(&mut self.outbox.lock().unwrap());
        // The system call: what happens elsewhere may happen while it is made, too.
        self.socket.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {
        self.turns.visit(|written| self.write(written));
    }

    /// One turn of its task, in which the handler may write something. True: it was woken meanwhile.
    fn poll(&self, message: Option<u32>) -> bool {
        let ((), again) = self.turns.take(|written| {
            self.driving.store(true, Ordering::Release);
            if let Some(message) = message {
                self.push(message);
            }
            self.driving.store(false, Ordering::Release);
            self.write(written);
        });
        again
    }

    /// Turns until nobody wakes it any more.
    fn run(&self, message: Option<u32>) {
        let mut again = self.poll(message);
        while again {
            again = self.poll(None);
        }
    }

    fn publish(&self, message: u32) {
        if self.push(message) {
            self.flush();
        }
    }

    fn written(&self) -> Written {
        self.turns.take(std::mem::take).0
    }
}

/// All orders with so many interruptions at places where nobody waits: nearly all faults need only two.
fn in_all_orders(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(run);
}

#[test]
fn what_is_published_while_the_task_has_its_turn_is_written() {
    in_all_orders(|| {
        let connection = Connection::new();
        let publisher = {
            let connection = Arc::clone(&connection);
            thread::spawn(move || connection.publish(1))
        };
        connection.run(Some(2));
        publisher.join().unwrap();
        let mut written = connection.written();
        written.sort_unstable();
        assert_eq!(written, [1, 2]);
    });
}

#[test]
fn of_two_who_publish_at_once_each_is_heard_in_its_own_order() {
    in_all_orders(|| {
        let connection = Connection::new();
        let publisher = {
            let connection = Arc::clone(&connection);
            thread::spawn(move || [1, 2].map(|message| connection.publish(message)))
        };
        connection.publish(11);
        publisher.join().unwrap();
        let written = connection.written();
        let by_the_first: Written =
            written.iter().copied().filter(|message| *message < 10).collect();
        assert_eq!((by_the_first, written.len()), (vec![1, 2], 3));
    });
}

#[test]
fn nobody_but_the_task_waits() {
    in_all_orders(|| {
        let connection = Connection::new();
        let held = Arc::clone(&connection);
        let visitors = connection.turns.take(move |_| {
            // From within a turn: it leaves word, and comes back.
            held.flush();
        });
        assert_eq!(visitors, ((), true));
    });
}
