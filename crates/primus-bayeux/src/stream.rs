//! The events of a client as an event stream.

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
    line::{Line, Told},
    process::end_of_stream,
    transformer::array,
};

/// How often a stream that is told nothing else is told that the server is there.
const BEAT: Duration = Duration::from_secs(10);

/// The body of a stream.
pub(crate) struct Stream {
    ready: VecDeque<Bytes>,
    /// `None`: nothing follows.
    line: Option<Line>,
    client: String,
    beat: Pin<Box<Sleep>>,
}

impl Stream {
    pub(crate) fn new(line: Line, client: String) -> Self {
        let ready = VecDeque::from([Bytes::from_static(b"retry: 5000\r\n\r\n")]);
        Self { ready, line: Some(line), client, beat: Box::pin(sleep(BEAT)) }
    }

    fn say(&mut self, messages: &[Bytes]) {
        self.ready.push_back(format!("data: {}\r\n\r\n", array(messages)).into());
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
                this.beat.as_mut().reset(Instant::now() + BEAT);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(line) = &mut this.line else { return Poll::Ready(None) };
            match line.poll_next(cx) {
                Poll::Ready(Told::Events(events)) => this.say(&events),
                Poll::Ready(Told::End(reason)) => {
                    this.line = None;
                    this.say(&[end_of_stream(&this.client, &reason).into()]);
                }
                Poll::Ready(Told::Elsewhere) => this.line = None,
                Poll::Pending => {
                    std::task::ready!(this.beat.as_mut().poll(cx));
                    this.ready.push_back(Bytes::from_static(b":\r\n\r\n"));
                }
            }
        }
    }
}
