//! The task of a connection and its wire, over a session and its carrier.

use std::{
    future::poll_fn,
    mem::take,
    pin::pin,
    sync::{Arc, LazyLock, OnceLock, Weak},
    task::{Context, Poll, Wake, Waker},
};

use http::{Method, Uri};
use loom::{
    sync::{Condvar, atomic::AtomicUsize},
    thread,
};
use primus_model::{
    Carriage, Carrier, CloseReason, HandlerResult, Head, MountSettings, Opening, Outgoing, Primus,
    Settings, Taken, Wire, handle::Spark, transform::Transforms,
};
use tokio::runtime::{Builder, Handle};

use crate::{
    locks::{AtomicBool, Mutex, Ordering},
    turns::Turns,
};

/// Words of the stack of a thread: the code itself needs more than a model.
const STACK: usize = 64 << 10;

/// What is spawned on it is dropped at once, so who publishes flushes the wires himself.
static RUNTIME: LazyLock<Handle> =
    LazyLock::new(|| Builder::new_current_thread().build().unwrap().handle().clone());

/// Wakes the task.
#[derive(Default)]
struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rung: bool,
    /// How often.
    rings: usize,
    /// Those who have not published all.
    publishers: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock().unwrap();
        state.rung = true;
        state.rings += 1;
        self.changed.notify_one();
    }
}

impl Bell {
    /// False: nobody is there who could ring it.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        while !state.rung && state.publishers > 0 {
            state = self.changed.wait(state).unwrap();
        }
        take(&mut state.rung)
    }
}

/// What the task and those who pass by work with.
pub(crate) struct Work {
    carrier: Carrier,
    /// In order.
    written: Vec<String>,
    /// How often something was found.
    found: usize,
}

/// Something of the application that somebody waits for.
#[derive(Default)]
pub(crate) struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut gate = self.0.lock().unwrap();
        if gate.0 {
            return Poll::Ready(());
        }
        gate.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn open(&self) {
        let waker = {
            let mut gate = self.0.lock().unwrap();
            gate.0 = true;
            gate.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

/// What came of it all.
pub(crate) struct Outcome {
    pub(crate) written: Vec<String>,
    pub(crate) found: usize,
    /// How often the task was woken.
    pub(crate) rings: usize,
    /// How often others were told to write.
    pub(crate) flushes: usize,
}

pub(crate) struct Connection {
    primus: Primus,
    /// The handler's.
    spark: OnceLock<Spark>,
    /// What has been published is known to the handler.
    pub(crate) known: AtomicBool,
    bell: Arc<Bell>,
    /// What the handler waits for, where it is told to.
    pub(crate) gate: Gate,
    socket: AtomicUsize,
    /// How often others were told to write.
    flushes: std::sync::atomic::AtomicUsize,
    pub(crate) work: Turns<Option<Work>>,
}

struct SocketWire(Weak<Connection>);

impl Wire for SocketWire {
    fn flush(&self) {
        if let Some(connection) = self.0.upgrade() {
            connection.flushes.fetch_add(1, Ordering::Relaxed);
            connection.flush();
        }
    }
}

impl Connection {
    /// Its handler waits, and its task has had its first turn.
    pub(crate) fn open(lends: bool) -> Arc<Self> {
        let connection = Self::new(lends);
        connection.poll(&[]);
        connection
    }

    /// Its handler answers what it is sent, and then says whether it knows.
    pub(crate) fn new(lends: bool) -> Arc<Self> {
        let mount = MountSettings::new("p");
        let connection = Arc::new(Self {
            primus: Primus::new(Settings::default(), Transforms::default(), [(mount, vec![])]),
            spark: OnceLock::new(),
            known: AtomicBool::new(false),
            bell: Arc::default(),
            gate: Gate::default(),
            socket: AtomicUsize::new(0),
            flushes: 0.into(),
            work: Turns::new(None),
        });
        let its = Arc::downgrade(&connection);
        connection.primus.on_connection(move |spark| Self::answer(Weak::clone(&its), spark));
        let head = Head::new(Method::GET, Uri::from_static("/p"));
        let session = {
            let _entered = RUNTIME.enter();
            let mount = &connection.primus.mounts()[0];
            at_once(mount.open("websocket", &head, Opening::default())).unwrap()
        };
        let carrier = session.attach(Carriage::DRIVER);
        if lends {
            carrier.lend(Arc::new(SocketWire(Arc::downgrade(&connection))));
        }
        let work = Work { carrier, written: Vec::new(), found: 0 };
        connection.work.take(|place| *place = Some(work));
        connection
    }

    async fn answer(its: Weak<Self>, mut spark: Spark) -> HandlerResult {
        let connection = || its.upgrade().ok_or("it is over");
        let _ = connection()?.spark.set(spark.clone());
        while let Some(message) = spark.next().await {
            if message.as_text() == Some("wait") {
                poll_fn(|cx| its.upgrade().map_or(Poll::Ready(()), |its| its.gate.poll(cx))).await;
            }
            spark.write_message(message)?;
            if connection()?.known.load(Ordering::Acquire) {
                spark.write_message("known")?;
            }
        }
        Ok(())
    }

    /// One turn of its task, in which this is read.
    pub(crate) fn poll(&self, read: &[&'static str]) {
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut cx = Context::from_waker(&waker);
        let ((), again) = self.work.take(|place| {
            let Some(work) = place else { return };
            let mut turn = work.carrier.begin_turn();
            for text in read {
                turn.deliver(*text).unwrap();
            }
            let taken = turn.run_and_take(&mut cx, usize::MAX, note(&mut work.written));
            drop(turn);
            self.finish(&mut cx, work, taken);
        });
        if again {
            waker.wake();
        }
    }

    pub(crate) fn flush(&self) {
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut cx = Context::from_waker(&waker);
        self.work.visit(|place| {
            let Some(work) = place else { return };
            let taken = work.carrier.poll_take(&mut cx, usize::MAX, note(&mut work.written));
            self.finish(&mut cx, work, taken);
        });
    }

    /// What has been taken, and the rest.
    fn finish(&self, cx: &mut Context<'_>, work: &mut Work, mut taken: Poll<Taken>) {
        while let Poll::Ready(Taken { drained, .. }) = taken {
            work.found += 1;
            if drained {
                break;
            }
            taken = work.carrier.poll_take(cx, usize::MAX, note(&mut work.written));
        }
        // The system call: what happens elsewhere may happen while it is made, too.
        self.socket.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn publish(&self, text: &'static str) {
        self.primus.write_message(text);
    }

    pub(crate) fn write(&self, text: &'static str) {
        self.spark.get().unwrap().write_message(text).unwrap();
    }

    /// Somebody else does this.
    pub(crate) fn beside(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        self.bell.state.lock().unwrap().publishers += 1;
        let connection = Arc::clone(self);
        spawn(move || {
            work(&connection);
            connection.bell.state.lock().unwrap().publishers -= 1;
            connection.bell.changed.notify_one();
        });
    }

    /// Turns for as long as somebody wakes it.
    pub(crate) fn run(&self) -> Outcome {
        while self.bell.wait() {
            self.poll(&[]);
        }
        let rings = self.bell.state.lock().unwrap().rings;
        let Work { carrier, written, found } = self.work.take(Option::take).0.unwrap();
        let flushes = self.flushes.load(Ordering::Relaxed);
        carrier.end(CloseReason::NORMAL);
        carrier.run(); // so that nothing of it is left
        carrier.finish();
        Outcome { written, found, rings, flushes }
    }
}

/// Takes note of what is written.
fn note(written: &mut Vec<String>) -> impl FnMut(&Outgoing) {
    |outgoing| written.push(outgoing.envelope().body().as_text().unwrap().to_owned())
}

/// What comes of it without a wait.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().stack_size(STACK).spawn(work).unwrap()
}
