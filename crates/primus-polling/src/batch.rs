//! What one poll answers with: everything at hand.

use std::task::{Context, Poll};

use bytes::Bytes;
use primus_core::{
    Carrier, CloseReason, Payload, Taken, WireForm,
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
    /// The session is over, or another carrier has it.
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
        let requests = carrier.session().extension::<Requests>();
        let pongs = match requests.map(|requests| requests.poll_pongs(cx)) {
            Some(Poll::Ready(pongs)) => pongs,
            _ => Vec::new(),
        };
        let mut messages = Vec::new();
        let Taken { end, gone, .. } =
            match carrier.poll_take(cx, BUDGET, |message| messages.push(message)) {
                Poll::Pending if pongs.is_empty() => return Poll::Pending,
                Poll::Pending => Taken::default(),
                Poll::Ready(taken) => taken,
            };
        let (form, make) = if resumable {
            (RESUMABLE, frame_line as fn(&Payload) -> Bytes)
        } else {
            (PLAIN, plain_line as fn(&Payload) -> Bytes)
        };
        let mut lines: Vec<_> = messages.iter().map(|message| message.frame(form, make)).collect();
        if resumable {
            lines.extend(pongs.iter().map(|number| format!("primus::pong:{number}::\n").into()));
            lines.extend(end.as_ref().map(|reason| line(&end_frame(reason))));
        }
        Poll::Ready(Self { lines, end, gone })
    }
}

/// A control frame as a line.
pub(crate) fn line(frame: &str) -> Bytes {
    format!("{frame}\n").into()
}

fn frame_line(payload: &Payload) -> Bytes {
    line(&encode_line(payload))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

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
            assert_eq!(frame_line(&payload), format!("{}\n", row["line"].as_str().unwrap()));
            let plain = message["text"].as_str().or(message["binary"].as_str()).unwrap();
            assert_eq!(plain_line(&payload), format!("{plain}\n"));
        }
    }
}
