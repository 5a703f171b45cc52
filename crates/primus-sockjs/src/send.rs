//! What clients send by requests: `xhr_send` and `jsonp_send`.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::{StatusCode, header};
use primus_core::{DeliverError, Head, Mount, Query, Request, Response};
use primus_http::post::{self, Bound};
use tokio::time::{Instant, timeout_at};

use crate::{
    headers::{not_found, text},
    link::Link,
    protocol::payload::{Messages, PayloadError},
    sessions::{Key, Sessions},
};

/// Where the JSON is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The body is it.
    Xhr,
    /// A field of a form, or the body.
    Jsonp,
}

/// Of who speaks to no session not much is read, only to say what is wrong with it.
const STRANGER: usize = 64 << 10;
/// What JSON makes of the worst byte (`\u0000`), and a form of that (`%5Cu0000`).
const WORST: usize = 8;
/// Beyond that: brackets, and short messages beside a long one.
const OVERHEAD: usize = 64 << 10;

/// Takes messages for a session.
pub(crate) async fn send(
    request: Request,
    form: Form,
    mount: &Arc<Mount>,
    (sessions, key): (Arc<Sessions>, Key),
) -> Result<(), Response> {
    let Request { head, body, .. } = request;
    let limits = &mount.settings().limits;
    let deadline = Instant::now() + limits.body_timeout;
    let session = sessions.get(&key);
    let link = session.as_ref().and_then(|session| Link::of(session));
    let bytes = match link {
        Some(_) => limits.max_message.saturating_mul(WORST).saturating_add(OVERHEAD),
        None => STRANGER,
    };
    let turn = match link {
        Some(link) => match timeout_at(deadline, link.turn()).await {
            Ok(turn) => Some(turn),
            Err(_) => return Err(behind()),
        },
        None => None,
    };
    let bound = Bound { bytes, limit: "max_message", within: limits.body_timeout };
    let read = post::read(&head, body, bound).await;
    let body = read.map_err(|no| match link {
        Some(_) => no.into_response(),
        None => not_found(),
    })?;
    let refused = |error: PayloadError| {
        let status = match error {
            PayloadError::TooBig(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR, // which is what other servers say
        };
        text(status, error.to_string())
    };
    let messages = json(&head, body, form)
        .and_then(|json| Messages::read(json, limits.max_message))
        .map_err(refused)?;
    let Some((session, link)) = session.as_ref().zip(link) else {
        return if sessions.has_ended(&key) { Ok(()) } else { Err(not_found()) };
    };
    for message in messages {
        match link.deliver(session, deadline, message).await {
            Ok(()) => {}
            Err(DeliverError::Full(_)) => return Err(behind()),
            // It is ending, which its receiver is told.
            Err(_) => break,
        }
    }
    drop(turn);
    Ok(())
}

fn behind() -> Response {
    text(StatusCode::TOO_MANY_REQUESTS, "the application is behind; send less at once, or later")
}

/// The JSON in a body of a type that may have it.
fn json(head: &Head, body: Bytes, form: Form) -> Result<ByteString, PayloadError> {
    let body = ByteString::try_from(body).map_err(|_| PayloadError::Broken)?;
    let content_type = head.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let media = std::str::from_utf8(content_type.unwrap_or_default()).unwrap_or("?");
    let media = media.split(';').next().unwrap_or_default().trim();
    match (form, media) {
        (
            Form::Xhr,
            "" | "text/plain" | "T" | "application/json" | "application/xml" | "text/xml",
        )
        | (Form::Jsonp, "" | "text/plain") => Ok(body),
        (Form::Jsonp, "application/x-www-form-urlencoded") => {
            Query::parse(&body).get("d").map(ByteString::from).ok_or(PayloadError::Expected)
        }
        _ => Err(PayloadError::Expected),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, Uri};

    use super::*;

    fn read(
        form: Form,
        content_type: &'static str,
        body: &'static str,
    ) -> Result<String, PayloadError> {
        let mut head = Head::new(Method::POST, Uri::from_static("/"));
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        json(&head, body.into(), form).map(|json| json.to_string())
    }

    #[test]
    fn bodies_of_any_type_that_browsers_give_them() {
        let good = [
            "",
            "text/plain",
            "T",
            "application/json",
            "application/xml",
            "text/xml",
            "application/json; charset=utf-8",
            "text/xml; charset=utf-8",
        ];
        for content_type in good {
            assert_eq!(read(Form::Xhr, content_type, "[]").unwrap(), "[]", "{content_type}");
        }
        let form = "application/x-www-form-urlencoded";
        assert_eq!(read(Form::Xhr, form, "[]"), Err(PayloadError::Expected));
        assert_eq!(read(Form::Jsonp, form, "d=%5B%22x%22%5D").unwrap(), "[\"x\"]");
        assert_eq!(read(Form::Jsonp, form, "d=").unwrap(), "");
        assert_eq!(read(Form::Jsonp, form, "p=p"), Err(PayloadError::Expected));
        assert_eq!(read(Form::Jsonp, "text/plain", "[\"%61bc\"]").unwrap(), "[\"%61bc\"]");
        assert_eq!(read(Form::Jsonp, "image/png", "[]"), Err(PayloadError::Expected));
    }
}
