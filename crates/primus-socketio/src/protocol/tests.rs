//! What clients send, byte by byte, and what they should not.

use bytes::Bytes;
use primus_core::{
    Payload,
    parser::{self, Json, Msgpack},
};
use proptest::prelude::*;

use super::*;

fn reader(version: Version) -> Reader {
    Reader::new(version, 1 << 20)
}

fn read(text: &str) -> Result<Packet, PacketError> {
    reader(Version::Five).text(text.into()).map(|packet| packet.expect("a whole packet"))
}

fn at(namespace: &str, said: Said) -> Packet {
    Packet { namespace: namespace.to_owned().into(), query: None, said }
}

fn event(id: Option<u64>, name: &str, args: Arguments) -> Said {
    Said::Event { id, name: name.to_owned(), args }
}

#[test]
fn packets_of_protocol_5() {
    use Arguments::{None as Nothing, One, Several};
    for (text, expected) in [
        ("0", at("/", Said::Connect(None))),
        (r#"0{"token":"123"}"#, at("/", Said::Connect(Some(r#"{"token":"123"}"#.into())))),
        ("0/custom", at("/custom", Said::Connect(None))),
        ("0/custom,", at("/custom", Said::Connect(None))),
        ("0/custom?a=1,", at("/custom?a=1", Said::Connect(None))),
        (r#"0/custom,{"a":1}"#, at("/custom", Said::Connect(Some(r#"{"a":1}"#.into())))),
        ("1", at("/", Said::Disconnect)),
        ("1/custom,", at("/custom", Said::Disconnect)),
        (r#"2["hi"]"#, at("/", event(None, "hi", Nothing))),
        (r#"2["hi",[1,2]]"#, at("/", event(None, "hi", One("[1,2]".into())))),
        (
            r#"2["hi", 1 , "2",{"3":[true]}]"#,
            at("/", event(None, "hi", Several(r#"1 , "2",{"3":[true]}"#.into()))),
        ),
        (r#"2[7,1]"#, at("/", event(None, "7", One("1".into())))),
        (r#"2["\u00e9\n"]"#, at("/", event(None, "é\n", Nothing))),
        (r#"2/a,12["hi",1]"#, at("/a", event(Some(12), "hi", One("1".into())))),
        (r#"20["hi"]"#, at("/", event(Some(0), "hi", Nothing))),
        ("312[]", at("/", Said::Ack { id: Some(12), args: Nothing })),
        (r#"3/a,0["x",2]"#, at("/a", Said::Ack { id: Some(0), args: Several(r#""x",2"#.into()) })),
        ("3[]", at("/", Said::Ack { id: None, args: Nothing })),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_packet() {
    for text in [
        "",
        "abc",
        "7",
        "-1",
        "0[]",
        "0{",
        "0\"x\"",
        "1{}",
        "1[]",
        "2",
        "2{}",
        "2[]",
        "2abc[]",
        "2[true,\"foo\"]",
        "2[null,\"bar\"]",
        "2[{\"toString\":\"foo\"}]",
        "2[\"connect\"]",
        "2[\"disconnect\",\"x\"]",
        "2[\"connect_error\"]",
        "2[\"disconnecting\"]",
        "2[\"newListener\"]",
        "2[\"removeListener\"]",
        "2abc[\"message-with-ack\"]",
        "2[\"x\"]1",
        "2[\"x\",]",
        "2{\"0\":\"x\",\"length\":1}",
        "3",
        "3{}",
        "31\"x\"",
        "4",
        "4{\"message\":\"x\"}",
        "5",
        "51",
        "5a-",
        "51.23-",
        "50-[]",
        "5-[\"x\"]",
        "511-[\"x\"]",
        "599999-[\"x\"]",
        "52222222222222222222222-",
        "5-1-[\"x\"]",
        "6",
        "61",
        "2\u{660}[\"x\"]",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn an_endless_ack_id_is_an_event_without_one() {
    let digits = "2".repeat(900_000);
    let packet = read(&format!("2{digits}[\"x\"]")).unwrap();
    assert_eq!(packet, at("/", event(None, "x", Arguments::None)));
    assert!(read(&format!("5{digits}")).is_err());
    assert!(read(&format!("2{digits}")).is_err());
}

#[test]
fn what_is_nested_too_deep_is_refused_on_any_stack() {
    let deep = format!("2[\"x\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let refused = thread.spawn(move || {
        let refused = read(&deep).is_err() && read(&deep.replace("2[", "0[")).is_err();
        let mut binary = reader(Version::Five);
        let text = deep.replacen('2', "51-", 1);
        refused && binary.text(text.into()) == Ok(None) && binary.binary(Bytes::new()).is_err()
    });
    assert!(refused.unwrap().join().unwrap());
}

#[test]
fn attachments_take_the_places_of_their_placeholders() {
    let mut reader = reader(Version::Five);
    let text =
        r#"52-/a,7["x",{"_placeholder":true,"num":1},{"y":[{"num":0,"_placeholder":true}]}]"#;
    assert_eq!(reader.text(text.into()), Ok(None));
    assert!(reader.is_waiting());
    assert_eq!(reader.binary(Bytes::from_static(&[0])), Ok(None));
    let packet = reader.binary(Bytes::from_static(&[1, 1])).unwrap().unwrap();
    let bytes = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
    let inner = Value::Object(vec![("y".to_owned(), Value::Array(vec![bytes(&[0])]))]);
    let args = Arguments::Values(vec![bytes(&[1, 1]), inner]);
    assert_eq!(args.encode(&Json).unwrap(), "\t[[\t1,1],{\"y\":[[\t0]]}]".into());
    assert_eq!(packet, at("/a", event(Some(7), "x", args)));
    // The same one twice, and an answer.
    let text = r#"61-0[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
    assert_eq!(reader.text(text.into()), Ok(None));
    let packet = reader.binary(Bytes::from_static(&[5])).unwrap().unwrap();
    let args = Arguments::Values(vec![bytes(&[5]), bytes(&[5])]);
    assert_eq!(packet, at("/", Said::Ack { id: Some(0), args }));
}

#[test]
fn one_argument_that_is_bytes_is_bytes() {
    let args = Arguments::Values(vec![Value::Bytes(Bytes::from_static(&[1, 2]))]);
    assert_eq!(args.encode(&Json).unwrap(), Payload::from(vec![1, 2]));
}

#[test]
fn attachments_out_of_place() {
    let placeholder = |num: &str| format!(r#"51-["hello",{{"_placeholder":true,"num":{num}}}]"#);
    for num in ["\"splice\"", "1", "-1", "0.5", "null", "[]", "99999999999999999999", "1e400"] {
        let mut reader = reader(Version::Five);
        assert_eq!(reader.text(placeholder(num).into()), Ok(None), "{num}");
        assert!(reader.binary(Bytes::from_static(b"x")).is_err(), "{num}");
    }
    let mut reader = reader(Version::Five);
    assert!(reader.binary(Bytes::new()).is_err(), "nothing is waiting");
    assert_eq!(reader.text(placeholder("0").into()), Ok(None));
    assert!(reader.text("2[\"x\"]".into()).is_err(), "text while an attachment is due");
    for json in [
        "[true]",
        "{}",
        "[]",
        "[\"connect\"]",
        "[[\"x\"]]",
        "",
        "[{\"_placeholder\":true,\"num\":0}]",
    ] {
        let mut reader = self::reader(Version::Five);
        assert_eq!(reader.text(format!("51-{json}").into()), Ok(None), "{json}");
        assert!(reader.binary(Bytes::new()).is_err(), "{json}");
    }
}

#[test]
fn attachments_are_bounded_in_number_and_bytes() {
    let mut reader = Reader::new(Version::Five, 100);
    assert_eq!(reader.text("510-[\"x\"]".into()), Ok(None));
    for _ in 0..9 {
        assert_eq!(reader.binary(Bytes::from(vec![0; 9])), Ok(None));
    }
    assert_eq!(
        reader.binary(Bytes::from(vec![0; 100])),
        Err(PacketError("it is too long with its attachments"))
    );
}

#[test]
fn a_query_behind_a_namespace_of_protocol_4() {
    let packet = reader(Version::Four).text("0/admin?token=1".into()).unwrap().unwrap();
    let query = Some("token=1".into());
    assert_eq!(packet, Packet { namespace: "/admin".into(), query, said: Said::Connect(None) });
}

#[test]
fn arguments_are_one_value_to_any_parser() {
    let of = |text: &str| match read(text).unwrap().said {
        Said::Event { args, .. } => args,
        other => panic!("{other:?}"),
    };
    for (text, json, value) in [
        (r#"2["x"]"#, "\tnull", serde_json::json!(null)),
        (r#"2["x",null]"#, "null", serde_json::json!(null)),
        (r#"2["x",{"a":1}]"#, r#"{"a":1}"#, serde_json::json!({ "a": 1 })),
        (r#"2["x",1,"b"]"#, "\t[1,\"b\"]", serde_json::json!([1, "b"])),
    ] {
        assert_eq!(of(text).encode(&Json).unwrap(), Payload::from(json), "{text}");
        let packed = of(text).encode(&Msgpack).unwrap();
        assert_eq!(
            parser::decode::<serde_json::Value>(&Msgpack, &packed).unwrap(),
            value,
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_may_come(text in "\\PC*") {
        let _ = reader(Version::Five).text(text.into());
    }

    #[test]
    fn what_is_nearly_a_packet_may_come(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "0", "2", "5", "6", "-", "/", "a", ",", "[", "]", "{", "}", "\"", "x", "?", "\\", "1", "99", " ", "☃",
                "{\"_placeholder\":true,\"num\":0}", "[\"x\",", "null", "\t",
            ]),
            0..24,
        ),
        binary in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4),
    ) {
        for version in [Version::Five, Version::Four] {
            let mut reader = reader(version);
            let mut read = reader.text(parts.concat().into());
            for bytes in &binary {
                if let Ok(Some(packet)) = &read
                    && let Said::Event { args, .. } | Said::Ack { args, .. } = &packet.said
                {
                    let _ = (args.encode(&Json), args.encode(&Msgpack));
                }
                if read.is_ok() {
                    read = reader.binary(bytes.clone().into());
                }
            }
        }
    }
}

#[test]
fn packets_of_the_msgpack_parser() {
    let packed = |value: &serde_json::Value| match parser::encode(&Msgpack, value).unwrap() {
        Payload::Binary(bytes) => bytes,
        text => panic!("{text:?}"),
    };
    let read = |value: serde_json::Value| reader(Version::Five).whole(&packed(&value));
    let args = Arguments::Values(vec![Value::Text("a".to_owned())]);
    for (value, expected) in [
        (serde_json::json!({ "type": 0, "nsp": "/" }), Said::Connect(None)),
        (
            serde_json::json!({ "type": 0, "nsp": "/", "data": { "a": 1 } }),
            Said::Connect(Some(r#"{"a":1}"#.into())),
        ),
        (serde_json::json!({ "type": 1, "nsp": "/" }), Said::Disconnect),
        (
            serde_json::json!({ "type": 2, "nsp": "/", "data": ["x", "a"], "id": 3 }),
            event(Some(3), "x", args.clone()),
        ),
        (
            serde_json::json!({ "type": 3, "nsp": "/", "data": ["a"], "id": 3 }),
            Said::Ack { id: Some(3), args },
        ),
    ] {
        assert_eq!(read(value.clone()), Ok(at("/", expected)), "{value}");
    }
    for value in [
        serde_json::json!([]),
        serde_json::json!({ "type": 0 }),
        serde_json::json!({ "type": 2, "nsp": "/" }),
        serde_json::json!({ "type": 2, "nsp": "/", "data": {} }),
        serde_json::json!({ "type": 2, "nsp": "/", "data": [] }),
        serde_json::json!({ "type": 2, "nsp": "/", "data": ["connect"] }),
        serde_json::json!({ "type": 4, "nsp": "/" }),
        serde_json::json!({ "type": 5, "nsp": "/", "data": ["x"] }),
        serde_json::json!({ "type": "2", "nsp": "/", "data": ["x"] }),
        serde_json::json!({ "type": 1, "nsp": "/", "data": 1 }),
    ] {
        assert!(read(value.clone()).is_err(), "{value}");
    }
    assert!(reader(Version::Five).whole(&vec![0x91; 100_000].into()).is_err());
}
