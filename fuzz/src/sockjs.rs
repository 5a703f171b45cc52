//! Payloads, frames, URLs and callbacks of SockJS.

use bytestring::ByteString;
use primus_core::Query;
use primus_sockjs::protocol::{
    callback::{Callback, LONGEST},
    escape::quote,
    frame::{self, Wrapping},
    payload::{Messages, PayloadError},
    url::{Target, target},
};

use crate::heap;

/// Bytes of a message.
const MAX: usize = 100;
/// What a payload of nothing may take.
const BASE: usize = 4 << 10;
/// And more for a byte of it.
const EACH: usize = 100;

/// The messages of a payload are those that another reader of JSON finds. Sent back, in each of the wrappings, they
/// are the same, and no wrapping can be left. A URL is a session's if it is written as the client writes it.
pub fn sockjs(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let payload = ByteString::from(text);
    let [request, socket] = heap::bounded(BASE + EACH * data.len(), || {
        let all = |messages: Result<Messages, PayloadError>| {
            messages.map(|messages| messages.collect::<Vec<_>>())
        };
        [
            all(Messages::read(payload.clone(), MAX)),
            all(Messages::read_message(payload.clone(), MAX)),
        ]
    });
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(list) if list.iter().all(|message| message.len() <= MAX) => {
            assert!(request.as_ref().is_ok_and(|messages| messages == &list), "{request:?}");
        }
        Ok(_) => assert_eq!(request, Err(PayloadError::TooBig(MAX))),
        // Half of a pair is a message here.
        Err(_) => assert!(request.is_err() || text.contains("\\u"), "{request:?}"),
    }
    match serde_json::from_str::<String>(text) {
        Ok(message) if message.len() <= MAX => {
            assert!(socket.as_ref().is_ok_and(|messages| messages == &[message]), "{socket:?}");
        }
        Ok(_) => assert_eq!(socket, Err(PayloadError::TooBig(MAX))),
        Err(_) if text.is_empty() => assert_eq!(socket, Ok(Vec::new())),
        Err(_) if text.trim_ascii_start().starts_with('"') => {
            assert!(socket.is_err() || text.contains("\\u"), "{socket:?}");
        }
        Err(_) => assert_eq!(socket, request),
    }
    request.iter().for_each(|messages| sent_back(messages));
    sent_back(&[text.into()]);
    url(text);
}

fn sent_back(messages: &[ByteString]) {
    let quoted: Vec<String> = messages
        .iter()
        .map(|message| {
            let mut quoted = String::new();
            quote(message, &mut quoted);
            quoted
        })
        .collect();
    let sent = frame::messages(quoted.iter().map(|quoted| &**quoted));
    assert!(!sent.contains(|it: char| it < ' '), "{sent:?} is a line");
    let payload = sent.strip_prefix('a').expect("a frame of messages");
    let read = Messages::read(payload.into(), usize::MAX).expect("messages");
    assert!(read.eq(messages.iter().cloned()));

    let callback = Callback::of(&Query::parse("c=f"), LONGEST).expect("a name");
    for (wrapping, before, behind) in [
        (Wrapping::Line, "", "\n"),
        (Wrapping::Event, "data: ", "\r\n\r\n"),
        (Wrapping::Script, "<script>\np(", ");\n</script>\r\n"),
        (Wrapping::Call(callback), "/**/f(", ");\r\n"),
    ] {
        let wrapped = wrapping.wrap(&sent);
        let wrapped = std::str::from_utf8(&wrapped).expect("text");
        let inner = wrapped.strip_prefix(before).and_then(|it| it.strip_suffix(behind));
        let inner = inner.expect("a wrapping");
        assert!(!inner.contains(['\r', '\n']), "{inner:?} is a line");
        match wrapping {
            Wrapping::Line => assert_eq!(inner, sent),
            Wrapping::Event => {
                let decoded = percent_encoding::percent_decode_str(inner).decode_utf8();
                assert_eq!(decoded.expect("text"), sent);
            }
            Wrapping::Script | Wrapping::Call(_) => {
                assert!(!inner.contains('<'), "{inner} may end its script");
                assert_eq!(serde_json::from_str::<String>(inner).expect("a string"), sent);
            }
        }
    }
}

fn url(text: &str) {
    if let Some(Target::Session { id, transport }) = target(text) {
        assert!(!id.is_empty() && !id.contains(['/', '.']), "{id}");
        let segments: Vec<&str> = text.strip_suffix('/').unwrap_or(text).split('/').collect();
        let ["", _, session, name] = segments[..] else { panic!("{text} is no URL of a session") };
        assert_eq!(session, id);
        let plain = format!("/0/{id}/{name}");
        assert_eq!(target(&plain), Some(Target::Session { id, transport }));
    }
    if let Ok(callback) = Callback::of(&Query::parse(text), LONGEST) {
        let sign = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        assert!(callback.name().chars().all(sign) && callback.name().len() <= LONGEST);
    }
}
