//! What the peers share: a runtime with one worker, a listener, and who is connected.
//!
//! Every peer is the same application: text that begins with `b` goes to everybody, anything else
//! is echoed. Each is written as the documentation of its crate suggests, one task a connection,
//! broadcasts by a queue for each.

use std::{
    collections::HashMap,
    env,
    future::Future,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpSocket},
    runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// The first argument is the port.
pub fn run<F>(serve: impl FnOnce(TcpListener) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let port = env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = {
        let _entered = runtime.enter();
        listen(port).expect("the port is free")
    };
    let serving = serve(listener);
    // Not in `block_on` itself, which would run on another thread than the worker's.
    runtime.block_on(async { tokio::spawn(serving).await }).expect("it serves");
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(4096)
}

/// Everybody who is connected, each with a queue of its own.
pub struct Hub<M>(Mutex<Members<M>>);

struct Members<M> {
    next: u64,
    queues: HashMap<u64, UnboundedSender<M>>,
}

impl<M: Clone> Hub<M> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Members { next: 0, queues: HashMap::new() })))
    }

    pub fn join(&self) -> (u64, UnboundedReceiver<M>) {
        let (sender, receiver) = unbounded_channel();
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.next += 1;
        let id = members.next;
        members.queues.insert(id, sender);
        (id, receiver)
    }

    pub fn leave(&self, id: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).queues.remove(&id);
    }

    pub fn broadcast(&self, message: M) {
        for queue in self.0.lock().unwrap_or_else(PoisonError::into_inner).queues.values() {
            let _ = queue.send(message.clone());
        }
    }
}
