//! The driver: what the one task of a connection does.
//!
//! ```text
//! each turn:  read once into the thread's scratch ─▶ tungstenite ─▶ inbox, pongs
//!             run the handler
//!             take what it (or anyone) wrote ─▶ frames ─▶ one vectored write
//! open ──end──▶ closing: end and close frames written, input read for the peer's close only
//!      ──bad input──▶ failing: the same, then input is thrown away until the peer goes
//! ```

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, BytesMut};
use primus_core::{
    BoxFuture, Carrier, CloseReason, DeliverError, Envelope, Payload, classic::Incoming,
};
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

use crate::{
    connection::{Connection, SCRATCH, Scratch},
    dialect::Dialect,
    frames::Received,
};

/// Bytes taken from the outbox before they are written.
const BATCH: usize = 256 << 10;
/// Bytes that may wait for the socket before we stop reading from it: a peer that sends pings and
/// reads no pongs shall not fill our memory.
const HIGH: usize = 256 << 10;
/// Turns before the task yields to others.
const TURNS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The close frame is queued; the peer's is awaited.
    Closing,
    /// The peer broke the protocol: after our close, input is thrown away until it goes.
    Failing,
    /// The same, and our side is shut.
    Shut,
}

/// How far reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There may be more at once.
    More,
    /// The socket gave less than it was asked for, so there is hardly more.
    Drained,
    /// The socket or the inbox wakes us.
    Waiting,
    /// Too much waits to be written.
    Blocked,
}

/// How far taking from the outbox came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    /// Too much waits to be written.
    Blocked,
    /// The session is over, or another carrier has it.
    Gone,
}

pub(crate) struct Driver<D> {
    connection: Connection,
    dialect: D,
    stage: Stage,
    /// The session has ended, and the connection goes on without it.
    onward: bool,
    /// The peer ended the session, so it need not be told.
    ended: bool,
    /// The peer sent a close frame.
    answered: bool,
    /// The peer broke the protocol: nothing that it sends is read any more.
    broken: bool,
    /// A message that found the inbox full.
    held: Option<Box<Envelope>>,
    /// What the peer did wrong in this turn.
    failed: Option<Box<CloseReason>>,
    /// Why the peer went, once it did.
    gone: Option<Box<CloseReason>>,
    /// Another carrier has the session, or it waits without one; the peer is told this.
    fenced: Option<Box<CloseReason>>,
}

impl<D: Dialect> Driver<D> {
    pub(crate) fn new(connection: Connection, dialect: D) -> Self {
        Self {
            connection,
            dialect,
            stage: Stage::Open,
            onward: false,
            ended: false,
            answered: false,
            broken: false,
            held: None,
            failed: None,
            gone: None,
            fenced: None,
        }
    }

    /// Lets go of the session. What is left to be said to the peer takes the time of a future.
    pub(crate) fn finish(self, carrier: Carrier) -> Option<BoxFuture<'static, ()>> {
        if self.onward {
            carrier.finish();
            return Some(self.dialect.go_on(self.connection));
        }
        let patience = carrier.session().limits().close_timeout;
        let told = self.is_told(carrier.session().is_resumable());
        let Self { mut connection, dialect, gone, fenced, answered, .. } = self;
        let cut = gone.is_none() && fenced.is_none();
        match gone {
            Some(_) if told => {
                if answered {
                    carrier.answered();
                }
                carrier.finish();
            }
            Some(reason) => carrier.lost(*reason),
            None => drop(carrier),
        }
        if let Some(reason) = &fenced {
            // The session has gone on elsewhere, or waits: this connection alone is over.
            connection.close(&dialect.close_frame(reason));
        }
        drop(dialect);
        let last = async move {
            if fenced.is_some() {
                let last = poll_fn(|cx| connection.out.poll_write(cx, &mut connection.io));
                let _ = tokio::time::timeout(patience, last).await;
            }
            // The server closes first (RFC 6455 §7.1.1), and says so properly over TLS, which a peer
            // that does not read can hold up.
            let _ = tokio::time::timeout(patience, connection.io.shutdown()).await;
        };
        (!cut).then(|| Box::pin(last) as _)
    }

    /// Whether the peer, which is gone, knows that the session is over: it answered our close, or
    /// wanted it so. One that may come back for the rest has to have said so.
    fn is_told(&self, resumable: bool) -> bool {
        let written = self.stage != Stage::Open && self.connection.out.is_empty();
        let failed = matches!(self.stage, Stage::Failing | Stage::Shut);
        written && (!resumable || self.answered || self.ended || failed)
    }

    /// Ready when the connection is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Poll<()> {
        if self.onward {
            return Poll::Ready(());
        }
        for _ in 0..TURNS {
            carrier.begin_turn();
            let read = self.read(cx, carrier);
            carrier.run();
            if let Some(reason) = self.failed.take() {
                // Now that what came before the fault has been answered.
                carrier.end(*reason);
            }
            let waits = self.waits(carrier);
            let taken = self.take(cx, carrier);
            if taken == Taken::Gone {
                return Poll::Ready(());
            }
            if self.gone.is_some() {
                self.connection.answer_close();
            }
            let written = match self.connection.out.poll_write(cx, &mut self.connection.io) {
                Poll::Ready(Ok(())) => true,
                Poll::Pending => {
                    carrier.blocked();
                    false
                }
                Poll::Ready(Err(_)) => {
                    self.gone.get_or_insert_with(|| Box::new(CloseReason::GOING_AWAY));
                    return Poll::Ready(());
                }
            };
            if self.gone.is_some() {
                return Poll::Ready(());
            }
            if written
                && self.stage == Stage::Failing
                && Pin::new(&mut self.connection.io).poll_shutdown(cx).is_ready()
            {
                self.stage = Stage::Shut;
            }
            // Whatever stopped has left its waker with the socket or the session, except what
            // stopped because bytes were waiting for a socket that has taken them meanwhile.
            let again = read == Progress::More
                || waits != self.waits(carrier)
                || written && (read == Progress::Blocked || taken == Taken::Blocked);
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what waits, for others than the task. False: the task has to go on with it.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> bool {
        if self.stage != Stage::Open || self.onward || !self.connection.out.is_empty() {
            return true; // the task waits for the socket, and takes what there is when that has room
        }
        let waits = self.waits(carrier);
        let taken = self.take(cx, carrier);
        match self.connection.out.poll_write(cx, &mut self.connection.io) {
            Poll::Ready(Ok(())) => {
                taken == Taken::All && self.stage == Stage::Open && waits == self.waits(carrier)
            }
            Poll::Pending => {
                carrier.blocked();
                taken != Taken::Gone
            }
            Poll::Ready(Err(_)) => {
                self.gone.get_or_insert_with(|| Box::new(CloseReason::GOING_AWAY));
                false
            }
        }
    }

    /// Whether reading is stopped, and whether something is ready, by decisions that come with what
    /// is to be written.
    fn waits(&self, carrier: &Carrier) -> (bool, bool) {
        (self.dialect.is_full(carrier.session()), self.dialect.has_ready())
    }

    /// Takes what is to be written.
    fn take(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Taken {
        loop {
            let Self { connection, dialect, stage, onward, ended, broken, .. } = self;
            if *stage != Stage::Open {
                // All has been said; only a cut is of interest.
                return if carrier.poll_cut(cx).is_ready() { Taken::Gone } else { Taken::All };
            }
            if connection.out.len() >= BATCH {
                // The peer may never read on.
                let Poll::Ready(reason) = carrier.poll_cut(cx) else { return Taken::Blocked };
                return self.fenced(reason);
            }
            let parser = &*carrier.session().mount().settings().parser;
            let taken = carrier.poll_take(cx, BATCH, |outgoing| {
                dialect.write(outgoing, parser, &mut connection.out);
            });
            let Poll::Ready(taken) = taken else {
                dialect.write_ack(carrier, &mut connection.out);
                return Taken::All;
            };
            if let Some(reason) = taken.gone {
                return self.fenced(reason);
            }
            if taken.ping {
                dialect.write_ping(carrier, &mut connection.out);
            }
            if let Some(reason) = taken.end {
                if !*ended {
                    dialect.write_end(&reason, carrier, &mut connection.out);
                }
                if !*broken && dialect.stays(&reason) {
                    *onward = true;
                    return Taken::Gone;
                }
                connection.close(&dialect.close_frame(&reason));
                // Also where the session had ended before, and says another reason.
                let failing = *broken || reason.blames_peer();
                *stage = if failing { Stage::Failing } else { Stage::Closing };
            }
        }
    }

    fn fenced(&mut self, reason: CloseReason) -> Taken {
        self.fenced = matches!(reason.code(), 4004 | 4006).then(|| Box::new(reason));
        Taken::Gone
    }

    /// Reads what there is and handles every complete frame of it.
    fn read(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Progress {
        match self.read_once(cx, carrier) {
            // A socket wakes us for more once it has said that there is nothing: a turn only to hear
            // that would cost as much as the message.
            Progress::Drained => match self.read_once(cx, carrier) {
                Progress::Drained => Progress::More,
                progress => progress,
            },
            progress => progress,
        }
    }

    fn read_once(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Progress {
        if self.gone.is_some() {
            return Progress::Waiting;
        }
        if self.connection.out.len() >= HIGH {
            return Progress::Blocked;
        }
        if self.broken || matches!(self.stage, Stage::Failing | Stage::Shut) {
            return match self.connection.poll_discard(cx) {
                Poll::Pending => Progress::Waiting,
                Poll::Ready(Ok(true)) => Progress::More,
                Poll::Ready(_) => self.lost(),
            };
        }
        let held = self.held.take();
        if !held.is_none_or(|held| self.deliver(*held, carrier, cx))
            || !self.deliver_ready(carrier, cx)
        {
            return Progress::Waiting;
        }
        if self.dialect.is_full(carrier.session()) {
            // It is us who do not read.
            carrier.session().seen();
            return Progress::Waiting;
        }
        let mut backlog = self.connection.take_back();
        let mut scratch = Scratch::take();
        let mut input = &mut backlog[..];
        let mut all = Progress::More;
        let fresh = input.is_empty();
        if fresh {
            input = match self.connection.poll_read(cx, &mut scratch) {
                Poll::Pending => return Progress::Waiting,
                Poll::Ready(Ok(read)) if !read.is_empty() => read,
                Poll::Ready(_) => return self.lost(),
            };
            carrier.session().seen();
            if input.len() < SCRATCH {
                all = Progress::Drained;
            }
        }
        let progress = loop {
            match self.connection.frames.next(&mut input, &mut self.connection.out) {
                Ok(None) => return all,
                Err(reason) => return self.fail(reason),
                Ok(Some(received)) => {
                    let on = self.handle(received, carrier, cx) && self.deliver_ready(carrier, cx);
                    if !on || self.gone.is_some() {
                        break Progress::Waiting;
                    }
                    if self.failed.is_some() {
                        return Progress::More;
                    }
                    if self.connection.out.len() >= HIGH {
                        break Progress::Blocked;
                    }
                    if self.dialect.is_full(carrier.session()) {
                        break Progress::Waiting;
                    }
                }
            }
        };
        if fresh {
            backlog = BytesMut::from(&*input);
        } else {
            let left = input.len();
            backlog.advance(backlog.len() - left);
        }
        self.connection.put_back(backlog);
        progress
    }

    fn lost(&mut self) -> Progress {
        self.gone = Some(Box::new(CloseReason::GOING_AWAY));
        Progress::Waiting
    }

    /// The peer broke the protocol.
    fn fail(&mut self, reason: CloseReason) -> Progress {
        self.failed = Some(Box::new(reason));
        self.broken = true;
        if self.stage == Stage::Closing {
            self.stage = Stage::Failing;
        }
        Progress::More
    }

    /// Handles one message. False: wait before the next.
    fn handle(&mut self, received: Received, carrier: &mut Carrier, cx: &mut Context<'_>) -> bool {
        let message = match received {
            Received::Text(text) => Payload::Text(text),
            Received::Binary(bytes) => Payload::Binary(bytes),
            Received::Pong => {
                carrier.session().ponged();
                return true;
            }
            Received::Close(reason) => {
                self.answered = true;
                let unusual = reason.filter(|reason| reason.code() != 1000);
                self.gone = Some(Box::new(unusual.unwrap_or(CloseReason::NORMAL)));
                return true;
            }
        };
        match self.dialect.read(message, carrier) {
            Ok(Incoming::Message(message)) => return self.deliver(message, carrier, cx),
            Ok(Incoming::Answer(answer)) => self.answer(&answer),
            Ok(Incoming::Answers(answers)) => answers.iter().for_each(|it| self.answer(it)),
            Ok(Incoming::End) => {
                self.ended = true;
                carrier.end(CloseReason::NORMAL);
                // What follows is not for this session.
                return !self.dialect.stays(&CloseReason::NORMAL);
            }
            Ok(Incoming::Nothing) => {}
            Err(reason) => self.failed = Some(Box::new(reason)),
        }
        true
    }

    fn answer(&mut self, answer: &Payload) {
        // Nothing follows a close.
        if self.stage == Stage::Open {
            self.connection.out.push_message(answer);
        }
    }

    /// Hands over what the dialect has read before. False: something is held.
    fn deliver_ready(&mut self, carrier: &mut Carrier, cx: &mut Context<'_>) -> bool {
        while let Some(ready) = self.dialect.pop_ready() {
            if !self.deliver(ready, carrier, cx) {
                return false;
            }
        }
        true
    }

    /// Hands a message to the session, or holds it until there is room. False: it is held.
    fn deliver(&mut self, message: Envelope, carrier: &mut Carrier, cx: &mut Context<'_>) -> bool {
        match carrier.deliver(message) {
            Ok(()) => true,
            Err(DeliverError::Full(message)) => {
                self.held = Some(Box::new(message));
                // Room may have come up just now: then wake for another turn.
                if carrier.session().poll_room(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                false
            }
            // It is over, or goes on elsewhere, which taking tells.
            Err(_) => true,
        }
    }
}
