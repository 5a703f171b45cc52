//! What one poll answers with: everything at hand.

use std::task::{Context, Poll};

use bytes::Bytes;
use primus_core::{
    Carrier, CloseReason, Envelope, Outgoing, Parser, Taken, WireForm,
    native::{encode_line, end_frame},
};
use primus_http::post::{Requests, plain_line};

/// Bytes of messages in one answer; the message that passes it is the last.
const BUDGET: usize = 256 << 10;

/// Frames of the resumable dialect, a line each.
const RESUMABLE: WireForm = WireForm("polling.2");
/// Messages alone, a line each.
const PLAIN: WireForm = WireForm("polling");

/// What was at hand.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Lines, each with its end.
    pub(crate) lines: Vec<Bytes>,
    /// The session ends, and the lines have told so where the dialect has a word for it.
    pub(crate) end: Option<CloseReason>,
    /// The session is over, or has gone on without this carrier.
    pub(crate) gone: bool,
}

impl Batch {
    /// The body of the answer. A line alone is not copied: a broadcast shares it.
    pub(crate) fn into_body(self) -> Bytes {
        match &*self.lines {
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }

    /// Takes what there is to say. Pending as long as there is nothing.
    pub(crate) fn poll(carrier: &mut Carrier, resumable: bool, cx: &mut Context<'_>) -> Poll<Self> {
        let mut messages = Vec::new();
        let budget = Self::budget(carrier);
        let mut taken = carrier.poll_take(cx, budget, |message| messages.push(message.clone()));
        let pinged = matches!(taken, Poll::Ready(Taken { ping: true, end: None, gone: None, .. }));
        if pinged && messages.is_empty() {
            // Nothing to say: every poll is a sign of life, and acknowledges.
            taken = carrier.poll_take(cx, budget, |message| messages.push(message.clone()));
        }
        if let Poll::Ready(Taken { gone: Some(reason), .. }) = taken {
            return Poll::Ready(Self::gone(carrier, resumable, *reason));
        }
        let session = carrier.session();
        let requests = session.extension::<Requests>();
        let pongs = match requests.map(|it| it.poll_pongs(carrier.generation(), cx)) {
            Some(Poll::Ready(pongs)) => pongs,
            _ => Vec::new(),
        };
        let Taken { end, .. } = match taken {
            Poll::Pending if pongs.is_empty() => return Poll::Pending,
            Poll::Pending => Taken::default(),
            Poll::Ready(taken) => taken,
        };
        let (form, make) = if resumable {
            (RESUMABLE, frame_line as fn(&Envelope, &dyn Parser) -> Bytes)
        } else {
            (PLAIN, plain_line as fn(&Envelope, &dyn Parser) -> Bytes)
        };
        let parser = &*session.mount().settings().parser;
        let frame = |message: &Outgoing| message.frame(form, |envelope| make(envelope, parser));
        let mut lines: Vec<_> = messages.iter().map(frame).collect();
        if resumable {
            lines.extend(pongs.iter().map(|number| format!("primus::pong:{number}::\n").into()));
            lines.extend(end.as_ref().map(|reason| line(&end_frame(reason, session.recv()))));
        }
        Poll::Ready(Self { lines, end: end.map(|reason| *reason), gone: false })
    }

    /// Where an answer that is lost has to be repeated, it has no more than is kept for that.
    fn budget(carrier: &Carrier) -> usize {
        let session = carrier.session();
        if session.is_resumable() {
            BUDGET.min(session.limits().resume_bytes.max(1))
        } else {
            BUDGET
        }
    }

    /// A client that waits for frames is told of an end: its own, or one that came at once.
    fn gone(carrier: &Carrier, resumable: bool, reason: CloseReason) -> Self {
        let session = carrier.session();
        if !resumable || !session.is_ended() {
            return Self { gone: true, ..Self::default() };
        }
        let lines = vec![line(&end_frame(&reason, session.recv()))];
        Self { lines, end: Some(reason), gone: false }
    }
}

/// A control frame as a line.
pub(crate) fn line(frame: &str) -> Bytes {
    format!("{frame}\n").into()
}

fn frame_line(envelope: &Envelope, _: &dyn Parser) -> Bytes {
    line(&encode_line(envelope))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use primus_core::{Payload, parser};

    use super::*;

    #[test]
    fn lines_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../docs/protocol-vectors.json")).unwrap();
        for row in vectors["line_data"].as_array().unwrap() {
            let message = &row["message"];
            let payload: Payload = match message["text"].as_str() {
                Some(text) => text.into(),
                None => STANDARD.decode(message["binary"].as_str().unwrap()).unwrap().into(),
            };
            let (envelope, json) = (Envelope::from(payload), parser::json());
            assert_eq!(
                frame_line(&envelope, &*json),
                format!("{}\n", row["line"].as_str().unwrap())
            );
            let plain = message["text"].as_str().or(message["binary"].as_str()).unwrap();
            assert_eq!(plain_line(&envelope, &*json), format!("{plain}\n"));
        }
    }
}
