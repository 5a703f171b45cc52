//! POSTs: the packets of a client that polls.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use primus_core::{
    Body, BoxError, BoxFuture, CloseReason, Head, Limits, Request, Response, request::status,
};
use tokio::time::timeout;

use crate::{
    answer,
    link::Link,
    protocol::{BadPacket, Packet, RequestError, Version, read_jsonp, v3, v4},
    transformer::{denial, ok},
};

type Packets = Box<dyn Iterator<Item = Result<Packet, BadPacket>> + Send>;

/// Takes in a POST.
pub(crate) async fn post(link: Arc<Link>, jsonp: bool, request: Request) -> Response {
    let Request { head, body, .. } = request;
    let post = match link.post() {
        Ok(post) => post,
        Err(denied) => return denial(denied),
    };
    let binary = is_binary(&head);
    if binary && link.version == Version::V4 {
        let reason = CloseReason::BAD_CONTROL.with_text("version 4 has no binary payloads");
        link.close(reason, Packet::Close);
        return answer::error(RequestError::BadRequest, false);
    }
    let bytes = match read(&head, body, &link.mount.settings().limits).await {
        Ok(bytes) => bytes,
        Err(Unread::TooLarge) => {
            post.done(); // it goes on
            return status(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Err(Unread::Late) => return status(StatusCode::REQUEST_TIMEOUT), // which closes it
        Err(Unread::Gone) => return status(StatusCode::BAD_REQUEST),
    };
    drop(head);
    let packets = match decode(link.version, binary, jsonp, bytes) {
        Ok(packets) => packets,
        Err(error) => return bad_packet(&link, error),
    };
    for packet in packets {
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return bad_packet(&link, error),
        };
        if let Err(reason) = link.receive(packet).await {
            let wanted = reason == CloseReason::NORMAL;
            link.close(reason, if wanted { Packet::Noop } else { Packet::Close });
            if wanted {
                break;
            }
            return answer::error(RequestError::BadRequest, false);
        }
    }
    post.done();
    ok()
}

fn bad_packet(link: &Link, error: BadPacket) -> Response {
    link.close(CloseReason::BAD_CONTROL.with_text(error.to_string()), Packet::Close);
    answer::error(RequestError::BadRequest, false)
}

fn is_binary(head: &Head) -> bool {
    let kind = head.header(header::CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim() == "application/octet-stream"
}

fn decode(version: Version, binary: bool, jsonp: bool, bytes: Bytes) -> Result<Packets, BadPacket> {
    if binary {
        return Ok(Box::new(v3::decode_binary(bytes)));
    }
    let text = if jsonp {
        read_jsonp(&bytes)?
    } else {
        ByteString::try_from(bytes).map_err(|_| BadPacket("text is not UTF-8"))?
    };
    Ok(match version {
        Version::V3 => Box::new(v3::decode(text)),
        Version::V4 => Box::new(v4::decode(text)),
    })
}

/// Why a body could not be read.
enum Unread {
    TooLarge,
    Late,
    Gone,
}

async fn read(head: &Head, body: Body, limits: &Limits) -> Result<Bytes, Unread> {
    let most = limits.max_message;
    let declared = head.header(header::CONTENT_LENGTH).and_then(|it| it.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(Unread::TooLarge);
    }
    // Boxed for the compiler: unboxed, it cannot prove the callers' futures `Send`.
    let all: BoxFuture<'static, Result<Collected<Bytes>, BoxError>> =
        Box::pin(Limited::new(body, most).collect());
    match timeout(limits.body_timeout, all).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Gone),
        Err(_) => Err(Unread::Late),
    }
}
