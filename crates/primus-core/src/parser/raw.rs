//! The parser `raw`.

use serde::{
    Deserializer,
    de::{
        Visitor,
        value::{BorrowedBytesDeserializer, BorrowedStrDeserializer, Error},
    },
};

use super::{
    DecodeError, EncodeError, Kind, Own, Parser, Visit,
    top::{Found, Top},
};
use crate::message::Payload;

/// Text is text and bytes are bytes: no format at all.
///
/// It encodes strings (as text) and byte strings such as `bytes::Bytes` or `serde_bytes` (as
/// binary), and decodes text as a string and binary as bytes. What is null (`()`, `None`) is the empty
/// text: an event without arguments has to have some.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Parser for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        let found = Found::default();
        let value = serde_json::to_value(Top::new(value, &found)).map_err(EncodeError::new)?;
        match (found.bytes.take(), value) {
            (Some(bytes), _) => Ok(bytes.into()),
            (None, serde_json::Value::String(text)) => Ok(text.into()),
            (None, serde_json::Value::Null) => Ok("".into()),
            _ => Err(EncodeError::new(
                "the raw parser encodes strings and bytes (`bytes::Bytes`, `serde_bytes`) only",
            )),
        }
    }

    fn own(&self) -> Option<Own> {
        Some(Own(Kind::Raw))
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        match payload {
            Payload::Text(text) if text.is_empty() => {
                visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(Empty))
            }
            Payload::Text(text) => {
                let text = BorrowedStrDeserializer::<Error>::new(text);
                visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(text))
            }
            Payload::Binary(bytes) => {
                let bytes = BorrowedBytesDeserializer::<Error>::new(bytes);
                visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(bytes))
            }
        }
        .map_err(DecodeError::new)
    }
}

/// The empty text, which may stand for nothing.
struct Empty;

impl<'de> Deserializer<'de> for Empty {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str("")
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::parser::{decode, encode};

    #[test]
    fn raw_takes_strings_and_bytes_as_they_are() {
        assert_eq!(encode(&Raw, "a\"b").unwrap(), Payload::from("a\"b"));
        assert_eq!(encode(&Raw, &Bytes::from_static(&[0xff])).unwrap(), vec![0xff].into());
        assert_eq!(encode(&Raw, &()).unwrap(), Payload::from(""));
        assert_eq!(decode::<()>(&Raw, &"".into()).unwrap(), ());
        assert_eq!(decode::<String>(&Raw, &"".into()).unwrap(), "");
        assert!(decode::<()>(&Raw, &"x".into()).is_err());
        assert!(encode(&Raw, &1).is_err());
        assert!(encode(&Raw, &[1_u8]).is_err());
        assert_eq!(decode::<String>(&Raw, &"a\"b".into()).unwrap(), "a\"b");
        assert_eq!(decode::<Bytes>(&Raw, &vec![0xff].into()).unwrap(), [0xff][..]);
        assert!(decode::<String>(&Raw, &Payload::from(vec![0xff])).is_err());
    }
}
