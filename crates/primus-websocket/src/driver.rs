//! The driver: what the one task of a connection does.
//!
//! ```text
//! each turn:  read once into the thread's scratch ─▶ frames ─▶ inbox, pongs
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

use primus_core::{BoxFuture, Carrier, CloseReason, Turn};
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

use self::reading::Held;
use crate::{connection::Connection, dialect::Dialect};

mod reading;

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

#[repr(C)] // so that it begins with what each message needs
pub(crate) struct Driver<D> {
    stage: Stage,
    /// The session has ended, and the connection goes on without it.
    onward: bool,
    /// The peer ended the session, so it need not be told.
    ended: bool,
    /// The peer sent a close frame.
    answered: bool,
    /// The peer broke the protocol: nothing that it sends is read any more.
    broken: bool,
    dialect: D,
    connection: Connection,
    /// What found the inbox full.
    held: Option<Box<Held>>,
    fate: Option<Box<Fate>>,
}

/// What ends it, and why.
enum Fate {
    /// The peer did something wrong in this turn.
    Failed(CloseReason),
    /// The peer went.
    Gone(CloseReason),
    /// Another carrier has the session, or it waits without one; the peer is told this.
    Fenced(CloseReason),
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
            fate: None,
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
        let Self { mut connection, dialect, fate, answered, .. } = self;
        let Some(fate) = fate else {
            drop(carrier); // it was cut
            return None;
        };
        let mut fenced = false;
        match *fate {
            Fate::Gone(_) if told => {
                if answered {
                    carrier.answered();
                }
                carrier.finish();
            }
            Fate::Gone(reason) | Fate::Failed(reason) => carrier.lost(reason),
            Fate::Fenced(reason) => {
                // The session has gone on elsewhere, or waits: this connection alone is over.
                drop(carrier);
                connection.close(&dialect.close_frame(&reason));
                fenced = true;
            }
        }
        drop(dialect);
        let last = async move {
            if fenced {
                let last = poll_fn(|cx| connection.out.poll_write(cx, &mut connection.io));
                let _ = tokio::time::timeout(patience, last).await;
            }
            // The server closes first (RFC 6455 §7.1.1), and says so properly over TLS, which a peer
            // that does not read can hold up.
            let _ = tokio::time::timeout(patience, connection.io.shutdown()).await;
        };
        Some(Box::pin(last))
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
            let mut turn = carrier.begin_turn();
            let read = self.read(cx, &mut turn);
            let waits = self.waits(&turn);
            let ran = self.run(turn, cx);
            if let Some(reason) = self.fault() {
                // Now that what came before the fault has been answered.
                carrier.end(reason);
            }
            let taken = ran
                .and_then(|taken| self.took(taken, carrier))
                .unwrap_or_else(|| self.take(cx, carrier));
            if taken == Taken::Gone {
                return Poll::Ready(());
            }
            if self.is_gone() {
                self.connection.answer_close();
            }
            let written = match self.connection.out.poll_write(cx, &mut self.connection.io) {
                Poll::Ready(Ok(())) => true,
                Poll::Pending => {
                    carrier.blocked();
                    false
                }
                Poll::Ready(Err(_)) => {
                    self.lost();
                    return Poll::Ready(());
                }
            };
            if self.is_gone() {
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
                self.lost();
                false
            }
        }
    }

    /// Whether reading is stopped, and whether something is ready, by decisions that come with what
    /// is to be written.
    fn waits(&self, carrier: &Carrier) -> (bool, bool) {
        (self.dialect.is_full(carrier.session()), self.dialect.has_ready())
    }

    /// Runs the handler, and takes what is to be written, if that is to be taken at once.
    fn run(&mut self, turn: Turn<'_>, cx: &mut Context<'_>) -> Option<Poll<primus_core::Taken>> {
        if self.stage != Stage::Open || self.has_failed() || self.connection.out.len() >= BATCH {
            turn.run();
            return None;
        }
        let Self { connection, dialect, .. } = self;
        let parser = &*turn.session().mount().settings().parser;
        Some(turn.run_and_take(cx, BATCH, |outgoing| {
            dialect.write(outgoing, parser, &mut connection.out);
        }))
    }

    /// Takes what is to be written.
    fn take(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Taken {
        loop {
            if self.stage != Stage::Open {
                // All has been said; only a cut is of interest.
                return if carrier.poll_cut(cx).is_ready() { Taken::Gone } else { Taken::All };
            }
            let Self { connection, dialect, .. } = self;
            if connection.out.len() >= BATCH {
                // The peer may never read on.
                let Poll::Ready(reason) = carrier.poll_cut(cx) else { return Taken::Blocked };
                return self.fenced(reason);
            }
            let parser = &*carrier.session().mount().settings().parser;
            let taken = carrier.poll_take(cx, BATCH, |outgoing| {
                dialect.write(outgoing, parser, &mut connection.out);
            });
            if let Some(taken) = self.took(taken, carrier) {
                return taken;
            }
        }
    }

    /// Messages were taken; says the rest. `None`: there may be more.
    #[inline(always)]
    fn took(&mut self, taken: Poll<primus_core::Taken>, carrier: &mut Carrier) -> Option<Taken> {
        match taken {
            Poll::Ready(taken) if taken.gone.is_some() || taken.end.is_some() || taken.ping => {
                self.told(taken, carrier)
            }
            Poll::Ready(taken) if !taken.drained => None,
            _ => {
                self.dialect.write_ack(carrier, &mut self.connection.out);
                Some(Taken::All)
            }
        }
    }

    /// The same, where something else than messages was found.
    #[inline(never)]
    fn told(&mut self, taken: primus_core::Taken, carrier: &mut Carrier) -> Option<Taken> {
        let Self { connection, dialect, stage, onward, ended, broken, .. } = self;
        if let Some(reason) = taken.gone {
            return Some(self.fenced(*reason));
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
                return Some(Taken::Gone);
            }
            connection.close(&dialect.close_frame(&reason));
            // Also where the session had ended before, and says another reason.
            let failing = *broken || reason.blames_peer();
            *stage = if failing { Stage::Failing } else { Stage::Closing };
        }
        taken.drained.then(|| {
            dialect.write_ack(carrier, &mut connection.out);
            Taken::All
        })
    }

    fn fenced(&mut self, reason: CloseReason) -> Taken {
        if matches!(reason.code(), 4004 | 4006) {
            self.fate = Some(Box::new(Fate::Fenced(reason)));
        }
        Taken::Gone
    }

    /// The peer cannot be reached any more.
    fn lost(&mut self) {
        self.fate.get_or_insert_with(|| Box::new(Fate::Gone(CloseReason::GOING_AWAY)));
    }

    fn is_gone(&self) -> bool {
        matches!(self.fate.as_deref(), Some(Fate::Gone(_)))
    }

    fn has_failed(&self) -> bool {
        matches!(self.fate.as_deref(), Some(Fate::Failed(_)))
    }

    /// What the peer did wrong, once.
    fn fault(&mut self) -> Option<CloseReason> {
        match *self.fate.take_if(|fate| matches!(**fate, Fate::Failed(_)))? {
            Fate::Failed(reason) | Fate::Gone(reason) | Fate::Fenced(reason) => Some(reason),
        }
    }
}
