//! The parser `json`.

use std::io;

use serde::{
    Deserialize, Deserializer, Serialize as _, de,
    de::{
        Visitor,
        value::{BorrowedStrDeserializer, Error},
    },
    forward_to_deserialize_any,
};
use serde_json::ser::Formatter;

use super::{
    DecodeError, EncodeError, Kind, MARK, Own, Parser, Visit, text,
    top::{Found, Top},
};
use crate::message::Payload;

/// The parser that a mount uses unless told otherwise: one JSON text a message (RFC 8259).
///
/// A value that is bytes as a whole (`bytes::Bytes`, `serde_bytes`) is a binary message with just
/// these bytes, and a binary message is read as such a value. Bytes inside of a value are arrays
/// of numbers, marked by a tab ([`MARK`]), and so is a `Vec<u8>`, which serde does not take for bytes,
/// without the mark.
///
/// ```
/// use bytes::Bytes;
/// use primus_core::{Payload, parser::{self, Json}};
/// let payload = parser::encode(&Json, &Bytes::from_static(&[1, 2]))?;
/// assert_eq!(payload, Payload::from(vec![1, 2]));
/// assert_eq!(parser::decode::<Bytes>(&Json, &payload)?, [1, 2][..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Parser for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        self.encode_into(value, Vec::with_capacity(128))
    }

    fn encode_into(
        &self,
        value: &dyn erased_serde::Serialize,
        mut buffer: Vec<u8>,
    ) -> Result<Payload, EncodeError> {
        let head = buffer.len();
        let found = Found::default();
        let mut json = serde_json::Serializer::with_formatter(&mut buffer, Marked);
        Top::new(value, &found).serialize(&mut json).map_err(EncodeError::new)?;
        if let Some(bytes) = found.bytes.take() {
            if head == 0 {
                return Ok(bytes.into());
            }
            buffer.truncate(head);
            buffer.extend_from_slice(&bytes);
            return Ok(buffer.into());
        }
        if found.several.get() {
            buffer.insert(head, MARK as u8);
        }
        text(buffer)
    }

    fn own(&self) -> Option<Own> {
        Some(Own(Kind::Json))
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        match payload {
            Payload::Text(text) => {
                let mut json = serde_json::Deserializer::from_str(text);
                visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
                    .map_err(DecodeError::new)?;
                json.end().map_err(DecodeError::new)
            }
            Payload::Binary(bytes) => {
                visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(Whole(bytes)))
                    .map_err(DecodeError::new)
            }
        }
    }
}

/// Decodes a JSON text. A string without escapes is what stands between its quotes, which is found out in a fraction
/// of the time; where that does not fit, serde_json says what is wrong.
pub(super) fn decode_text<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, DecodeError> {
    plain_string(json)
        .and_then(|string| T::deserialize(BorrowedStrDeserializer::<Error>::new(string)).ok())
        .map_or_else(|| serde_json::from_str(json).map_err(DecodeError::new), Ok)
}

/// What a JSON text says that is nothing but a string without escapes (RFC 8259 §7).
fn plain_string(json: &str) -> Option<&str> {
    let string = json.strip_prefix('"')?.strip_suffix('"')?;
    let special = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
    // A block is looked at as a whole, many bytes at a time.
    let plain = |block: &[u8]| !block.iter().fold(false, |found, byte| found | special(byte));
    string.as_bytes().chunks(128).all(plain).then_some(string)
}

/// Decodes JSON, whatever it came in.
pub(crate) fn decode<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(json).map_err(|error| {
        let error = DecodeError::new(error);
        let mut track = serde_path_to_error::Track::new();
        let mut json = serde_json::Deserializer::from_slice(json);
        let again = T::deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
        if again.is_err() { error.at(&track.path()) } else { error }
    })
}

/// No white space, but for the mark of bytes.
struct Marked;

impl Formatter for Marked {
    fn write_byte_array<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        writer.write_all(&[b'[', MARK as u8])?;
        for (index, byte) in bytes.iter().enumerate() {
            if index > 0 {
                writer.write_all(b",")?;
            }
            self.write_u8(writer, *byte)?;
        }
        writer.write_all(b"]")
    }
}

/// A binary message: bytes, and nothing else.
struct Whole<'de>(&'de [u8]);

fn binary() -> Error {
    de::Error::custom(
        "it is binary, not JSON: ask for bytes (`bytes::Bytes`, `serde_bytes::ByteBuf`), or call `json()` if there is JSON in it",
    )
}

impl<'de> Deserializer<'de> for Whole<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0).map_err(|_: Error| binary())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0)
    }

    // A string would take bytes for its own.

    fn deserialize_str<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(binary())
    }

    fn deserialize_string<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(binary())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, error::Error as _};

    use bytes::Bytes;
    use serde::Serialize;
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::{
        Message,
        parser::{decode, encode, json},
    };

    #[test]
    fn json_round_trip_and_leftovers() {
        let payload = encode(&Json, &vec![1, 2]).unwrap();
        assert_eq!(payload, Payload::from("[1,2]"));
        assert_eq!(decode::<Vec<u8>>(&Json, &payload).unwrap(), [1, 2]);
        assert!(decode::<Vec<u8>>(&Json, &"[1] x".into()).is_err());
        assert!(decode::<u8>(&Json, &"".into()).is_err());
    }

    /// As serde_json has it, the value or the error.
    fn is_as_by_serde_json<'de, T: Deserialize<'de> + std::fmt::Debug>(json: &'de str) {
        let expected = serde_json::from_str::<T>(json).map_err(|it| it.to_string());
        let decoded = decode_text::<T>(json).map_err(|it| it.source().unwrap().to_string());
        let type_name = std::any::type_name::<T>();
        assert_eq!(format!("{decoded:?}"), format!("{expected:?}"), "{type_name} of {json:?}");
    }

    #[test]
    fn a_string_is_what_serde_json_makes_of_it_whatever_is_asked_for() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code, reason = "its Debug is compared")]
        struct Name<T>(T);
        #[derive(Debug, Deserialize)]
        enum Kind {
            #[serde(rename = "ab")]
            Ab,
        }
        let strings = [
            "",
            "ab",
            "x",
            "1",
            "é𝄞",
            "127.0.0.1",
            "\u{7f}",
            "\u{1f}",
            "a\tb",
            "a\nb",
            "a\0",
            r"a\n",
            r#"\""#,
            r"\",
            r"\ud834\udd1e",
            r"\ud834",
            r#"","b"#,
            "\"",
        ];
        let long = ["x".repeat(300), "é".repeat(300), format!("{}\\n", "x".repeat(200))];
        for string in strings.into_iter().chain(long.iter().map(String::as_str)) {
            for json in [
                format!("\"{string}\""),
                format!(" \"{string}\""),
                format!("\"{string}\" "),
                format!("\t\"{string}\""),
                format!("\"{string}"),
                format!("[\"{string}\"]"),
                string.to_owned(),
            ] {
                is_as_by_serde_json::<String>(&json);
                is_as_by_serde_json::<&str>(&json);
                is_as_by_serde_json::<std::borrow::Cow<'_, str>>(&json);
                is_as_by_serde_json::<Option<String>>(&json);
                is_as_by_serde_json::<Name<String>>(&json);
                is_as_by_serde_json::<Name<Option<Box<str>>>>(&json);
                is_as_by_serde_json::<Kind>(&json);
                is_as_by_serde_json::<serde_json::Value>(&json);
                is_as_by_serde_json::<char>(&json);
                is_as_by_serde_json::<u8>(&json);
                is_as_by_serde_json::<()>(&json);
                is_as_by_serde_json::<de::IgnoredAny>(&json);
                is_as_by_serde_json::<std::net::IpAddr>(&json);
                is_as_by_serde_json::<Vec<u8>>(&json);
                is_as_by_serde_json::<ByteBuf>(&json);
                is_as_by_serde_json::<Bytes>(&json);
            }
        }
    }

    #[test]
    fn json_depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(decode::<serde_json::Value>(&Json, &deep.into()).is_err());
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Blob(#[serde(with = "serde_bytes")] Vec<u8>);

    #[derive(Serialize)]
    enum Kinds {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }

    #[test]
    fn whatever_is_not_bytes_is_as_serde_json_makes_it() {
        #[derive(Serialize)]
        struct Unit;
        #[derive(Serialize)]
        struct Pair(u8, char);
        #[derive(Serialize)]
        struct Named<'a> {
            blob: Bytes,
            map: BTreeMap<u8, &'a str>,
            none: Option<()>,
        }
        let named =
            Named { blob: Bytes::from_static(b"\x01"), map: [(1, "\n")].into(), none: None };
        let values: [&dyn erased_serde::Serialize; 18] = [
            &true,
            &-1_i8,
            &u64::MAX,
            &i128::MIN,
            &1.5_f32,
            &f64::NAN,
            &'ü',
            &"\"",
            &(),
            &Unit,
            &Some("x"),
            &None::<u8>,
            &Pair(1, 'x'),
            &named,
            &Kinds::Unit,
            &Kinds::Newtype(1),
            &Kinds::Tuple(1, 2),
            &Kinds::Struct { a: 1 },
        ];
        for value in values {
            let expected = serde_json::to_string(value).unwrap().replace("[1]", "[\t1]");
            assert_eq!(encode(&Json, value).unwrap(), Payload::from(&*expected));
        }
        let lists = [encode(&Json, &[vec![1_u8]]), encode(&Json, &[Bytes::from_static(&[1])])];
        assert_eq!(lists.map(Result::unwrap), ["[[1]]", "[[\t1]]"].map(Payload::from));
        assert!(encode(&Json, &BTreeMap::from([((1, 1), 1)])).is_err(), "it is no key");
    }

    #[test]
    fn bytes_at_the_top_are_a_binary_message_both_ways() {
        let expected = Payload::from(vec![0xff, 0]);
        for encoded in [
            encode(&Json, &Bytes::from_static(&[0xff, 0])),
            encode(&Json, serde_bytes::Bytes::new(&[0xff, 0])),
            encode(&Json, &Some(ByteBuf::from([0xff, 0]))),
            encode(&Json, &Blob(vec![0xff, 0])),
        ] {
            assert_eq!(encoded.unwrap(), expected);
        }
        assert_eq!(decode::<Bytes>(&Json, &expected).unwrap(), [0xff, 0][..]);
        assert_eq!(decode::<&serde_bytes::Bytes>(&Json, &expected).unwrap()[..], [0xff, 0]);
        assert_eq!(decode::<Option<ByteBuf>>(&Json, &expected).unwrap().unwrap()[..], [0xff, 0]);
        assert_eq!(decode::<Blob>(&Json, &expected).unwrap(), Blob(vec![0xff, 0]));
        decode::<de::IgnoredAny>(&Json, &expected).unwrap();
        // Text that says the same is the same to who asks for bytes.
        assert_eq!(decode::<Bytes>(&Json, &"[255,0]".into()).unwrap(), [0xff, 0][..]);
    }

    #[test]
    fn a_number_keeps_its_last_bit() {
        // These and one of eight like them would be off by one bit where numbers are read in a hurry.
        for number in [124.261_204_020_372_09_f64, 0.1 + 0.2, 5e-324, f64::MAX] {
            let read: f64 = decode(&Json, &number.to_string().into()).unwrap();
            assert_eq!(read.to_bits(), number.to_bits(), "{number}");
        }
    }

    #[test]
    fn who_asks_a_binary_message_for_anything_else_is_told_so() {
        let payload = Payload::from(b"\"text\"".to_vec());
        let errors = [
            decode::<serde_json::Value>(&Json, &payload).unwrap_err(),
            decode::<String>(&Json, &payload).unwrap_err(),
            decode::<&str>(&Json, &payload).unwrap_err(),
            decode::<Vec<u8>>(&Json, &payload).unwrap_err(),
            decode::<BTreeMap<String, u8>>(&Json, &payload).unwrap_err(),
            decode::<Option<bool>>(&Json, &payload).unwrap_err(),
            decode::<()>(&Json, &payload).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                error.to_string(),
                "the message cannot be decoded: it is binary, not JSON: ask for bytes \
                 (`bytes::Bytes`, `serde_bytes::ByteBuf`), or call `json()` if there is JSON in it"
            );
            assert_eq!(error.path(), None);
        }
        assert_eq!(Message::new(payload, json()).json::<String>().unwrap(), "text");
    }
}
