//! What holds for all packets, and for all bytes.

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::Payload;
use proptest::prelude::*;

use super::{BadPacket, Packet, read_jsonp, v3, v4};

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let text = "[^\u{1e}]{0,12}";
    let packet = prop_oneof![
        text.prop_map(|text| Packet::Open(text.into())),
        Just(Packet::Close),
        text.prop_map(|text| Packet::Ping(text.into())),
        text.prop_map(|text| Packet::Pong(text.into())),
        text.prop_map(|text| Packet::Message(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Packet::Message(bytes.into())),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ];
    proptest::collection::vec(packet, 1..8)
}

/// Bytes that look like payloads more often than not.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        "[0-9]{0,12}:[0-9b]?[a-zA-Z+/=]{0,8}".prop_map(String::into_bytes),
        "b[a-zA-Z0-9+/]{0,8}={0,2}\u{1e}?".prop_map(String::into_bytes),
        "[0-6]\\PC{0,4}\u{1e}?".prop_map(String::into_bytes),
        (0..3u8, proptest::collection::vec(0..11u8, 0..4), any::<Vec<u8>>())
            .prop_map(|(kind, length, data)| [vec![kind], length, vec![255], data].concat()),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(packets in packets()) {
        let expected: Vec<Result<_, BadPacket>> = packets.iter().cloned().map(Ok).collect();

        let texts = packets.iter().map(|packet| {
            let mut text = String::new();
            v4::write_text(packet, &mut text);
            text
        });
        let payload = texts.collect::<Vec<_>>().join("\u{1e}");
        prop_assert_eq!(&v4::decode(payload.into()).collect::<Vec<_>>(), &expected);

        let mut text = String::new();
        packets.iter().for_each(|packet| v3::write(packet, &mut text));
        prop_assert_eq!(&v3::decode(text.into()).collect::<Vec<_>>(), &expected);

        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| v3::write_binary(packet, &mut bytes));
        prop_assert_eq!(v3::decode_binary(bytes.into()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn whatever_comes_there_is_at_most_one_error_and_it_is_the_last(bytes in payloads()) {
        let bytes = Bytes::from(bytes);
        let text = ByteString::from(String::from_utf8_lossy(&bytes).into_owned());
        let all: [Vec<Result<Packet, BadPacket>>; 3] = [
            v4::decode(text.clone()).collect(),
            v3::decode(text).collect(),
            v3::decode_binary(bytes.clone()).collect(),
        ];
        for packets in all {
            prop_assert!(packets.iter().rev().skip(1).all(Result::is_ok));
            let size: usize = packets.iter().flatten().map(|packet| match packet {
                Packet::Message(message) => message.len(),
                _ => 0,
            }).sum();
            prop_assert!(size <= 3 * bytes.len(), "nothing is made of nothing");
        }
        let _ = read_jsonp(&bytes);
    }
}

#[test]
fn the_examples_of_the_reference_to_the_byte() {
    let hello = Packet::Message("hello".into());
    let bytes = Packet::Message(vec![1, 2, 3, 4].into());
    let read = |payload: &str| v4::decode(payload.into()).collect::<Vec<_>>();
    assert_eq!(read("4hello\u{1e}bAQIDBA=="), [Ok(hello.clone()), Ok(bytes.clone())]);
    let read = |payload: &str| v3::decode(payload.into()).collect::<Vec<_>>();
    let euro = Packet::Message("€".into());
    assert_eq!(read("6:4hello2:4€"), [Ok(hello.clone()), Ok(euro)]);
    assert_eq!(read("6:4hello10:b4AQIDBA=="), [Ok(hello.clone()), Ok(bytes.clone())]);
    assert_eq!(read("3:4😀"), [Ok(Packet::Message("😀".into()))]);
    assert_eq!(read("0:"), []);
    let mut binary = Vec::new();
    [hello, bytes].iter().for_each(|packet| v3::write_binary(packet, &mut binary));
    assert_eq!(binary, b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04");
}

#[test]
fn what_is_bad_is_an_error() {
    for bad in ["", "abc", "7", "b=", "4a\u{1e}", "\u{1e}4a"] {
        assert!(v4::decode(bad.into()).any(|packet| packet.is_err()), "{bad:?}");
    }
    for bad in [
        "",
        "abc",
        ":4",
        "1",
        "9:4a",
        "2:4",
        "1:4a",
        "-1:4",
        "+1:4",
        "2:4😀",
        "1e1:4",
        "99999991:4",
    ] {
        assert!(v3::decode(bad.into()).any(|packet| packet.is_err()), "{bad:?}");
    }
    let bad: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x02\x01\xff4",
        b"\x00\xff4",
        b"\x00\x0a\xff4",
        b"\x00\x02\xff4",
        b"\x01\x01\xff4",
        b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff4",
    ];
    for bad in bad {
        let mut packets = v3::decode_binary(Bytes::from_static(bad));
        assert!(packets.any(|packet| packet.is_err()), "{bad:?}");
    }
    // Nothing of a language is read into it: what begins like a packet is a message as any other.
    let four = Packet::Message(Payload::from("4".as_bytes().to_vec()));
    assert_eq!(v4::read_text(&"bNA==".into()), Ok(four));
}
