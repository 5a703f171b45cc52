//! Who speaks with a client, and for which session: what goes from request to request, and to the socket.

use std::collections::VecDeque;

use primus_core::{Carrier, CloseReason, DeliverError, Envelope, Payload, Pending};
use tokio::time::Instant;

use crate::language::{Greeting, Opened, Speaker};

/// Who speaks with the client, and for which session. The requests have it in turn, then the socket.
pub(crate) struct Talk {
    pub(crate) speaker: Box<dyn Speaker>,
    pub(crate) carrier: Option<Carrier>,
    /// What the client said and the session has not taken yet.
    pub(crate) held: VecDeque<Envelope>,
    /// Until there is a session.
    pub(crate) waits: Option<Waits>,
}

/// The time without a session.
pub(crate) struct Waits {
    pub(crate) until: Option<Instant>,
    pub(crate) _pending: Option<Pending>,
}

impl Talk {
    pub(crate) fn new(greeting: Greeting) -> (Self, Vec<Payload>) {
        let Greeting { speaker, opened, pending, patience, .. } = greeting;
        let until = patience.map(|patience| Instant::now() + patience);
        let waits = opened.carrier.is_none().then_some(Waits { until, _pending: pending });
        let mut talk = Self { speaker, carrier: None, held: VecDeque::new(), waits };
        let say = talk.opened(opened);
        (talk, say)
    }

    /// There is no session any more, and there may be another one.
    pub(crate) fn stay(&mut self) {
        let until = self.speaker.patience().map(|patience| Instant::now() + patience);
        self.waits = Some(Waits { until, _pending: None });
    }

    /// There is a session, or there is none. Returns what the client is to be told first.
    pub(crate) fn opened(&mut self, opened: Opened) -> Vec<Payload> {
        if opened.carrier.is_some() {
            self.waits = None;
            self.carrier = opened.carrier;
        }
        self.held.extend(opened.deliver);
        opened.say
    }

    /// Hands over what is held, as far as there is room.
    pub(crate) fn deliver_held(&mut self) {
        let Some(carrier) = &mut self.carrier else { return self.held.clear() };
        while let Some(envelope) = self.held.pop_front().or_else(|| self.speaker.pop_ready()) {
            if let Err(DeliverError::Full(envelope)) = carrier.deliver(envelope) {
                return self.held.push_front(envelope);
            }
        }
    }

    /// The connection is over.
    pub(crate) fn close(self, reason: CloseReason) {
        let Some(carrier) = self.carrier else { return };
        if reason == CloseReason::NORMAL {
            // The stock client says so even where it has lost its connection and comes back: only the language
            // knows that a session is over which could go on.
            if carrier.session().is_resumable() {
                return carrier.lost(CloseReason::GOING_AWAY);
            }
            carrier.end(reason);
            return carrier.finish();
        }
        if reason.blames_peer() {
            carrier.end(reason.clone());
        }
        carrier.lost(reason);
    }
}

/// It has said the wrong one of ping and pong for its version.
pub(crate) fn wrong_heartbeat() -> CloseReason {
    CloseReason::BAD_CONTROL.with_text("this version has its pings and pongs the other way round")
}

/// It has one, and wants another.
pub(crate) fn one_session() -> CloseReason {
    CloseReason::BAD_CONTROL.with_text("there is a session already")
}

/// It has not opened a session.
pub(crate) fn too_late() -> CloseReason {
    CloseReason::from_code(4408, "no session was opened in time")
}
