//! The back channel: an answer of many chunks, or of one.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use primus_core::{BoxError, Carrier, Secret};
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    graves::Graves,
    link::{BUDGET, Link, Next},
    protocol::chunk::{Form, list},
};

/// What a back channel is asked for, and how it was set.
pub(crate) struct Terms {
    pub(crate) form: Form,
    /// It ends behind the first chunk.
    pub(crate) once: bool,
    pub(crate) keep_alive: Duration,
    pub(crate) timeout: Duration,
    pub(crate) sid: Secret,
    pub(crate) graves: Arc<Graves>,
}

/// The body of the answer. Dropped before its end, it leaves the session without a carrier: it waits for its client.
pub(crate) struct BackChannel {
    terms: Terms,
    /// `None`: nothing follows.
    carrier: Option<Carrier>,
    ready: Option<Bytes>,
    /// Bytes of chunks so far: browsers keep all of an answer in memory.
    sent: usize,
    /// No chunk follows.
    last: bool,
    beat: Option<Pin<Box<Sleep>>>,
}

impl BackChannel {
    pub(crate) fn new(carrier: Carrier, terms: Terms, domain: Option<&str>) -> Self {
        if let Some(link) = Link::of(carrier.session()) {
            link.begin(&carrier);
        }
        let begin = terms.form.begin(domain);
        let beat = (!terms.keep_alive.is_zero()).then(|| Box::pin(sleep(terms.keep_alive)));
        let ready = Some(begin).filter(|begin| !begin.is_empty());
        Self { terms, carrier: Some(carrier), ready, sent: 0, last: false, beat }
    }

    fn say(&mut self, first: u64, values: &[Bytes]) -> Bytes {
        let text = list(first, values.iter().map(|value| &**value));
        let chunk = self.terms.form.message(&text, self.sent == 0);
        self.sent += chunk.len();
        if let Some(beat) = &mut self.beat {
            beat.as_mut().reset(Instant::now() + self.terms.keep_alive);
        }
        chunk
    }

    /// The server has taken all there is.
    fn close(&mut self) {
        let Some(carrier) = self.carrier.take() else { return };
        let session = Arc::clone(carrier.session());
        let Some(link) = Link::of(&session) else { return };
        link.closed(carrier.generation());
        if link.has_ended() {
            // What the network has, its client may not have.
            self.terms.graves.bury(self.terms.sid, link.rest());
            carrier.finish();
        } else {
            carrier.park(self.terms.timeout);
        }
    }
}

impl Drop for BackChannel {
    fn drop(&mut self) {
        if let Some(carrier) = &self.carrier
            && let Some(link) = Link::of(carrier.session())
        {
            link.closed(carrier.generation());
        }
    }
}

impl Body for BackChannel {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.take() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.last {
                let had = this.carrier.is_some();
                this.close();
                this.ready = Some(this.terms.form.end()).filter(|end| had && !end.is_empty());
                if this.ready.is_some() {
                    continue;
                }
                return Poll::Ready(None);
            }
            let Some(carrier) = &mut this.carrier else { return Poll::Ready(None) };
            let session = Arc::clone(carrier.session());
            let Some(link) = Link::of(&session) else { return Poll::Ready(None) };
            match link.poll_next(carrier, cx) {
                Poll::Ready(Next::Arrays(first, values)) => {
                    this.ready = Some(this.say(first, &values));
                    this.last = this.terms.once
                        || this.sent > BUDGET
                        || link.has_ended()
                        || link.wants_ack(&session);
                }
                Poll::Ready(Next::Gone) => {
                    // It is nobody's any more, so it is neither parked nor finished.
                    this.carrier = None;
                    this.last = true;
                    this.ready = Some(this.terms.form.end()).filter(|end| !end.is_empty());
                }
                Poll::Pending if link.has_ended() => this.last = true,
                Poll::Pending => {
                    let Some(beat) = &mut this.beat else { return Poll::Pending };
                    std::task::ready!(beat.as_mut().poll(cx));
                    let generation = carrier.generation();
                    match link.noop(generation) {
                        Some((id, noop)) => {
                            this.ready = Some(this.say(id, &[noop]));
                            this.last = this.terms.once || link.wants_ack(&session);
                        }
                        None => return Poll::Pending,
                    }
                }
            }
        }
    }
}
