//! The answers to requests.

use std::io::Write as _;

use bytes::Bytes;
use bytestring::ByteString;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, StatusCode, header};
use primus_core::{
    Head, Rejection, Response,
    request::{full, has_token, json, status, text},
};

use crate::{
    link::{Batch, Link},
    protocol::{Asked, FORBIDDEN, RequestError, Version, v3, v4, write_jsonp},
    writer::Writer,
};

/// What is wrong with a request. One that wanted a WebSocket is told so in words, and its connection is closed.
pub(crate) fn error(error: RequestError, upgrade: bool) -> Response {
    refuse(error.status(), error.code(), &error.to_string(), upgrade)
}

/// What the application has against it.
pub(crate) fn rejection(rejection: &Rejection, upgrade: bool) -> Response {
    let words = match rejection.error() {
        serde_json::Value::String(words) => words.clone(),
        serde_json::Value::Null => "Forbidden".to_owned(),
        other => other.to_string(),
    };
    let mut response = refuse(rejection.status(), FORBIDDEN, &words, upgrade);
    let theirs = rejection.clone().into_response();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = theirs.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn refuse(status: StatusCode, code: u8, words: &str, upgrade: bool) -> Response {
    if !upgrade {
        return json(status, &serde_json::json!({ "code": code, "message": words }));
    }
    let mut response = text(status, words.to_owned());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// How a client that polls takes its answers.
pub(crate) struct Shape {
    version: Version,
    /// Version 3: what is binary makes the whole answer so.
    binary: bool,
    jsonp: Option<Box<str>>,
    /// Bytes from which it is compressed.
    gzip: Option<usize>,
}

impl Shape {
    pub(crate) fn of(link: &Link, asked: &Asked, head: &Head) -> Self {
        let jsonp = asked.jsonp.clone();
        let binary = link.version == Version::V3 && !link.base64 && jsonp.is_none();
        let gzips = has_token(&head.headers, header::ACCEPT_ENCODING, "gzip");
        let gzip = link.options().compress_from.filter(|_| gzips);
        Self { version: link.version, binary, jsonp, gzip }
    }

    /// An answer of packets that were not encoded yet, never compressed.
    pub(crate) fn packets(
        self,
        packets: impl Iterator<Item = crate::protocol::Packet>,
    ) -> Response {
        let mut batch = Batch { packets: Vec::new(), compressible: false };
        let mut writer = Writer::answer(self.version, &mut batch.packets);
        packets.for_each(|packet| writer.packet(&packet));
        self.batch(batch)
    }

    /// The answer to a poll.
    pub(crate) fn batch(self, batch: Batch) -> Response {
        let Batch { mut packets, compressible } = batch;
        let mut kind = "text/plain; charset=UTF-8";
        let mut body: Bytes = match (self.version, packets.len()) {
            (_, 1) => packets.remove(0),
            (Version::V4, _) => packets.join(&(v4::SEPARATOR as u8)).into(),
            (Version::V3, _) => packets.concat().into(),
        };
        if self.binary
            && let Some(binary) = to_binary(&body)
        {
            kind = "application/octet-stream";
            body = binary;
        }
        if let Some(j) = &self.jsonp {
            kind = "text/javascript; charset=UTF-8";
            body = write_jsonp(j, &String::from_utf8_lossy(&body)).into();
        }
        let gzipped = match self.gzip {
            Some(from) if compressible && body.len() >= from => gzip(&body),
            _ => None,
        };
        let mut response = status(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if gzipped.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        *response.body_mut() = full(gzipped.unwrap_or(body));
        response
    }
}

/// The same packets as a binary payload, if one of them is binary.
fn to_binary(payload: &Bytes) -> Option<Bytes> {
    payload.windows(3).find(|it| it == b":b4")?;
    let payload = ByteString::try_from(payload.clone()).ok()?;
    let packets: Vec<_> = v3::decode(payload).collect::<Result<_, _>>().ok()?;
    let is_binary = |packet: &crate::protocol::Packet| matches!(packet, crate::protocol::Packet::Message(message) if message.is_binary());
    packets.iter().any(is_binary).then(|| {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| v3::write_binary(packet, &mut bytes));
        bytes.into()
    })
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body).ok()?;
    Some(encoder.finish().ok()?.into())
}
