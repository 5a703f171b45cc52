//! What has no session: the test of the way to us, and the script of the client.

use std::{
    future::Future as _,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use primus_core::{
    BoxError, Head, Response,
    request::{empty, full, status, text},
};
use tokio::time::{Sleep, sleep};

use crate::{
    headers::{answer, bad, standard},
    options::BrowserChannelOptions,
    protocol::{
        chunk::Form,
        json::quote,
        query::{self, Test, domain},
    },
};

/// One of the prefixes that there are.
pub(crate) fn host_prefix(options: &BrowserChannelOptions) -> Option<String> {
    let prefixes = &options.host_prefixes;
    let number = usize::try_from(getrandom::u32().unwrap_or_default()).unwrap_or_default();
    prefixes.get(number.checked_rem(prefixes.len())?).cloned()
}

/// Answers the test.
pub(crate) fn test(head: &Head, options: &BrowserChannelOptions) -> Response {
    let asked = head.query();
    let form = query::form(&asked);
    match query::test(&asked).and_then(|test| Ok((test, domain(&asked)?))) {
        Err(error) => bad(head, error),
        Ok((Test::Hosts, _)) => {
            let prefix = host_prefix(options).map_or("null".to_owned(), |prefix| quote(&prefix));
            let mut response = answer(Form::Xhr, full(format!("[{prefix},null]")));
            let accept =
                HeaderValue::from_static("application/json; application/x-www-form-urlencoded");
            response.headers_mut().insert("x-accept", accept);
            response
        }
        Ok((Test::Buffering, domain)) => {
            let begin = [form.begin(domain), form.raw("11111", true)].concat().into();
            let end = [form.raw("2", false), form.end()].concat().into();
            let pause = Box::pin(sleep(PAUSE));
            answer(form, TwoPieces { begin: Some(begin), end: Some(end), pause }.boxed_unsync())
        }
    }
}

/// Whoever holds an answer back gives both pieces at once.
const PAUSE: Duration = Duration::from_secs(2);

struct TwoPieces {
    begin: Option<Bytes>,
    end: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
}

impl Body for TwoPieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(begin) = this.begin.take() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        if this.end.is_some() {
            std::task::ready!(this.pause.as_mut().poll(cx));
        }
        Poll::Ready(this.end.take().map(|end| Ok(Frame::data(end))))
    }
}

/// The script of the client, where there is one.
pub(crate) async fn script(head: &Head, options: &BrowserChannelOptions) -> Response {
    let Some(path) = &options.script else {
        let error = "there is no script here; `browserchannel_script` names the file, which is \
                     dist/bcsocket.js of npm's `browserchannel`";
        return text(StatusCode::NOT_FOUND, error);
    };
    let file = path.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
    let script = match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(script) => script,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "browserchannel_script is not read");
            let error = "the script cannot be read; the server's log says why";
            return standard(text(StatusCode::INTERNAL_SERVER_ERROR, error));
        }
    };
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = head.header(header::IF_NONE_MATCH) == Some(&tag);
    let mut response =
        if known { status(StatusCode::NOT_MODIFIED) } else { status(StatusCode::OK) };
    let length = HeaderValue::from(script.len());
    let body = if known || head.method == Method::HEAD { empty() } else { full(script) };
    *response.body_mut() = body;
    let headers = response.headers_mut();
    let media = HeaderValue::from_static("application/javascript");
    headers.insert(header::CONTENT_TYPE, media);
    if !known {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
