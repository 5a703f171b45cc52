//! Messages over a WebSocket. It belongs to no session until a client connects by it.

use std::{future::pending, pin::Pin, sync::Arc};

use bytes::Bytes;
use primus_core::{CloseReason, Head, Mount, Payload, Response, Upgrade};
use primus_websocket::{Connection, Handshake, accept};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Instrument as _;

use crate::{
    asker::{Asker, Folded},
    line::{Line, Told},
    options::BayeuxOptions,
    process::{Answered, Connect, Peer},
    protocol::message::{self, Message},
    transformer::{answer_connect, array},
};

/// Beyond the largest message: what stands around it, and short ones beside it.
const OVERHEAD: usize = 64 << 10;

/// Answers a request for a WebSocket.
pub(crate) fn open(
    head: Head,
    mount: Arc<Mount>,
    options: BayeuxOptions,
    upgrade: Option<Upgrade>,
) -> Result<Response, Box<Response>> {
    let pending = mount.pend().map_err(|no| Box::new(no.into_response()))?;
    let (response, handshake) = accept(&head, upgrade, None, mount.settings())?;
    let span = tracing::debug_span!("bayeux", address = ?head.address);
    let peer = Peer { asker: Asker::Socket(Folded::new(head)), mount, options };
    let task = start(peer, handshake, pending);
    tokio::spawn(task.instrument(span));
    Ok(response)
}

async fn start(peer: Peer, handshake: Handshake, pending: primus_core::Pending) {
    let connection = Box::pin(handshake.connection(peer.mount.settings())).await;
    let connection = match connection {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "the client went during the handshake"),
    };
    // Apart from the task, which would have room for it once more for each time it is moved.
    let socket = Box::new(Socket {
        peer: Arc::new(peer),
        connection,
        alone: Some(Alone { _pending: pending, since: Instant::now() }),
        line: None,
        held: None,
        work: None,
        heard: Instant::now(),
    });
    socket.run().await;
}

type Work = Pin<Box<dyn Future<Output = Answered> + Send>>;

struct Socket {
    peer: Arc<Peer>,
    connection: Connection,
    /// It is no client's.
    alone: Option<Alone>,
    /// The client that has connected by this.
    line: Option<Line>,
    /// Its connect, and when that is answered.
    held: Option<(Box<Connect>, Instant)>,
    /// What it sent is being processed; the next is read after that.
    work: Option<Work>,
    heard: Instant,
}

/// It counts as one that has not become a client's, and has to within a time, whatever it says meanwhile.
struct Alone {
    _pending: primus_core::Pending,
    since: Instant,
}

/// What happens next.
enum Event {
    Received(Result<Payload, CloseReason>),
    Worked(Answered),
    Told(Told),
    /// The connect has been held for long enough.
    Due,
    /// Nothing has been heard for too long.
    Silent,
}

impl Socket {
    async fn run(mut self: Box<Self>) {
        let reason = loop {
            if !self.flush().await {
                return;
            }
            match self.next().await {
                Event::Received(Ok(payload)) => match read(&payload) {
                    Ok(messages) => self.begin(messages),
                    Err(reason) => break reason,
                },
                Event::Received(Err(reason)) => break reason,
                Event::Worked(answered) => self.answer(answered),
                Event::Told(told) => {
                    if let Err(reason) = self.tell(told) {
                        break reason;
                    }
                }
                Event::Due => {
                    if let Some((connect, _)) = self.held.take() {
                        self.send(&[connect.end(None).into()]);
                    }
                }
                Event::Silent => break CloseReason::HEARTBEAT,
            }
        };
        self.line = None;
        let Self { peer, connection, .. } = *self;
        let patience = peer.mount.settings().limits.close_timeout;
        Box::pin(connection.refuse(None, &reason, patience)).await;
    }

    /// Writes what has been sent. What waits for a client that does not read waits in its session, whose end is not held
    /// up by it. False: the connection is of no use any more.
    async fn flush(&mut self) -> bool {
        let silent = self.silent();
        let cut = async {
            match &mut self.line {
                Some(line) => line.cut().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            flushed = timeout_at(silent, self.connection.flush()) => matches!(flushed, Ok(Ok(()))),
            () = cut => false,
        }
    }

    /// When nothing has been heard for too long.
    fn silent(&self) -> Instant {
        match &self.alone {
            Some(alone) => alone.since + self.peer.mount.settings().limits.attach_timeout,
            None => self.heard + self.peer.options.patience(),
        }
    }

    async fn next(&mut self) -> Event {
        let limits = &self.peer.mount.settings().limits;
        let max = limits.max_message.saturating_add(OVERHEAD);
        let silent = self.silent();
        let due = self.held.as_ref().map(|(_, due)| *due);
        let is_working = self.work.is_some();
        let work = async {
            match &mut self.work {
                Some(work) => work.await,
                None => pending().await,
            }
        };
        let told = async {
            match &mut self.line {
                Some(line) => line.next().await,
                None => pending().await,
            }
        };
        // One timer for both. It is us who do not listen while something is processed.
        let silent = (!is_working).then_some(silent);
        let timed = async {
            match [due, silent].into_iter().flatten().min() {
                Some(first) => sleep_until(first).await,
                None => pending().await,
            }
            if due.is_some_and(|due| silent.is_none_or(|silent| due <= silent)) {
                Event::Due
            } else {
                Event::Silent
            }
        };
        let received = async {
            if is_working {
                pending::<()>().await;
            }
            self.connection.receive(max).await
        };
        tokio::select! {
            answered = work => Event::Worked(answered),
            told = told => Event::Told(told),
            event = timed => event,
            received = received => Event::Received(received),
        }
    }

    fn begin(&mut self, messages: Vec<Message>) {
        self.heard = Instant::now();
        if messages.is_empty() {
            return self.send(&[]); // a sign of life, and its answer
        }
        let peer = Arc::clone(&self.peer);
        self.work = Some(Box::pin(async move { peer.process(messages).await }));
    }

    fn answer(&mut self, answered: Answered) {
        self.work = None;
        self.heard = Instant::now();
        let Answered { replies, connect } = answered;
        if !replies.is_empty() {
            let replies: Vec<Bytes> = replies.into_iter().map(Bytes::from).collect();
            self.send(&replies);
        }
        let Some(connect) = connect else { return };
        if !self.line.as_ref().is_some_and(|line| line.is_of(&connect.session)) {
            self.line = Some(Line::attach(&connect.session, self.peer.options.patience()));
        }
        self.alone = None;
        if connect.wait.is_zero() {
            return self.send(&[connect.end(None).into()]);
        }
        let due = Instant::now() + connect.wait;
        if let Some((older, _)) = self.held.replace((connect, due)) {
            self.send(&[older.end(None).into()]);
        }
    }

    /// Events go at once; the connect stays as it is.
    fn tell(&mut self, told: Told) -> Result<(), CloseReason> {
        if let Told::Events(events) = &told {
            self.send(events);
            return Ok(());
        }
        self.line = None;
        if let Some((connect, _)) = self.held.take() {
            let (reply, _) = answer_connect(*connect, Some(told));
            self.send(&[reply.into()]);
        }
        // Another may connect by it, for which there has to be room.
        let pending = self.peer.mount.pend().map_err(|_| CloseReason::GOING_AWAY)?;
        self.alone = Some(Alone { _pending: pending, since: Instant::now() });
        Ok(())
    }

    fn send(&mut self, messages: &[Bytes]) {
        self.connection.send(&array(messages).into());
    }
}

fn read(payload: &Payload) -> Result<Vec<Message>, CloseReason> {
    let Payload::Text(text) = payload else {
        return Err(CloseReason::from_code(1003, "messages are text"));
    };
    message::read(text)
        .map_err(|_| CloseReason::from_code(1007, "not a message of Bayeux, or an array of them"))
}
