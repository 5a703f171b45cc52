//! All orders in which the task of a connection and those who publish to it may meet, by model checking; and those in
//! which its handler and another one who reads may.
//!
//! Session, carrier and turn are the code itself, built on the model checker's locks (`src/sync.rs`), and so is whose turn
//! it is. A model are the task, by the rules of `Task` and `Driver`, and the inbox of the last test.

#[path = "../../../../crates/primus-core/src/session/brought.rs"]
mod brought;
mod connection;
#[path = "../../src/sync.rs"]
mod locks;
mod sync;
#[path = "../../../../crates/primus-websocket/src/turns.rs"]
mod turns;

use std::sync::Arc;

use loom::thread;

use self::{
    brought::Brought,
    connection::{Connection, Outcome, spawn},
    locks::{Mutex, Ordering},
};

/// So many interruptions where nobody waits.
const BOUND: usize = 3;

/// Where in it these are, in this order.
fn places(written: &[String], texts: &[&str]) -> Vec<usize> {
    texts.iter().filter_map(|text| written.iter().position(|it| it == text)).collect()
}

/// All orders with so many interruptions at places where nobody waits: nearly all faults need only two.
fn in_all_orders(run: impl Fn() + Sync + Send + 'static) {
    let run = Arc::new(run);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(BOUND);
    model.max_branches = 10_000;
    model.check(move || {
        let run = Arc::clone(&run);
        spawn(move || run()).join().unwrap();
    });
}

#[test]
fn what_is_published_while_the_task_has_its_turn_is_written() {
    in_all_orders(|| {
        let connection = Connection::open(true);
        connection.beside(|it| it.publish("published"));
        connection.poll(&["read"]);
        let mut written = connection.run().written;
        written.sort_unstable();
        assert_eq!(written, ["published", "read"]);
    });
}

#[test]
fn of_two_who_publish_at_once_each_is_heard_in_its_own_order() {
    in_all_orders(|| {
        let connection = Connection::open(true);
        connection.beside(|it| ["1", "2"].iter().for_each(|text| it.publish(text)));
        connection.beside(|it| it.write("11"));
        let Outcome { written, .. } = connection.run();
        assert_eq!(written.len(), 3);
        assert_eq!(places(&written, &["1", "2", "11"]).len(), 3);
        assert!(places(&written, &["1", "2"]).is_sorted());
    });
}

#[test]
fn of_those_who_write_before_it_is_taken_one_wakes_the_task() {
    in_all_orders(|| {
        let connection = Connection::open(false);
        connection.beside(|it| it.write("1"));
        connection.beside(|it| it.write("2"));
        let Outcome { mut written, found, rings, .. } = connection.run();
        written.sort_unstable();
        assert_eq!(written, ["1", "2"]);
        assert_eq!(rings, found);
    });
}

#[test]
fn of_those_who_publish_before_it_is_taken_one_has_it_written() {
    in_all_orders(|| {
        let connection = Connection::open(true);
        connection.beside(|it| it.publish("1"));
        connection.beside(|it| it.publish("2"));
        let Outcome { mut written, found, rings, flushes } = connection.run();
        written.sort_unstable();
        assert_eq!(written, ["1", "2"]);
        assert_eq!((flushes, rings), (found, 0), "the task sleeps");
    });
}

#[test]
fn what_a_handler_writes_once_it_knows_of_a_message_goes_behind_it() {
    in_all_orders(|| {
        let connection = Connection::open(true);
        connection.beside(|it| {
            it.publish("published");
            it.known.store(true, Ordering::Release);
        });
        connection.poll(&["read"]);
        let Outcome { written, .. } = connection.run();
        assert_eq!(places(&written, &["published", "read"]).len(), 2);
        assert!(places(&written, &["read", "known"]).is_sorted());
        assert!(places(&written, &["published", "known"]).is_sorted());
    });
}

#[test]
fn a_handler_that_is_woken_while_its_task_begins_to_wait_is_polled() {
    in_all_orders(|| {
        let connection = Connection::new(true);
        connection.beside(|it| it.gate.open());
        connection.poll(&["wait"]);
        assert_eq!(connection.run().written, ["wait"]);
    });
}

#[test]
fn a_handler_that_is_woken_while_it_is_polled_is_polled_again() {
    in_all_orders(|| {
        let connection = Connection::open(true);
        connection.beside(|it| it.gate.open());
        connection.poll(&["wait"]);
        assert_eq!(connection.run().written, ["wait"]);
    });
}

#[test]
fn nobody_but_the_task_waits() {
    in_all_orders(|| {
        let connection = Connection::open(true);
        let held = Arc::clone(&connection);
        // From within a turn: it leaves word, and comes back.
        let visitors = connection.work.take(move |_| held.flush());
        assert_eq!(visitors, ((), true));
        connection.run();
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
