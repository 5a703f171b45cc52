//! The parser `msgpack`.

use rmp_serde::{Deserializer, Serializer};

use super::{DecodeError, EncodeError, Parser, Visit};
use crate::message::Payload;

/// How deep a value may be nested, as in JSON.
const DEPTH: usize = 128;

/// One [MessagePack](https://msgpack.org) value a message, which is always binary.
///
/// A value means what it means in JSON: structs are maps with the names of their fields, enums
/// are as serde has them, and what has a form for people (addresses, UUIDs, dates) has that. So
/// `json` and `msgpack` can be exchanged, with two differences: bytes are bytes wherever they
/// stand, and the keys of maps may be numbers.
///
/// ```
/// use primus_core::{Payload, parser::{self, Msgpack}};
/// let payload = parser::encode(&Msgpack, &serde_json::json!({ "a": 1 }))?;
/// assert_eq!(payload, Payload::from(b"\x81\xa1a\x01".to_vec()));
/// # Ok::<(), primus_core::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Msgpack;

impl Parser for Msgpack {
    fn name(&self) -> &'static str {
        "msgpack"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        self.encode_into(value, Vec::with_capacity(64))
    }

    fn encode_into(
        &self,
        value: &dyn erased_serde::Serialize,
        mut buffer: Vec<u8>,
    ) -> Result<Payload, EncodeError> {
        let mut msgpack = Serializer::new(&mut buffer).with_struct_map().with_human_readable();
        erased_serde::serialize(value, &mut msgpack).map_err(EncodeError::new)?;
        Ok(buffer.into())
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        let Payload::Binary(bytes) = payload else {
            return Err(DecodeError::new("it is text, and msgpack is binary"));
        };
        check(bytes).map_err(DecodeError::new)?;
        let mut msgpack = Deserializer::from_read_ref(&**bytes).with_human_readable();
        msgpack.set_max_depth(DEPTH + 1); // 1 is none
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut msgpack))
            .map_err(DecodeError::new)
    }
}

/// Checks that this is one value and nothing else, no deeper than [`DEPTH`]. After that no length
/// in it is more than there is, so who reserves room for what is announced reserves no more than
/// was received.
fn check(bytes: &[u8]) -> Result<(), &'static str> {
    const SHORT: &str = "the value breaks off";
    let mut rest = bytes;
    // How many values are missing in each of the containers around.
    let mut open: Vec<usize> = Vec::new();
    loop {
        let (&marker, behind) = rest.split_first().ok_or(SHORT)?;
        rest = behind;
        let mut number = |size: usize| -> Result<usize, &'static str> {
            let (number, behind) = rest.split_at_checked(size).ok_or(SHORT)?;
            rest = behind;
            Ok(number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
        };
        // What follows: bytes, and values.
        let (skip, values) = match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
            0x80..=0x8f => (0, usize::from(marker & 0x0f) * 2),
            0x90..=0x9f => (0, usize::from(marker & 0x0f)),
            0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
            0xc1 => return Err("the byte c1 begins no value"),
            0xc4 | 0xd9 => (number(1)?, 0),
            0xc5 | 0xda => (number(2)?, 0),
            0xc6 | 0xdb => (number(4)?, 0),
            0xc7 => (number(1)?.saturating_add(1), 0),
            0xc8 => (number(2)?.saturating_add(1), 0),
            0xc9 => (number(4)?.saturating_add(1), 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xd4..=0xd8 => ((1 << (marker - 0xd4)) + 1, 0),
            0xdc => (0, number(2)?),
            0xdd => (0, number(4)?),
            0xde => (0, number(2)?.saturating_mul(2)),
            0xdf => (0, number(4)?.saturating_mul(2)),
        };
        rest = rest.get(skip..).ok_or(SHORT)?;
        if values > rest.len() {
            return Err(SHORT);
        }
        if values > 0 {
            if open.len() == DEPTH {
                return Err("the value is nested too deep");
            }
            open.push(values);
            continue;
        }
        while let Some(missing) = open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                break;
            }
            open.pop();
        }
        if open.is_empty() {
            return if rest.is_empty() { Ok(()) } else { Err("something follows the value") };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv4Addr};

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize, de::IgnoredAny};
    use serde_json::{Value, json};

    use super::*;
    use crate::parser::{decode, encode, encode_into};

    fn bytes(bytes: &[u8]) -> Payload {
        bytes.to_vec().into()
    }

    fn error<'de, T: Deserialize<'de> + std::fmt::Debug>(payload: &'de Payload) -> String {
        let error = decode::<T>(&Msgpack, payload).unwrap_err().to_string();
        error.strip_prefix("the message cannot be decoded: ").unwrap().to_owned()
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct User {
        name: String,
        age: u8,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        blob: Option<Bytes>,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Kinds {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }

    #[test]
    fn structs_are_maps_with_the_names_of_their_fields() {
        let user = User { name: "Ada".to_owned(), age: 36, blob: Some(Bytes::from_static(&[9])) };
        let expected = bytes(b"\x83\xa4name\xa3Ada\xa3age\x24\xa4blob\xc4\x01\x09");
        assert_eq!(encode(&Msgpack, &user).unwrap(), expected);
        assert_eq!(decode::<User>(&Msgpack, &expected).unwrap(), user);
        // In any order, with more than is asked for.
        let other = bytes(b"\x83\xa3age\xcd\x00\x24\xa1x\x91\xc0\xa4name\xd9\x03Ada");
        let user = User { name: "Ada".to_owned(), age: 36, blob: None };
        assert_eq!(decode::<User>(&Msgpack, &other).unwrap(), user);
    }

    #[test]
    fn values_mean_what_they_mean_in_json() {
        let cases: [(&dyn erased_serde::Serialize, &[u8]); 11] = [
            (&(), b"\xc0"),
            (&None::<u8>, b"\xc0"),
            (&Some(true), b"\xc3"),
            (&-1_i64, b"\xff"),
            (&300_u64, b"\xcd\x01\x2c"),
            (&1.5_f64, b"\xcb\x3f\xf8\0\0\0\0\0\0"),
            (&Ipv4Addr::LOCALHOST, b"\xa9127.0.0.1"),
            (&vec![1_u8, 2], b"\x92\x01\x02"),
            (&Bytes::from_static(&[1, 2]), b"\xc4\x02\x01\x02"),
            (&(1, "a"), b"\x92\x01\xa1a"),
            (&BTreeMap::from([(1, 2)]), b"\x81\x01\x02"),
        ];
        for (value, expected) in cases {
            assert_eq!(encode(&Msgpack, value).unwrap(), bytes(expected));
        }
        for (kind, expected) in [
            (Kinds::Unit, &b"\xa4Unit"[..]),
            (Kinds::Newtype(1), b"\x81\xa7Newtype\x01"),
            (Kinds::Tuple(1, 2), b"\x81\xa5Tuple\x92\x01\x02"),
            (Kinds::Struct { a: 1 }, b"\x81\xa6Struct\x81\xa1a\x01"),
        ] {
            assert_eq!(encode(&Msgpack, &kind).unwrap(), bytes(expected));
            assert_eq!(decode::<Kinds>(&Msgpack, &bytes(expected)).unwrap(), kind);
        }
        let value = json!({ "a": [1, -1, 1.5, "ü", null, true, {}], "b": { "c": [] } });
        let payload = encode(&Msgpack, &value).unwrap();
        assert_eq!(decode::<Value>(&Msgpack, &payload).unwrap(), value);
        let key = bytes(b"\x81\x01\x02");
        assert_eq!(decode::<BTreeMap<u8, u8>>(&Msgpack, &key).unwrap(), [(1, 2)].into());
        let address = encode(&Msgpack, &Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(decode::<Ipv4Addr>(&Msgpack, &address).unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(decode::<f64>(&Msgpack, &bytes(b"\x02")).unwrap(), 2.0);
    }

    #[test]
    fn it_goes_behind_what_is_there_and_is_binary() {
        let payload = encode_into(&Msgpack, &[1], b"head:".to_vec()).unwrap();
        assert_eq!(payload, bytes(b"head:\x91\x01"));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        assert_eq!(error::<u8>(&"1".into()), "it is text, and msgpack is binary");
        assert_eq!(error::<u8>(&bytes(b"")), "the value breaks off");
        assert_eq!(error::<Value>(&bytes(b"\xc1")), "the byte c1 begins no value");
        assert_eq!(error::<u8>(&bytes(b"\x01\x02")), "something follows the value");
        for short in [&b"\xa2a"[..], b"\xc6\xff\xff\xff\xff", b"\x92\x01", b"\x81\x01", b"\xcf\0"] {
            assert_eq!(error::<Value>(&bytes(short)), "the value breaks off");
        }
    }

    #[test]
    fn its_errors_have_a_path() {
        let payload = encode(&Msgpack, &json!([{ "name": "Ada", "age": 300 }])).unwrap();
        let error = decode::<Vec<User>>(&Msgpack, &payload).unwrap_err();
        assert_eq!(error.path(), Some("[0].age"));
    }

    /// Reserves as much as it is told that there will be, as some types do.
    #[derive(Debug)]
    struct Trusting;

    impl<'de> Deserialize<'de> for Trusting {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Trusting;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a list")
                }

                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut list: A,
                ) -> Result<Trusting, A::Error> {
                    assert!(list.size_hint() <= Some(3), "{:?}", list.size_hint());
                    while list.next_element::<IgnoredAny>()?.is_some() {}
                    Ok(Trusting)
                }
            }
            deserializer.deserialize_seq(Visitor)
        }
    }

    #[test]
    fn no_more_is_announced_than_has_been_received() {
        decode::<Trusting>(&Msgpack, &bytes(b"\x93\x01\x02\x03")).unwrap();
        let bomb = bytes(b"\xdd\xff\xff\xff\xff\x01\x02\x03");
        assert_eq!(error::<Trusting>(&bomb), "the value breaks off");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            let mut value = vec![0x91; depth];
            value.push(0xc0);
            Payload::from(value)
        };
        decode::<Value>(&Msgpack, &nested(DEPTH)).unwrap();
        decode::<IgnoredAny>(&Msgpack, &nested(DEPTH)).unwrap();
        for depth in [DEPTH + 1, 1_000_000] {
            assert_eq!(error::<Value>(&nested(depth)), "the value is nested too deep");
            assert_eq!(error::<IgnoredAny>(&nested(depth)), "the value is nested too deep");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()).prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..20)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in values()) {
            let payload = encode(&Msgpack, &value).unwrap();
            prop_assert_eq!(decode::<Value>(&Msgpack, &payload).unwrap(), value);
        }

        #[test]
        fn bytes_of_any_kind_are_a_value_or_an_error(
            garbage in prop::collection::vec(any::<u8>(), 0..200),
            value in values(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = decode::<Value>(&Msgpack, &garbage.into());
            let payload = encode(&Msgpack, &value).unwrap();
            let mut bytes = payload.as_bytes().to_vec();
            let at = at.index(bytes.len());
            prop_assert!(decode::<Value>(&Msgpack, &bytes[..at].to_vec().into()).is_err());
            bytes[at] = byte;
            let _ = decode::<Value>(&Msgpack, &bytes.clone().into());
            let _ = decode::<User>(&Msgpack, &bytes.into());
        }
    }
}
