//! What a connection waits for: an answer that takes its time, or the rest of a stream.
//!
//! hyper polls it, as a service's future and as an answer's body, and keeps 20 KiB of buffers
//! meanwhile. So it has it only on loan. A connection of ours that has nothing else to do takes it
//! back and lets hyper go (`serve.rs`); what hyper had is then a husk that is dropped with it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use primus_core::{Body, BoxError, BoxFuture, Response, request::has_token};

/// One for each connection, and an extension of its requests: who finds it there may lend by it.
#[derive(Clone, Default)]
pub(crate) struct Awaited(Arc<Shared>);

#[derive(Default)]
struct Shared {
    held: Mutex<Option<Held>>,
    /// The last look at what is held brought nothing.
    idle: AtomicBool,
    /// Requests that have come, and up to which of them they have been read to their ends.
    come: AtomicU64,
    read: AtomicU64,
    /// The connection has not taken yet what was written to it.
    blocked: AtomicBool,
}

/// What is awaited.
pub(crate) struct Held {
    pub(crate) what: What,
    pub(crate) asked: Asked,
}

pub(crate) enum What {
    Answer(BoxFuture<'static, Response>),
    /// Of an answer whose head has been written.
    Stream(Body),
}

/// What a request said of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    version: Version,
    keep_alive: bool,
}

impl Asked {
    pub(crate) fn of(version: Version, headers: &HeaderMap) -> Self {
        let keep_alive = match version {
            Version::HTTP_11 => !has_token(headers, header::CONNECTION, "close"),
            _ => has_token(headers, header::CONNECTION, "keep-alive"),
        };
        // It may have had a length beside its chunks, which hyper drops: such a connection has to be closed
        // (RFC 9112 §6.3).
        let keep_alive = keep_alive && !headers.contains_key(header::TRANSFER_ENCODING);
        Self { version, keep_alive }
    }

    /// A request that is answered in the same way.
    pub(crate) fn again(self, keep_alive: bool) -> String {
        let minor = u8::from(self.version == Version::HTTP_11);
        let keep = if self.keep_alive && keep_alive { "keep-alive" } else { "close" };
        format!("GET / HTTP/1.{minor}\r\nConnection: {keep}\r\n\r\n")
    }

    /// Whether a body of unknown length comes in chunks.
    pub(crate) fn is_chunked(self) -> bool {
        self.version == Version::HTTP_11
    }

    /// Whether another request may follow on such a body.
    pub(crate) fn goes_on(self) -> bool {
        self.keep_alive && self.is_chunked()
    }
}

impl Awaited {
    /// The connection's task: takes what is awaited, if there is nothing else to do.
    pub(crate) fn take(&self) -> Option<Held> {
        let get = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let read = self.0.read.load(Ordering::Relaxed) == self.0.come.load(Ordering::Relaxed);
        let only = read && get(&self.0.idle) && !get(&self.0.blocked);
        if only { self.held().take() } else { None }
    }

    /// The connection took what was written, or did not.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.0.blocked.store(blocked, Ordering::Relaxed);
    }

    /// The body of a request that is to be read to its end first.
    pub(crate) fn after(&self, body: Body) -> Body {
        let number = self.0.come.fetch_add(1, Ordering::Relaxed) + 1;
        if body.is_end_stream() {
            self.read_up_to(number);
            return body;
        }
        Upload { body, awaited: self.clone(), number }.boxed_unsync()
    }

    fn read_up_to(&self, number: u64) {
        self.0.read.fetch_max(number, Ordering::Relaxed);
    }

    /// Lends an answer.
    pub(crate) async fn answer(
        self,
        asked: Asked,
        answer: BoxFuture<'static, Response>,
    ) -> Response {
        let loan = Loan::of(self, What::Answer(answer), asked);
        let answer = poll_fn(|cx| {
            loan.0.poll(|what| match what {
                What::Answer(answer) => answer.as_mut().poll(cx),
                What::Stream(_) => Poll::Pending,
            })
        });
        let response = answer.await;
        let awaited = loan.0.clone();
        drop(loan); // before the next one
        awaited.stream(asked, response)
    }

    /// Lends the body of an answer that is a stream.
    pub(crate) fn stream(self, mut asked: Asked, mut response: Response) -> Response {
        let headers = response.headers();
        asked.keep_alive &= !has_token(headers, header::CONNECTION, "close");
        let framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        if response.body().size_hint().exact().is_some()
            || framed.iter().any(|name| headers.contains_key(name))
        {
            return response;
        }
        if !asked.keep_alive {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response.map(|body| Loan::of(self, What::Stream(body), asked).boxed_unsync())
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what is held. It is out of its place meanwhile.
    fn poll<T>(&self, look: impl FnOnce(&mut What) -> Poll<T>) -> Poll<T> {
        let Some(mut held) = self.held().take() else { return Poll::Pending };
        let found = look(&mut held.what);
        self.0.idle.store(found.is_pending(), Ordering::Relaxed);
        *self.held() = Some(held);
        found
    }
}

/// What hyper has of it. Dropped, nothing is awaited any more.
struct Loan(Awaited);

impl Loan {
    fn of(awaited: Awaited, what: What, asked: Asked) -> Self {
        awaited.0.idle.store(false, Ordering::Relaxed);
        *awaited.held() = Some(Held { what, asked });
        Self(awaited)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let held = self.0.held().take();
        drop(held);
    }
}

impl http_body::Body for Loan {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll(|what| match what {
            What::Stream(body) => Pin::new(body).poll_frame(cx),
            What::Answer(_) => Poll::Pending,
        })
    }
}

/// The body of a request, which tells when it has been read.
struct Upload {
    body: Body,
    awaited: Awaited,
    /// Which of the connection's. It may be read when the next has begun.
    number: u64,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.awaited.read_up_to(self.number);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn body() -> Body {
        Full::new(Bytes::from_static(b"x")).map_err(Into::into).boxed_unsync()
    }

    #[tokio::test]
    async fn a_body_that_is_read_late_says_nothing_of_the_next() {
        let awaited = Awaited::default();
        let is_taken = |awaited: &Awaited| {
            let loan = Loan::of(awaited.clone(), What::Stream(body()), ASKED);
            awaited.0.idle.store(true, Ordering::Relaxed);
            let taken = awaited.take().is_some();
            drop(loan);
            taken
        };
        const ASKED: Asked = Asked { version: Version::HTTP_11, keep_alive: true };
        let first = awaited.after(body());
        let second = awaited.after(body());
        assert!(!is_taken(&awaited));
        first.collect().await.unwrap();
        assert!(!is_taken(&awaited), "the second has not been read");
        second.collect().await.unwrap();
        assert!(is_taken(&awaited));
        let third = awaited.after(body());
        assert!(!is_taken(&awaited));
        drop(third);
        assert!(!is_taken(&awaited), "it will never be read");
    }
}
