//! The last answer of a session: the session is over once the client has been handed it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use primus_core::BoxError;

use crate::held::Held;

/// A body that holds the carrier until the HTTP server has taken all of it. Dropped before that,
/// the client was not told: the session is parked, and the next poll is.
pub(crate) struct Farewell {
    body: primus_core::Body,
    held: Held,
}

impl Farewell {
    pub(crate) fn new(body: primus_core::Body, held: Held) -> Self {
        Self { body, held }
    }
}

impl Body for Farewell {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // A body of known length is dropped as soon as its last byte was taken, unasked for more.
        if self.body.is_end_stream() {
            self.held.finish();
        }
    }
}
