//! All orders in which the task of a connection, a publisher and a flusher may meet, by model checking; and those in
//! which its handler and another one who reads may.
//!
//! Outbox, inbox and handler are a model, by the rules of `Session::offer`, `Driver::poll` and `Turn`; whose turn it
//! is, and who finds out what the handler has been brought, is decided by the code itself.

#[path = "../../crates/primus-core/src/session/brought.rs"]
mod brought;
#[path = "../../crates/primus-websocket/src/turns.rs"]
mod turns;

mod sync {
    pub(crate) use std::sync::{PoisonError, TryLockError};

    use loom::sync::atomic::{self, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};

    /// loom takes `SeqCst` for `AcqRel`, but knows what a fence is: one between two such accesses orders them.
    pub(crate) struct AtomicBool(atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            Self(atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            if order == Ordering::SeqCst {
                fence(Ordering::SeqCst);
            }
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            self.0.store(value, order);
        }

        pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
            self.0.swap(value, order)
        }
    }
}

use std::sync::Arc;

use loom::{sync::atomic::AtomicUsize, thread};

use self::{
    brought::Brought,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering},
    turns::Turns,
};

/// What was written, in order.
type Written = Vec<u32>;

struct Connection {
    outbox: Mutex<Vec<u32>>,
    /// Nobody has had the outbox since the task found it empty.
    untouched: AtomicBool,
    socket: AtomicUsize,
    turns: Turns<Written>,
}

impl Connection {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            outbox: Mutex::new(Vec::new()),
            untouched: AtomicBool::new(true),
            socket: AtomicUsize::new(0),
            turns: Turns::new(Vec::new()),
        })
    }

    fn outbox(&self) -> MutexGuard<'_, Vec<u32>> {
        let outbox = self.outbox.lock().unwrap();
        self.untouched.store(false, Ordering::Relaxed);
        outbox
    }

    /// True: it was empty, so it has to be flushed.
    fn push(&self, message: u32) -> bool {
        let mut outbox = self.outbox();
        let drained = outbox.is_empty();
        outbox.push(message);
        drained
    }

    /// What is in the outbox goes behind what is at hand.
    fn write(&self, written: &mut Written, mut at_hand: Vec<u32>) {
        let mut outbox = self.outbox();
        written.append(&mut at_hand);
        written.append(&mut outbox);
        self.untouched.store(true, Ordering::Relaxed);
        drop(outbox);
        self.send();
    }

    /// The system call: what happens elsewhere may happen while it is made, too.
    fn send(&self) {
        self.socket.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {
        self.turns.visit(|written| self.write(written, Vec::new()));
    }

    /// One turn of its task, in which the handler may write something. True: it was woken meanwhile.
    fn poll(&self, message: Option<u32>) -> bool {
        let ((), again) = self.turns.take(|written| {
            let mut at_hand = Vec::new();
            if let Some(message) = message {
                if self.untouched.load(Ordering::Relaxed) {
                    at_hand.push(message);
                } else {
                    self.push(message);
                }
            }
            if self.untouched.load(Ordering::Relaxed) {
                written.append(&mut at_hand); // without the outbox
                self.send();
            } else {
                self.write(written, at_hand);
            }
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

/// What waits for who reads messages one by one.
#[derive(Default)]
struct Inbox {
    /// Who has it need not think that he has found all.
    claimed: bool,
    /// Somebody else waits for that.
    reader: bool,
}

#[test]
fn who_waits_behind_what_a_handler_was_brought_is_woken_when_that_has_been_read() {
    in_all_orders(|| {
        let session = Arc::new((Mutex::new(Inbox::default()), Brought::new()));
        session.1.watch(true);
        session.1.bring();
        let other = {
            let session = Arc::clone(&session);
            thread::spawn(move || {
                let (inbox, brought) = &*session;
                let mut inbox = inbox.lock().unwrap();
                inbox.claimed |= brought.look_in();
                inbox.reader = inbox.claimed;
                inbox.reader
            })
        };
        let (inbox, brought) = &*session;
        // The handler has read it, and waits for more without a look.
        let mut woken = false;
        if brought.is_watched() && !brought.finish() {
            // Nobody was there.
        } else {
            let mut inbox = inbox.lock().unwrap();
            brought.put_back();
            inbox.claimed = false;
            woken = std::mem::take(&mut inbox.reader);
        }
        let waited = other.join().unwrap();
        let inbox = inbox.lock().unwrap();
        assert!(!inbox.claimed && !inbox.reader, "nothing more is expected, and nobody waits");
        assert_eq!(woken, waited);
    });
}
