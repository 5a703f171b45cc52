//! One connection's protocol, without I/O: bytes come in, and out comes what they were and what has
//! to be answered.

use crate::{
    dialect::{Dialect, Script},
    frame,
};

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Messages may be sent from now on.
    pub(crate) ready: bool,
    pub(crate) messages: u32,
    /// Of these, how many are not what was sent.
    pub(crate) mismatched: u32,
    /// It is over, and why.
    pub(crate) closed: Option<&'static str>,
}

/// ```text
/// upgrade ──101──► open ──(attach, connect, "o")──► ready
/// ```
#[derive(Default)]
pub(crate) struct Conversation {
    open: bool,
    /// The pieces of a message that came in fragments.
    fragments: Vec<u8>,
    acks: Acks,
}

/// What a resumable client counts: an acknowledgement is due at the latest after so much.
#[derive(Default)]
struct Acks {
    received: u64,
    told: u64,
    bytes: usize,
}

const ACK_MESSAGES: u64 = 128;
const ACK_BYTES: usize = 32 << 10;

impl Conversation {
    /// The request for the upgrade.
    pub(crate) fn request(dialect: Dialect, host: &str, path: &str, id: u64) -> Vec<u8> {
        let path = path.replace("{id}", &format!("{id:016x}"));
        let subprotocol = dialect
            .subprotocol()
            .map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             {subprotocol}\r\n"
        )
        .into_bytes()
    }

    /// Reads what has come; returns how many bytes are done with. Answers are appended to `out`.
    pub(crate) fn read(
        &mut self,
        script: &Script,
        id: u64,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> usize {
        let mut at = 0;
        if !self.open {
            let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
                return 0;
            };
            if !input.starts_with(b"HTTP/1.1 101 ") {
                heard.closed = Some("the upgrade was refused");
                return input.len();
            }
            at = end + 4;
            self.open = true;
            heard.ready = script.dialect.is_ready_at_once();
            if let Some(hello) = script.dialect.hello(id) {
                frame::masked(out, frame::TEXT, hello.as_bytes());
            }
        }
        while at < input.len() && heard.closed.is_none() {
            let rest = &input[at..];
            // Nearly always what comes is what was sent.
            if rest.starts_with(&script.expected_frame) && self.fragments.is_empty() {
                at += script.expected_frame.len();
                self.message(script, script.expected.len(), true, out, heard);
                continue;
            }
            match frame::parse(rest) {
                Ok(Some(frame)) => {
                    at += frame.length;
                    self.frame(script, &frame, out, heard);
                }
                Ok(None) => break,
                Err(why) => heard.closed = Some(why),
            }
        }
        at
    }

    fn frame(
        &mut self,
        script: &Script,
        frame: &frame::Frame<'_>,
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) {
        match frame.opcode {
            frame::CLOSE => heard.closed = Some("a close frame"),
            frame::PING => frame::masked(out, frame::PONG, frame.payload),
            frame::PONG => {}
            _ if frame.last && self.fragments.is_empty() => {
                self.text(script, frame.payload, out, heard);
            }
            _ => {
                self.fragments.extend_from_slice(frame.payload);
                if frame.last {
                    let whole = std::mem::take(&mut self.fragments);
                    self.text(script, &whole, out, heard);
                }
            }
        }
    }

    /// One message of the application.
    fn message(
        &mut self,
        script: &Script,
        bytes: usize,
        right: bool,
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) {
        heard.messages += 1;
        heard.mismatched += u32::from(!right);
        if script.dialect == Dialect::Resumable
            && let Some(ack) = self.acks.took(bytes)
        {
            frame::masked(out, frame::TEXT, ack.as_bytes());
        }
    }

    fn text(&mut self, script: &Script, text: &[u8], out: &mut Vec<u8>, heard: &mut Heard) {
        if text == script.expected {
            return self.message(script, text.len(), true, out, heard);
        }
        let answer = match script.dialect {
            Dialect::Classic => match control(text) {
                Some(b"primus::server::close") => {
                    heard.closed = Some("primus::server::close");
                    return;
                }
                Some(text) => match text.strip_prefix(b"primus::ping::") {
                    Some(stamp) => [b"\"primus::pong::", stamp, b"\""].concat(),
                    None => return,
                },
                None => return self.message(script, text.len(), false, out, heard),
            },
            Dialect::Resumable => match self.acks.control(text, heard) {
                Some(answer) => answer,
                None if text.starts_with(b"primus::") => return,
                None => return self.message(script, text.len(), false, out, heard),
            },
            Dialect::SocketIo => match text {
                [b'0', ..] => b"40".to_vec(),
                [b'2', rest @ ..] => [b"3", rest].concat(),
                [b'4', b'0', ..] => {
                    heard.ready = true;
                    return;
                }
                [b'1', ..] | [b'4', b'1' | b'4', ..] => {
                    heard.closed = Some("a disconnect packet");
                    return;
                }
                _ => return self.message(script, text.len(), false, out, heard),
            },
            Dialect::SockJs => {
                match text {
                    b"o" => heard.ready = true,
                    b"h" => {}
                    [b'c', ..] => heard.closed = Some("a close frame of SockJS"),
                    [b'a', array @ ..] => {
                        for string in strings(array) {
                            let wanted = &script.expected[2..script.expected.len() - 1];
                            self.message(script, string.len(), string == wanted, out, heard);
                        }
                    }
                    _ => self.message(script, text.len(), false, out, heard),
                }
                return;
            }
            Dialect::Plain => return self.message(script, text.len(), false, out, heard),
        };
        frame::masked(out, frame::TEXT, &answer);
    }
}

/// The control message of the classic dialect, without its quotes.
fn control(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    inner.starts_with(b"primus::").then_some(inner)
}

impl Acks {
    fn took(&mut self, bytes: usize) -> Option<String> {
        self.received += 1;
        self.bytes += bytes;
        let due = self.received - self.told >= ACK_MESSAGES || self.bytes >= ACK_BYTES;
        due.then(|| format!("primus::ack:{}::", self.tell()))
    }

    /// What an acknowledgement that is being sent says.
    fn tell(&mut self) -> u64 {
        self.told = self.received;
        self.bytes = 0;
        self.told
    }

    /// Reads a control frame of the resumable dialect; what is to be answered, if anything.
    fn control(&mut self, text: &[u8], heard: &mut Heard) -> Option<Vec<u8>> {
        let control = text.strip_prefix(b"primus::")?;
        if let Some(ping) = control.strip_prefix(b"ping:") {
            let number = ping.split(|byte| *byte == b':').next().unwrap_or_default();
            let number = String::from_utf8_lossy(number);
            return Some(format!("primus::pong:{number}:{}::", self.tell()).into_bytes());
        }
        heard.ready |= control.starts_with(b"attach::");
        if control.starts_with(b"refuse::") {
            heard.closed = Some("the attach was refused");
        } else if control.starts_with(b"end::") {
            heard.closed = Some("the server ended the session");
        }
        None
    }
}

/// The strings of a JSON array of strings, with their quotes.
fn strings(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = array;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|byte| *byte == b'"')?;
        let mut end = begin + 1;
        while rest.get(end).is_some_and(|byte| *byte != b'"') {
            end += if rest[end] == b'\\' { 2 } else { 1 };
        }
        let end = (end + 1).min(rest.len());
        let string = &rest[begin..end];
        rest = &rest[end..];
        Some(string)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    /// A client that has read these texts, what it heard of them, and what it answered.
    fn after(dialect: Dialect, texts: &[&str]) -> (Heard, Vec<String>) {
        let script = Script::new(dialect, "exx", 1);
        let mut conversation = Conversation::default();
        let mut out = Vec::new();
        assert_eq!(
            conversation.read(&script, 7, UPGRADED, &mut out, &mut Heard::default()),
            UPGRADED.len()
        );
        out.clear();
        let mut heard = Heard::default();
        for text in texts {
            let frame = frame::from_server(text.as_bytes());
            assert_eq!(conversation.read(&script, 7, &frame, &mut out, &mut heard), frame.len());
        }
        (heard, unmasked(&out))
    }

    fn unmasked(mut out: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        while !out.is_empty() {
            let length = usize::from(out[1] & 0x7f);
            let text = out[6..6 + length].iter().zip(out[2..6].iter().cycle()).map(|(b, k)| b ^ k);
            texts.push(String::from_utf8(text.collect()).unwrap());
            out = &out[6 + length..];
        }
        texts
    }

    fn messages(messages: u32, mismatched: u32) -> Heard {
        Heard { messages, mismatched, ..Heard::default() }
    }

    #[test]
    fn every_dialect_knows_its_message_and_any_other() {
        for (dialect, right, wrong) in [
            (Dialect::Plain, "exx", "exy"),
            (Dialect::Classic, "\"exx\"", "\"exy\""),
            (Dialect::Resumable, "\"exx\"", "\"exy\""),
            (Dialect::SocketIo, "42[\"m\",\"exx\"]", "42[\"n\",\"exx\"]"),
            (Dialect::SockJs, "a[\"exx\"]", "a[\"e\\\"x\"]"),
        ] {
            let (heard, answers) = after(dialect, &[right, right, wrong]);
            assert_eq!(heard, messages(3, 1), "{dialect}");
            assert!(answers.is_empty(), "{dialect}: {answers:?}");
        }
    }

    #[test]
    fn several_messages_of_sockjs_come_in_one_array() {
        let (heard, _) = after(Dialect::SockJs, &["a[\"exx\",\"exx\",\"e\\\"x\"]"]);
        assert_eq!(heard, messages(3, 1));
    }

    #[test]
    fn each_greeting_and_each_ping_is_answered() {
        let ready = Heard { ready: true, ..Heard::default() };
        let (heard, answers) =
            after(Dialect::SocketIo, &["0{\"sid\":\"a\"}", "40{\"sid\":\"b\"}", "2"]);
        assert_eq!((heard, answers), (ready, vec!["40".into(), "3".into()]));
        let (_, answers) = after(Dialect::Classic, &["\"primus::ping::17\"", "\"primus::id::x\""]);
        assert_eq!(answers, ["\"primus::pong::17\""]);
        let (heard, answers) = after(
            Dialect::Resumable,
            &["primus::attach::{}", "\"exx\"", "primus::ping:4:0::", "primus::ack:1::"],
        );
        assert!(heard.ready && heard.closed.is_none());
        assert_eq!(answers, ["primus::pong:4:1::"]);
        assert!(after(Dialect::SockJs, &["o", "h"]).0.ready);
    }

    #[test]
    fn a_resumable_client_acknowledges_after_128_messages_or_32_kib() {
        let (_, answers) = after(Dialect::Resumable, &["\"exx\""; 257]);
        assert_eq!(answers, ["primus::ack:128::", "primus::ack:256::"]);
        let (_, answers) =
            after(Dialect::Resumable, &[&*format!("\"{}\"", "x".repeat(32 << 10)), "\"exx\""]);
        assert_eq!(answers, ["primus::ack:1::"]);
    }

    #[test]
    fn an_end_is_told_with_its_reason() {
        for (dialect, text) in [
            (Dialect::Classic, "\"primus::server::close\""),
            (Dialect::Resumable, "primus::end::{}"),
            (Dialect::Resumable, "primus::refuse::{}"),
            (Dialect::SocketIo, "41"),
            (Dialect::SockJs, "c[3000,\"Go away!\"]"),
        ] {
            assert!(after(dialect, &[text]).0.closed.is_some(), "{dialect}: {text}");
        }
    }

    #[test]
    fn a_message_may_come_in_pieces_and_in_fragments() {
        let script = Script::new(Dialect::Plain, "exx", 1);
        let mut conversation = Conversation { open: true, ..Conversation::default() };
        let (mut out, mut heard) = (Vec::new(), Heard::default());
        let frame = frame::from_server(b"exx");
        assert_eq!(conversation.read(&script, 7, &frame[..4], &mut out, &mut heard), 0);
        let fragments = [0x01, 1, b'e', 0x89, 1, b'!', 0x80, 2, b'x', b'x'];
        assert_eq!(conversation.read(&script, 7, &fragments, &mut out, &mut heard), 10);
        assert_eq!(heard, messages(1, 0));
        assert_eq!(unmasked(&out), ["!"]);
    }

    #[test]
    fn a_refused_upgrade_is_an_end() {
        let script = Script::new(Dialect::Plain, "exx", 1);
        let mut heard = Heard::default();
        let answer = b"HTTP/1.1 403 Forbidden\r\n\r\n";
        Conversation::default().read(&script, 7, answer, &mut Vec::new(), &mut heard);
        assert_eq!(heard.closed, Some("the upgrade was refused"));
    }
}
