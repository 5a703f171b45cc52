use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_task::{ArcWake, waker};
use http::{Method, Uri};

use crate::{
    close::CloseReason,
    handle::Spark,
    mount::Opening,
    primus::Primus,
    request::Head,
    session::{Carriage, Carrier, Session, Taken},
    settings::{MountSettings, Settings},
    transform::Transforms,
};

struct Woken(AtomicUsize);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A session that nobody may resume, whose handler echoes.
async fn echo() -> Arc<Session> {
    let mount = MountSettings::new("p");
    let primus = Primus::new(Settings::default(), Transforms::default(), [(mount, vec![])]);
    primus.on_connection(|mut spark: Spark| async move {
        while let Some(message) = spark.next().await {
            spark.write_message(message)?;
        }
        Ok(())
    });
    let head = Head::new(Method::GET, Uri::from_static("/p"));
    primus.mounts()[0].open("websocket", &head, Opening::default()).await.unwrap()
}

/// A turn, in which these are read. Returns what is written, and what is told besides.
fn turn(carrier: &mut Carrier, read: &[&str], waker: &Waker) -> (Vec<String>, Poll<Taken>) {
    let mut turn = carrier.begin_turn();
    for text in read {
        turn.deliver(*text).unwrap();
    }
    let mut written = Vec::new();
    let taken = turn.run_and_take(&mut Context::from_waker(waker), usize::MAX, |outgoing| {
        written.push(outgoing.envelope().body().as_text().unwrap().to_owned());
    });
    (written, taken)
}

#[tokio::test]
async fn a_carrier_that_was_replaced_takes_nothing_though_its_turn_runs_the_handler() {
    let session = echo().await;
    let mut older = session.attach(Carriage::DRIVER);
    for text in ["a", "b"] {
        let (written, taken) = turn(&mut older, &[text], Waker::noop());
        assert_eq!(written, [text]);
        assert!(matches!(taken, Poll::Ready(Taken { gone: None, drained: true, .. })));
    }
    let mut newer = session.attach(Carriage::DRIVER);
    newer.acked(0, Some(3)).unwrap();
    assert!(turn(&mut newer, &[], Waker::noop()).1.is_pending());
    let turn_of_older = older.begin_turn();
    newer.deliver("c").unwrap(); // which looks into the inbox only
    let mut cx = Context::from_waker(Waker::noop());
    let taken =
        turn_of_older.run_and_take(&mut cx, usize::MAX, |_| panic!("it is not the carrier"));
    drop(turn_of_older);
    let Poll::Ready(Taken { gone, .. }) = taken else { panic!("{taken:?}") };
    assert_eq!(gone.as_deref(), Some(&CloseReason::REPLACED));
    assert_eq!(turn(&mut newer, &[], Waker::noop()).0, ["c"]);
}

#[tokio::test]
async fn what_others_write_between_two_turns_wakes_the_task_as_it_is_woken_now() {
    let session = echo().await;
    let spark = Spark::from_session(&session);
    let mut carrier = session.attach(Carriage::DRIVER);
    let woken: [_; 2] = [0, 1].map(|_| Arc::new(Woken(AtomicUsize::new(0))));
    let count = || [0, 1].map(|which: usize| woken[which].0.load(Ordering::Relaxed));
    let wakers = woken.each_ref().map(|woken| waker(Arc::clone(woken)));
    for text in ["a", "b"] {
        assert_eq!(turn(&mut carrier, &[text], &wakers[0]).0, [text]);
    }
    let before = count();
    spark.write_message("c").unwrap();
    assert_eq!(count(), [before[0] + 1, 0]);
    assert_eq!(turn(&mut carrier, &[], &wakers[0]).0, ["c"]);

    carrier.moved();
    assert_eq!(turn(&mut carrier, &["d"], &wakers[1]).0, ["d"]);
    spark.write_message("e").unwrap();
    assert_eq!(count(), [before[0] + 1, 1]);
    assert_eq!(turn(&mut carrier, &["f"], &wakers[1]).0, ["e", "f"]);
}

#[tokio::test]
async fn what_a_turn_brings_and_the_handler_is_not_polled_for_waits_in_the_inbox() {
    let session = echo().await;
    let mut carrier = session.attach(Carriage::DRIVER);
    for text in ["a", "b"] {
        assert_eq!(turn(&mut carrier, &[text], Waker::noop()).0, [text]);
    }
    {
        let mut turn = carrier.begin_turn();
        turn.deliver("c").unwrap();
        turn.deliver("d").unwrap();
        assert!(session.inbox.lock().unwrap().is_empty(), "they are at hand");
    }
    assert_eq!(session.inbox.lock().unwrap().mail.size(), (2, 2));
    assert_eq!(turn(&mut carrier, &["e"], Waker::noop()).0, ["c", "d", "e"]);
}
