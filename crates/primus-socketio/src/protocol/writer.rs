//! What the server says, as messages of Engine.IO: a text, and an attachment for each value that is bytes.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::{
    Envelope, Parser, Payload, Subject,
    parser::{self, MARK, Msgpack},
};
use serde::de::IgnoredAny;

use super::{Value, Version, arguments::fill, attachments::lift, packet::may_be_sent};

/// The messages of one packet.
pub type Encoded = Vec<Payload>;

/// The event by which what has no name is known to a client of Socket.IO: `socket.send` emits it.
pub(crate) const UNNAMED: &str = "message";

/// How one kind of client is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writing {
    /// What the client speaks.
    pub version: Version,
    /// Whole packets as MessagePack, each one binary message (`socket.io-msgpack-parser`).
    pub msgpack: bool,
}

/// JSON in three pieces, and the bytes that are missing in it.
#[derive(Default)]
struct Pieces {
    before: String,
    args: ByteString,
    after: Cow<'static, str>,
    attachments: Vec<Bytes>,
}

/// What a packet carries.
enum Body {
    Json(Pieces),
    Values(Vec<Value>),
}

/// What an unmarked null is among arguments.
#[derive(Clone, Copy, PartialEq)]
enum Null {
    IsNone,
    IsOne,
}

impl Writing {
    /// An event of the server, a request of it, or what has no name. `offset`: the last of its arguments, by
    /// which a client that comes back says what it has. `None`: such a client cannot be told.
    pub fn message(
        self,
        envelope: &Envelope,
        parser: &dyn Parser,
        offset: Option<&str>,
    ) -> Option<Encoded> {
        let heading = envelope.heading();
        let (name, id) = match &heading.subject {
            Subject::Data => (UNNAMED, None),
            Subject::Event(name) => (&**name, None),
            Subject::Request(id, name) => (&**name, Some(*id)),
            _ => return None,
        };
        if !may_be_sent(name) {
            tracing::warn!(name, "clients of Socket.IO have an event of this name themselves");
            return None;
        }
        let namespace = heading.channel.as_deref().map(namespace);
        let mut body = self.arguments(envelope, parser, Null::IsNone)?;
        match &mut body {
            Body::Json(Pieces { before, args, after, .. }) => {
                *before = serde_json::to_string(&[name]).ok()?;
                before.pop(); // the bracket, which is closed behind the arguments
                if !args.is_empty() {
                    before.push(',');
                }
                *after = match offset.filter(|_| id.is_none()) {
                    Some(offset) => format!(",\"{offset}\"]").into(),
                    None => "]".into(),
                };
            }
            Body::Values(values) => {
                values.insert(0, Value::Text(name.to_owned()));
                if let Some(offset) = offset.filter(|_| id.is_none()) {
                    values.push(Value::Text(offset.to_owned()));
                }
            }
        }
        self.packet(2, namespace.as_deref(), id, Some(body))
    }

    /// The answer to an event of the client. Null is a value, and `Args(())` none: a client with `retries`
    /// and without `ackTimeout` takes the first value for an error unless it is null, and asks again.
    pub fn ack(
        self,
        namespace: &str,
        id: u64,
        envelope: &Envelope,
        parser: &dyn Parser,
    ) -> Option<Encoded> {
        let mut body = match envelope.heading().subject {
            // What it says is JSON, whatever the parser.
            Subject::Refuse(_) => self.arguments(envelope, &parser::Json, Null::IsOne),
            // And so are answers of the protocol itself.
            _ if envelope.body().as_text().is_some() && parser.name() == "msgpack" => {
                self.arguments(envelope, &parser::Json, Null::IsOne)
            }
            _ => self.arguments(envelope, parser, Null::IsOne),
        }?;
        if let Body::Json(Pieces { before, after, .. }) = &mut body {
            (*before, *after) = ("[".to_owned(), "]".into());
        }
        self.packet(3, Some(namespace), Some(id), Some(body))
    }

    /// The client is in a namespace, where it has this id; by `pid` it may come back.
    pub fn connected(self, namespace: &str, sid: &str, pid: Option<&str>) -> Encoded {
        let mut members = vec![("sid".to_owned(), Value::Text(sid.to_owned()))];
        if let Some(pid) = pid {
            members.push(("pid".to_owned(), Value::Text(pid.to_owned())));
        }
        let data = Value::Object(members);
        self.plain(0, namespace, (self.version == Version::Five).then_some(data))
    }

    /// The client may not enter a namespace.
    pub fn refused(self, namespace: &str, error: &Value) -> Encoded {
        let error = match self.version {
            Version::Five => error,
            // A client of protocol 4 is told by a string, or has what else was said.
            Version::Four => match (error.get("data"), error.get("message")) {
                (None, Some(message)) => message,
                (data, _) => data.unwrap_or(error),
            },
        };
        self.plain(4, namespace, Some(error.clone()))
    }

    /// The client is not in a namespace any more.
    pub fn disconnected(self, namespace: &str) -> Encoded {
        self.plain(1, namespace, None)
    }

    fn plain(self, kind: u8, namespace: &str, data: Option<Value>) -> Encoded {
        let body = match data {
            None => None,
            Some(data) if self.msgpack => Some(Body::Values(vec![data])),
            Some(data) => {
                let json = serde_json::to_string(&data).ok();
                json.map(|json| Body::Json(Pieces { args: json.into(), ..Pieces::default() }))
            }
        };
        self.packet(kind, Some(namespace), None, body).unwrap_or_default()
    }

    fn packet(
        self,
        kind: u8,
        namespace: Option<&str>,
        id: Option<u64>,
        body: Option<Body>,
    ) -> Option<Encoded> {
        let Pieces { before, args, after, attachments } = match body {
            Some(Body::Values(values)) => return self.whole(kind, namespace, id, Some(values)),
            None if self.msgpack => return self.whole(kind, namespace, id, None),
            Some(Body::Json(json)) => json,
            None => Pieces::default(),
        };
        let length = before.len() + args.len() + after.len();
        let mut text = String::with_capacity(length + namespace.map_or(0, str::len) + 32);
        if attachments.is_empty() {
            text.push((b'0' + kind) as char);
        } else {
            text.push((b'3' + kind) as char);
            text.push_str(&format!("{}-", attachments.len()));
        }
        if let Some(namespace) = namespace.filter(|namespace| *namespace != "/") {
            text.push_str(namespace);
            // A client of protocol 4 leaves the comma out where nothing follows, and so may we not: some read on.
            text.push(',');
        }
        if let Some(id) = id {
            text.push_str(&id.to_string());
        }
        for piece in [&*before, &*args, &*after] {
            text.push_str(piece);
        }
        let attachments = attachments.into_iter().map(Payload::Binary);
        Some(std::iter::once(text.into()).chain(attachments).collect())
    }

    /// A packet as one value of MessagePack.
    fn whole(
        self,
        kind: u8,
        namespace: Option<&str>,
        id: Option<u64>,
        values: Option<Vec<Value>>,
    ) -> Option<Encoded> {
        let mut members = vec![
            ("type".to_owned(), Value::Number(kind.into())),
            ("nsp".to_owned(), Value::Text(namespace.unwrap_or("/").to_owned())),
        ];
        if let Some(mut values) = values {
            let events = matches!(kind, 2 | 3);
            let data = if events { Value::Array(values) } else { values.pop()? };
            members.push(("data".to_owned(), data));
        }
        if let Some(id) = id {
            members.push(("id".to_owned(), Value::Number(id.into())));
        }
        Some(vec![parser::encode(&Msgpack, &Value::Object(members)).ok()?])
    }

    /// What an envelope carries, as arguments.
    fn arguments(self, envelope: &Envelope, parser: &dyn Parser, null: Null) -> Option<Body> {
        let body = envelope.body();
        if let (Payload::Text(text), "json") = (&body, parser.name()) {
            let (several, unmarked) = match text.strip_prefix(MARK) {
                Some(unmarked) => (true, unmarked),
                None => (false, &**text),
            };
            // What an application passes on as it is need not be JSON, and would cost the receiver its connection.
            let text = match serde_json::from_str::<IgnoredAny>(unmarked) {
                Ok(_) => text.slice_ref(unmarked),
                Err(_) => serde_json::to_string(unmarked).ok()?.into(),
            };
            let (text, attachments) = lift(text);
            let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let args = match inner.filter(|_| several) {
                Some(inner) => text.slice_ref(inner),
                None if text == "null" && (several || null == Null::IsNone) => ByteString::new(),
                None => text,
            };
            if !self.msgpack {
                return Some(Body::Json(Pieces { args, attachments, ..Pieces::default() }));
            }
            let mut values: Value = serde_json::from_str(&format!("[{args}]")).ok()?;
            if !attachments.is_empty() {
                fill(&mut values, &attachments).ok()?;
            }
            return match values {
                Value::Array(values) => Some(Body::Values(values)),
                _ => None,
            };
        }
        let value = match parser::decode::<Value>(parser, &body) {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(%error, "a message was not sent to a client of Socket.IO");
                return None;
            }
        };
        let none = value == Value::Null && null == Null::IsNone;
        let values = if none { Vec::new() } else { vec![value] };
        if self.msgpack {
            return Some(Body::Values(values));
        }
        let json = parser::encode(&parser::Json, &Marked(&values)).ok()?;
        let Payload::Text(json) = json else { return None };
        let (text, attachments) = lift(json);
        let args = text.slice_ref(text.strip_prefix('[').and_then(|text| text.strip_suffix(']'))?);
        Some(Body::Json(Pieces { args, attachments, ..Pieces::default() }))
    }
}

/// Values one by one, so that bytes among them are marked and never the whole.
struct Marked<'a>(&'a [Value]);

impl serde::Serialize for Marked<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

/// The namespace of a channel.
pub(crate) fn namespace(channel: &str) -> String {
    if channel.starts_with('/') { channel.to_owned() } else { format!("/{channel}") }
}

#[cfg(test)]
mod tests {
    use primus_core::parser::{Args, Json, Raw};
    use serde_bytes::ByteBuf;
    use serde_json::json;

    use super::*;

    const FIVE: Writing = Writing { version: Version::Five, msgpack: false };

    fn event(name: &str, args: &impl serde::Serialize) -> Envelope {
        Envelope::event(None, name, &parser::encode(&Json, args).unwrap()).unwrap()
    }

    fn text(encoded: Option<Encoded>) -> String {
        let encoded = encoded.unwrap();
        assert_eq!(encoded.len(), 1, "{encoded:?}");
        encoded[0].as_text().unwrap().to_owned()
    }

    #[test]
    fn events_as_clients_expect_them() {
        let of = |envelope: Envelope| text(FIVE.message(&envelope, &Json, None));
        assert_eq!(of(event("hi", &())), r#"2["hi"]"#);
        assert_eq!(of(event("hi", &1)), r#"2["hi",1]"#);
        assert_eq!(of(event("hi", &[1, 2])), r#"2["hi",[1,2]]"#);
        assert_eq!(
            of(event("hi", &Args((1, "2", json!({ "3": [true] }))))),
            r#"2["hi",1,"2",{"3":[true]}]"#
        );
        assert_eq!(of(event("hi", &Args(Vec::<u8>::new()))), r#"2["hi"]"#);
        assert_eq!(of("{\"a\":1}".into()), r#"2["message",{"a":1}]"#);
        assert_eq!(of("no json".into()), r#"2["message","no json"]"#);
        let passed = Envelope::event(None, "x", &"\t[1],[\t2]".into()).unwrap();
        assert_eq!(of(passed), r#"2["x","[1],[\t2]"]"#);
        let there = Envelope::event(Some("/custom"), "x", &"1".into()).unwrap();
        assert_eq!(of(there), r#"2/custom,["x",1]"#);
        let there = Envelope::data(Some("news"), &"1".into());
        assert_eq!(of(there), r#"2/news,["message",1]"#);
        let asks = Envelope::request(None, 7, "name", &"null".into()).unwrap();
        assert_eq!(of(asks), r#"27["name"]"#);
    }

    #[test]
    fn an_offset_is_the_last_argument_and_none_of_a_request() {
        let of = |envelope: Envelope| text(FIVE.message(&envelope, &Json, Some("s1")));
        assert_eq!(of(event("hi", &())), r#"2["hi","s1"]"#);
        assert_eq!(of(event("hi", &1)), r#"2["hi",1,"s1"]"#);
        let asks = Envelope::request(None, 7, "name", &"1".into()).unwrap();
        assert_eq!(of(asks), r#"27["name",1]"#);
    }

    #[test]
    fn an_answer_of_null_has_a_value_and_one_of_no_arguments_has_none() {
        for parser in [&Json as &dyn Parser, &Msgpack] {
            let reply = Envelope::reply(0, &parser::encode(parser, &()).unwrap());
            assert_eq!(text(FIVE.ack("/", 4, &reply, parser)), "34[null]");
        }
        for none in [parser::encode(&Json, &Args(())), parser::encode(&Json, &Args([0; 0]))] {
            let reply = Envelope::reply(0, &none.unwrap());
            assert_eq!(text(FIVE.ack("/", 4, &reply, &Json)), "34[]");
        }
        let packed = Writing { version: Version::Five, msgpack: true };
        for (body, data) in [("null", json!([null])), ("\tnull", json!([]))] {
            let sent = packed.ack("/", 4, &Envelope::reply(0, &body.into()), &Json).unwrap();
            let packet: serde_json::Value = parser::decode(&Msgpack, &sent[0]).unwrap();
            assert_eq!(packet, json!({ "type": 3, "nsp": "/", "data": data, "id": 4 }));
        }
    }

    #[test]
    fn bytes_are_attachments_wherever_they_are() {
        let whole = event("pic", &ByteBuf::from([1, 2]));
        let sent = FIVE.message(&whole, &Json, None).unwrap();
        assert_eq!(
            sent,
            [r#"51-["pic",{"_placeholder":true,"num":0}]"#.into(), Payload::from(vec![1, 2])]
        );
        let inside =
            event("pic", &Args((ByteBuf::from([]), "[\t1]", vec![ByteBuf::from([255, 0])])));
        let sent = FIVE.message(&inside, &Json, Some("o")).unwrap();
        let expected = r#"52-["pic",{"_placeholder":true,"num":0},"[\t1]",[{"_placeholder":true,"num":1}],"o"]"#;
        assert_eq!(sent, [expected.into(), Payload::from(vec![]), Payload::from(vec![255, 0])]);
        let answer =
            Envelope::reply(0, &parser::encode(&Json, &Args([ByteBuf::from([3])])).unwrap());
        let sent = FIVE.ack("/a", 789, &answer, &Json).unwrap();
        assert_eq!(
            sent,
            [r#"61-/a,789[{"_placeholder":true,"num":0}]"#.into(), Payload::from(vec![3])]
        );
        // By another parser that has bytes.
        let body = parser::encode(&Msgpack, &(1, ByteBuf::from([9]))).unwrap();
        let packed = Envelope::event(None, "x", &body).unwrap();
        let sent = FIVE.message(&packed, &Msgpack, None).unwrap();
        assert_eq!(
            sent,
            [r#"51-["x",[1,{"_placeholder":true,"num":0}]]"#.into(), Payload::from(vec![9])]
        );
        let raw = Envelope::from(Payload::from(vec![7]));
        let sent = FIVE.message(&raw, &Raw, None).unwrap();
        assert_eq!(
            sent,
            [r#"51-["message",{"_placeholder":true,"num":0}]"#.into(), Payload::from(vec![7])]
        );
    }

    #[test]
    fn bytes_beside_what_looks_like_an_attachment_are_numbers() {
        let packed = Writing { version: Version::Five, msgpack: true };
        let bytes = ByteBuf::from([1, 2]);
        for alike in [
            r#"{"_placeholder":true,"num":9}"#,
            r#"{"_placeholder":true,"num":0}"#,
            r#"{"_placeholder":1,"num":0}"#,
            r#"{"x":[{"\u005fplaceholder" : true}]}"#,
        ] {
            let body = format!("\t[[\t1,2],{alike}]");
            let event = Envelope::event(None, "x", &body.into()).unwrap();
            let said = format!("2[\"x\",[\t1,2],{alike}]");
            assert_eq!(text(FIVE.message(&event, &Json, None)), said);
            let packet = packed.message(&event, &Json, None).unwrap();
            let packet: serde_json::Value = parser::decode(&Msgpack, &packet[0]).unwrap();
            let alike: serde_json::Value = serde_json::from_str(alike).unwrap();
            assert_eq!(packet["data"], json!(["x", [1, 2], alike]));
        }
        // A text of that name is none, and a name without a value is none.
        for harmless in [json!("_placeholder"), json!({ "_placeholder": false }), json!("\u{1}")] {
            let sent = FIVE.message(&event("x", &Args((&bytes, harmless))), &Json, None).unwrap();
            assert_eq!(sent[1..], [Payload::from(vec![1, 2])]);
        }
    }

    #[test]
    fn no_more_attachments_than_a_client_takes() {
        let many = event("x", &Args(vec![ByteBuf::from([1]); 11]));
        let sent = FIVE.message(&many, &Json, None).unwrap();
        assert_eq!(sent.len(), 11);
        assert!(sent[0].as_text().unwrap().ends_with(r#""num":9},[1]]"#));
    }

    #[test]
    fn marks_within_marks_cost_no_more_than_their_length() {
        let depth = 300_000;
        let body = format!("{}{}", "[\t".repeat(depth), "]".repeat(depth));
        let event = Envelope::event(None, "x", &body.into()).unwrap();
        let sent = FIVE.message(&event, &Json, None).unwrap();
        let empty = format!("{}{{\"_placeholder\":true,\"num\":0}}", "[".repeat(depth - 1));
        let expected = format!("51-[\"x\",{empty}{}]", "]".repeat(depth - 1));
        assert_eq!(sent, [Payload::from(expected), Payload::from(Vec::new())]);
    }

    #[test]
    fn names_that_clients_have_themselves_are_not_sent() {
        for name in ["connect", "disconnect", "newListener"] {
            assert_eq!(FIVE.message(&event(name, &1), &Json, None), None, "{name}");
        }
    }

    #[test]
    fn what_is_said_of_namespaces() {
        let four = Writing { version: Version::Four, ..FIVE };
        let said = |encoded: Encoded| text(Some(encoded));
        assert_eq!(said(FIVE.connected("/", "abc", None)), r#"0{"sid":"abc"}"#);
        assert_eq!(said(FIVE.connected("/x", "abc", Some("p"))), r#"0/x,{"sid":"abc","pid":"p"}"#);
        assert_eq!(said(four.connected("/", "abc", None)), "0");
        assert_eq!(said(FIVE.disconnected("/")), "1");
        assert_eq!(said(FIVE.disconnected("/x")), "1/x,");
        let error = Value::Object(vec![("message".into(), Value::Text("no".into()))]);
        assert_eq!(said(FIVE.refused("/x", &error)), r#"4/x,{"message":"no"}"#);
        assert_eq!(said(four.refused("/", &error)), r#"4"no""#);
    }
}
