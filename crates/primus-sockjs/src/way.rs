//! How each receiver is answered: in one frame or in many, and wrapped in what.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use primus_core::{Head, Response, request::full};

use crate::{
    headers::typed,
    protocol::{
        callback::{Callback, CallbackError, LONGEST},
        frame::{self, EVENT_PRELUDE, Wrapping},
        url::Transport,
    },
    stream::Stream,
};

/// How a receiver is answered. `prelude`: it is a stream.
pub(crate) struct Way {
    pub(crate) wrapping: Wrapping,
    pub(crate) prelude: Option<Bytes>,
}

/// A stream's page may call any function of the page around it; what a script calls has to be short.
const LONGEST_IN_A_PAGE: usize = 256;

impl Way {
    pub(crate) fn of(head: &Head, transport: Transport) -> Result<Self, CallbackError> {
        let callback = |longest| Callback::of(&head.query(), longest);
        Ok(match transport {
            Transport::XhrStreaming => {
                Self { wrapping: Wrapping::Line, prelude: Some(frame::line_prelude()) }
            }
            Transport::EventSource => {
                Self { wrapping: Wrapping::Event, prelude: Some(EVENT_PRELUDE) }
            }
            Transport::HtmlFile => {
                let callback = callback(LONGEST_IN_A_PAGE)?;
                let prelude = Some(frame::script_prelude(&callback));
                Self { wrapping: Wrapping::Script, prelude }
            }
            Transport::Jsonp => {
                Self { wrapping: Wrapping::Call(callback(LONGEST)?), prelude: None }
            }
            _ => Self { wrapping: Wrapping::Line, prelude: None },
        })
    }
}

/// An answer of one frame, without a session.
pub(crate) fn one(wrapping: &Wrapping, prelude: Option<Bytes>, frame: &str) -> Response {
    match prelude {
        Some(prelude) => {
            let stream = Stream::of(prelude, wrapping, frame);
            typed(StatusCode::OK, wrapping.content_type(), stream.boxed_unsync())
        }
        None => script(wrapping.content_type(), wrapping.wrap(frame)),
    }
}

/// An answer that browsers take for what it says it is.
pub(crate) fn script(content_type: &'static str, frame: Bytes) -> Response {
    let mut response = typed(StatusCode::OK, content_type, full(frame));
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
