//! An answer of many frames: `xhr_streaming`, `eventsource` and `htmlfile`.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use primus_core::BoxError;
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    protocol::frame::{HEARTBEAT, Wrapping},
    receiver::{Next, Receiver},
};

/// The body of a stream: each frame is a piece, and thereby a chunk, of its own.
pub(crate) struct Stream {
    ready: VecDeque<Bytes>,
    /// `None`: there is nothing to follow.
    receiver: Option<Receiver>,
    /// Bytes of frames that may follow before the client has to ask anew.
    left: usize,
    /// The client has been told the end.
    ended: bool,
    heartbeat: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Stream {
    /// A stream that begins with `prelude`, which does not count, and `first`, if it has something to say at once.
    pub(crate) fn new(
        receiver: Receiver,
        (prelude, first): (Bytes, Option<Bytes>),
        limit: usize,
        heartbeat: Duration,
    ) -> Self {
        let left = limit.saturating_sub(first.as_ref().map_or(0, Bytes::len));
        let heartbeat = (!heartbeat.is_zero()).then(|| (heartbeat, Box::pin(sleep(heartbeat))));
        let ready = [prelude].into_iter().chain(first).collect();
        Self { ready, receiver: Some(receiver), left, ended: false, heartbeat }
    }

    /// A stream of one frame.
    pub(crate) fn of(prelude: Bytes, wrapping: &Wrapping, frame: &str) -> Self {
        let ready = VecDeque::from([prelude, wrapping.wrap(frame)]);
        Self { ready, receiver: None, left: 0, ended: false, heartbeat: None }
    }

    fn say(&mut self, frame: Bytes) {
        self.left = self.left.saturating_sub(frame.len());
        if let Some((period, sleep)) = &mut self.heartbeat {
            sleep.as_mut().reset(Instant::now() + *period);
        }
        self.ready.push_back(frame);
    }

    /// Nothing follows.
    fn close(&mut self) {
        let Some(receiver) = self.receiver.take() else { return };
        if self.ended { receiver.finish() } else { receiver.park() }
    }
}

impl Body for Stream {
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
            if this.ended || this.left == 0 {
                // The server has taken all and asks for more: the client has it.
                this.close();
                return Poll::Ready(None);
            }
            let Some(receiver) = &mut this.receiver else { return Poll::Ready(None) };
            match receiver.poll_next(cx) {
                Poll::Ready(Next::Frame(frame)) => this.say(frame),
                Poll::Ready(Next::Last(frame)) => {
                    this.ended = true;
                    this.say(frame);
                }
                Poll::Pending => {
                    let beat = this.heartbeat.as_mut().map(|(_, sleep)| sleep.as_mut().poll(cx));
                    if !beat.is_some_and(|beat| beat.is_ready()) {
                        return Poll::Pending;
                    }
                    let frame = receiver.wrapping.wrap(HEARTBEAT);
                    this.say(frame);
                }
            }
        }
    }
}
