//! What carries a session for the time of a connect, of a stream, or of a WebSocket.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use primus_core::{Carriage, Carrier, CloseReason, Session};

use crate::events::event;

/// Bytes of messages in one answer; the message that passes it is the last.
const BUDGET: usize = 128 << 10;

/// A carrier. Dropped, it leaves the session to the client's next connect.
pub(crate) struct Line {
    carrier: Option<Carrier>,
    patience: Duration,
}

/// What there is to tell.
#[derive(Debug)]
pub(crate) enum Told {
    Events(Vec<Bytes>),
    /// The session is over, and nothing follows.
    End(CloseReason),
    /// The client has connected by another way.
    Elsewhere,
}

impl Line {
    /// Takes the session over from whatever carries it: the last connect counts.
    pub(crate) fn attach(session: &Arc<Session>, patience: Duration) -> Self {
        Self { carrier: Some(session.attach(Carriage::SILENT)), patience }
    }

    pub(crate) fn is_of(&self, session: &Arc<Session>) -> bool {
        self.carrier.as_ref().is_some_and(|carrier| {
            Arc::ptr_eq(carrier.session(), session) && carrier.generation() == session.generation()
        })
    }

    /// Waits for something to tell. Nothing is lost when this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Told {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits until the session is cut, or its client has connected by another way. Takes nothing.
    pub(crate) async fn cut(&mut self) {
        poll_fn(|cx| match &mut self.carrier {
            Some(carrier) => carrier.poll_cut(cx).map(drop),
            None => Poll::Ready(()),
        })
        .await;
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Told> {
        let Some(carrier) = &mut self.carrier else { return Poll::Ready(Told::Elsewhere) };
        loop {
            let mut messages = Vec::new();
            let taken = carrier.poll_take(cx, BUDGET, |message| messages.push(message.clone()));
            let taken = std::task::ready!(taken);
            let session = Arc::clone(carrier.session());
            if taken.gone.is_some() {
                let ended = session.is_ended();
                let reason = session.close_reason().filter(|_| ended);
                return Poll::Ready(reason.map_or(Told::Elsewhere, Told::End));
            }
            let parser = &*session.mount().settings().parser;
            let events: Vec<_> = messages
                .iter()
                .map(|message| event(message, parser))
                .filter(|event| !event.is_empty())
                .collect();
            if !events.is_empty() {
                return Poll::Ready(Told::Events(events)); // an end is told by the next
            }
            if let Some(reason) = taken.end {
                if let Some(carrier) = self.carrier.take() {
                    carrier.finish();
                }
                return Poll::Ready(Told::End(*reason));
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            carrier.park(self.patience);
        }
    }
}
