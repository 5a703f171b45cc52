//! The body of an event stream: it polls the carrier, and is polled by the HTTP server.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use primus_core::{BoxError, Carrier, CloseReason, Outgoing, Taken, native::end_frame};
use primus_http::post::Requests;

use crate::event;

/// Bytes of messages that leave together.
const BUDGET: usize = 64 << 10;
/// Pieces from this size on leave uncopied; smaller ones are joined.
const LARGE: usize = 16 << 10;

/// How events of one stream look.
pub(crate) enum Dialect {
    /// Frames, control frames among them.
    Resumable,
    /// Messages, numbered behind the session's token; `next` is the number of the next one.
    Plain { token: String, next: u64 },
}

/// An open event stream. Dropped before its end it detaches the session.
pub(crate) struct Events {
    carrier: Option<Carrier>,
    dialect: Dialect,
    ready: VecDeque<Bytes>,
    /// The client was told the end; nothing follows.
    ended: bool,
}

impl Events {
    /// A stream that begins with `first`.
    pub(crate) fn new(carrier: Carrier, dialect: Dialect, first: Bytes) -> Self {
        Self { carrier: Some(carrier), dialect, ready: VecDeque::from([first]), ended: false }
    }

    /// Takes what there is to say, or waits for it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let Some(carrier) = &mut self.carrier else {
            return Poll::Ready(Err(Gone.into()));
        };
        let mut messages = Vec::new();
        let taken = carrier.poll_take(cx, BUDGET, |message| messages.push(message.clone()));
        if let Poll::Ready(Taken { gone: Some(reason), .. }) = &taken {
            return self.gone(reason).map_or(Poll::Ready(Err(Gone.into())), |last| {
                self.ready.push_back(last);
                Poll::Ready(Ok(()))
            });
        }
        let requests = carrier.session().extension::<Requests>();
        let pongs = match requests.map(|it| it.poll_pongs(carrier.generation(), cx)) {
            Some(Poll::Ready(pongs)) => pongs,
            _ => Vec::new(),
        };
        let taken = match taken {
            Poll::Pending if pongs.is_empty() => return Poll::Pending,
            Poll::Pending => Taken::default(),
            Poll::Ready(taken) => taken,
        };
        let clock = carrier.session().mount().clock();
        let recv = carrier.session().recv();
        let mut pieces = Vec::with_capacity(messages.len());
        for message in &messages {
            self.dialect.message(message, &mut pieces);
        }
        let end = taken.end.map(|reason| end_frame(&reason, recv));
        self.ended = end.is_some();
        self.dialect.control(&pongs, taken.ping.then_some(clock), end, &mut pieces);
        self.ready = join(&pieces);
        Poll::Ready(Ok(()))
    }

    /// The session is over, or has gone on without this stream. What a client that waits for
    /// frames is told of an end: its own, or one that came at once.
    fn gone(&mut self, reason: &CloseReason) -> Option<Bytes> {
        let carrier = self.carrier.take()?;
        let session = carrier.session();
        let told = matches!(self.dialect, Dialect::Resumable) && session.is_ended();
        self.ended = told;
        told.then(|| event::line(&end_frame(reason, session.recv())))
    }
}

impl Dialect {
    fn message(&mut self, message: &Outgoing, pieces: &mut Vec<Bytes>) {
        match self {
            Self::Resumable => pieces.push(message.frame(event::RESUMABLE, event::resumable)),
            Self::Plain { token, next } => {
                pieces.push(format!("id: {token}.{next}\n").into());
                pieces.push(message.frame(event::PLAIN, event::plain));
                *next += 1;
            }
        }
    }

    fn control(
        &self,
        pongs: &[u64],
        ping: Option<u64>,
        end: Option<String>,
        pieces: &mut Vec<Bytes>,
    ) {
        if matches!(self, Self::Plain { .. }) {
            pieces.extend(ping.map(|_| event::COMMENT));
            return;
        }
        let pongs = pongs.iter().map(|number| format!("primus::pong:{number}::"));
        let ping = ping.map(|number| format!("primus::ping:{number}::"));
        let frames = pongs.chain(ping).chain(end);
        pieces.extend(frames.map(|frame| event::line(&frame)));
    }
}

/// Joins neighbouring small pieces, so that what was written together leaves together. A piece
/// alone and a large one are not copied: a broadcast's bytes are shared with all its receivers.
fn join(pieces: &[Bytes]) -> VecDeque<Bytes> {
    pieces
        .chunk_by(|left, right| left.len() < LARGE && right.len() < LARGE)
        .map(|run| match run {
            [one] => one.clone(),
            many => many.concat().into(),
        })
        .collect()
}

impl Body for Events {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                if this.ready.is_empty() {
                    this.ready = VecDeque::new(); // an idle stream holds no heap
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.ended {
                // The server has taken the end and asks for more: the client has been told.
                if let Some(carrier) = this.carrier.take() {
                    carrier.finish();
                }
                return Poll::Ready(None);
            }
            if let Err(gone) = ready!(this.poll_fill(cx)) {
                return Poll::Ready(Some(Err(gone)));
            }
        }
    }
}

/// The session was cut or goes on elsewhere; the connection is dropped without a word.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the session has no use for this stream any more")
    }
}

impl std::error::Error for Gone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_joined_and_large_ones_are_not_copied() {
        let small = Bytes::from_static(b"ab");
        let large = Bytes::from(vec![0; LARGE]);
        let joined = join(&[small.clone(), small.clone(), large.clone(), small.clone()]);
        assert_eq!(joined, ["abab".into(), large.clone(), small.clone()]);
        assert_eq!(joined[1].as_ptr(), large.as_ptr());
        assert_eq!(join(std::slice::from_ref(&small))[0].as_ptr(), small.as_ptr());
    }
}
