use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Context,
};

use futures_task::{ArcWake, waker_ref};
use http::{Method, Uri};
use tokio::{runtime::Handle, task::yield_now};

use super::{CHUNK, Wire};
use crate::{
    handle::Spark,
    mount::Opening,
    primus::Primus,
    request::Head,
    session::{Carriage, Carrier},
    settings::{MountSettings, Settings},
    transform::Transforms,
};

/// The task of a carrier: how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl ArcWake for Task {
    fn wake_by_ref(task: &Arc<Self>) {
        task.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A carrier whose wire takes all there is, and what it took at each flush.
struct Receiver {
    carrier: Mutex<Carrier>,
    task: Arc<Task>,
    flushes: Mutex<Vec<Vec<String>>>,
}

impl Receiver {
    fn take(&self) -> Vec<String> {
        let mut taken = Vec::new();
        let waker = waker_ref(&self.task);
        let mut cx = Context::from_waker(&waker);
        let carrier = self.carrier.lock().unwrap();
        while carrier
            .poll_take(&mut cx, usize::MAX, |outgoing| {
                taken.push(outgoing.envelope().body().as_text().unwrap().to_owned());
            })
            .is_ready()
        {}
        taken
    }

    /// How often its task was woken, and what its wire took.
    fn counted(&self) -> (usize, Vec<Vec<String>>) {
        let flushes = std::mem::take(&mut *self.flushes.lock().unwrap());
        (self.task.0.swap(0, Ordering::Relaxed), flushes)
    }
}

impl Wire for Receiver {
    fn flush(&self) {
        let taken = self.take();
        self.flushes.lock().unwrap().push(taken);
    }
}

/// So many that wait for what comes.
async fn receivers(primus: &Primus, count: usize) -> Vec<Arc<Receiver>> {
    let mut receivers = Vec::new();
    for _ in 0..count {
        let head = Head::new(Method::GET, Uri::from_static("/p"));
        let opened = primus.mounts()[0].open("websocket", &head, Opening::default()).await;
        let carrier = opened.unwrap().attach(Carriage::DRIVER);
        let receiver = Arc::new(Receiver {
            carrier: Mutex::new(carrier),
            task: Arc::default(),
            flushes: Mutex::default(),
        });
        assert!(receiver.take().is_empty());
        let lent = Arc::clone(&receiver);
        receiver.carrier.lock().unwrap().lend(lent);
        receivers.push(receiver);
    }
    receivers
}

/// Until what was spawned is done.
async fn at_rest(tasks: usize) {
    while alive() > tasks {
        yield_now().await;
    }
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn a_broadcast_flushes_each_wire_once_and_wakes_no_task_of_a_receiver() {
    let mount = MountSettings::new("p");
    let primus = Primus::new(Settings::default(), Transforms::default(), [(mount, vec![])]);
    let receivers = receivers(&primus, 300).await;
    for receiver in &receivers {
        assert_eq!(receiver.counted(), (1, vec![]), "to begin with its handler");
    }
    let tasks = alive();
    assert_eq!(primus.write_message("a"), 300);
    assert_eq!(alive() - tasks, 300_usize.div_ceil(CHUNK));
    // What is published before they run goes with it.
    assert_eq!(primus.write_message("b"), 300);
    assert_eq!(alive() - tasks, 2);
    at_rest(tasks).await;
    for receiver in &receivers {
        assert_eq!(receiver.counted(), (0, vec![vec!["a".to_owned(), "b".to_owned()]]));
    }

    // What is for one alone wakes its task, and that of nobody else.
    let session = Arc::clone(receivers[7].carrier.lock().unwrap().session());
    Spark::from_session(&session).write_message("c").unwrap();
    assert_eq!(alive(), tasks);
    for (index, receiver) in receivers.iter().enumerate() {
        assert_eq!(receiver.counted(), (usize::from(index == 7), vec![]));
    }
}
