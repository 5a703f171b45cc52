//! A carrier for the time of one request.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;
use http_body_util::BodyExt as _;
use primus_core::{Carrier, Response, request::text};

use crate::{batch::Batch, farewell::Farewell};

/// How long a bare client may take between two requests, at least, beyond the heartbeat's timeout.
const TYPING: Duration = Duration::from_secs(30);

/// Holds the carrier of a session. However the request ends, the session is parked: what the
/// client has not got it asks for again.
pub(crate) struct Held {
    carrier: Option<Carrier>,
    resumable: bool,
}

impl Held {
    pub(crate) fn new(carrier: Carrier, resumable: bool) -> Self {
        Self { carrier: Some(carrier), resumable }
    }

    /// Goes back to what is behind `recv`. False: that cannot be had.
    pub(crate) fn rewind(&mut self, recv: u64) -> bool {
        self.carrier.as_mut().is_none_or(|carrier| carrier.rewind(recv))
    }

    /// What there is to say.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Batch> {
        match &mut self.carrier {
            Some(carrier) => Batch::poll(carrier, self.resumable, cx),
            None => Poll::Ready(Batch { gone: true, ..Batch::default() }),
        }
    }

    /// The answer to the request. The end takes the carrier with it.
    pub(crate) fn answer(self, batch: Batch) -> Response {
        let end = batch.end.is_some();
        let response = text(StatusCode::OK, batch.into_body());
        if end { self.say(response) } else { response }
    }

    /// Makes `response` the last one: the session is over once it has been taken.
    pub(crate) fn say(self, response: Response) -> Response {
        response.map(|body| Farewell::new(body, self).boxed_unsync())
    }

    /// The client has been told the end.
    pub(crate) fn finish(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            carrier.finish();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            let (interval, timeout) = carrier.session().mount().heartbeat();
            // Our client comes back at once. Who types curl commands is given more time.
            let interval = if self.resumable { Duration::ZERO } else { interval.max(TYPING) };
            let session = Arc::clone(carrier.session());
            carrier.park((interval + timeout).max(Duration::from_millis(100)));
            session.run(); // what woke the handler meanwhile, if this was to drive it
        }
    }
}
