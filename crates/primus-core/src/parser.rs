//! Value ⇄ payload: the [`Parser`] trait, and the two that are built in, `json` and `raw`.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::message::Payload;

/// A value could not be encoded.
#[derive(Debug, thiserror::Error)]
#[error("the value cannot be encoded: {0}")]
pub struct EncodeError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl EncodeError {
    /// Wraps what the parser said.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// A message could not be decoded.
#[derive(Debug, thiserror::Error)]
#[error("the message cannot be decoded: {0}")]
pub struct DecodeError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl DecodeError {
    /// Wraps what the parser said.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// What [`Parser::decode`] hands its deserializer to.
pub type Visit<'v, 'de> =
    &'v mut dyn FnMut(&mut dyn erased_serde::Deserializer<'de>) -> Result<(), erased_serde::Error>;

/// Turns values into payloads and back. One parser serves a whole mount.
///
/// Implement it to bring a format of your own; the client needs the same one
/// (its option `parser`).
pub trait Parser: Send + Sync + 'static {
    /// The name used in configuration and by the client, such as `json`.
    fn name(&self) -> &'static str;

    /// Encodes one value.
    ///
    /// # Errors
    /// When the format has no form for the value.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError>;

    /// Encodes one value behind what is in `buffer`, which is ASCII.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn encode_into(
        &self,
        value: &dyn erased_serde::Serialize,
        mut buffer: Vec<u8>,
    ) -> Result<Payload, EncodeError> {
        let payload = self.encode(value)?;
        buffer.extend_from_slice(payload.as_bytes());
        Ok(match payload {
            Payload::Text(_) => crate::native::text(buffer),
            Payload::Binary(_) => Payload::Binary(buffer.into()),
        })
    }

    /// Gives `visit` a deserializer over the payload, once, and checks that nothing is left over.
    ///
    /// # Errors
    /// When the payload is not of this format, or `visit` refused it.
    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError>;
}

/// Encodes a typed value by any parser.
///
/// # Errors
/// As [`Parser::encode`].
pub fn encode<T: Serialize + ?Sized>(
    parser: &dyn Parser,
    value: &T,
) -> Result<Payload, EncodeError> {
    parser.encode(&value)
}

/// Decodes a typed value by any parser.
///
/// # Errors
/// As [`Parser::decode`].
pub fn decode<'de, T: Deserialize<'de>>(
    parser: &dyn Parser,
    payload: &'de Payload,
) -> Result<T, DecodeError> {
    let mut value = None;
    parser.decode(payload, &mut |deserializer| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| DecodeError::new("the parser gave no value"))
}

/// The parser that a mount uses unless told otherwise: one JSON text a message (RFC 8259).
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Parser for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        serde_json::to_string(value).map(Payload::from).map_err(EncodeError::new)
    }

    fn encode_into(
        &self,
        value: &dyn erased_serde::Serialize,
        mut buffer: Vec<u8>,
    ) -> Result<Payload, EncodeError> {
        serde_json::to_writer(&mut buffer, value).map_err(EncodeError::new)?;
        Ok(crate::native::text(buffer))
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        let mut json = serde_json::Deserializer::from_slice(payload.as_bytes());
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
            .map_err(DecodeError::new)?;
        json.end().map_err(DecodeError::new)
    }
}

/// Text is text and bytes are bytes: no format at all.
///
/// It encodes strings (as text) and byte strings such as `serde_bytes` (as binary), and decodes
/// text as a string and binary as bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Parser for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        match serde_json::to_value(value).map_err(EncodeError::new)? {
            serde_json::Value::String(text) => Ok(text.into()),
            _ => Err(EncodeError::new(
                "the raw parser encodes strings only; give bytes to write_message",
            )),
        }
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        use serde::de::value::{BorrowedBytesDeserializer, BorrowedStrDeserializer, Error};
        match payload {
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

/// The shared [`Json`] parser.
pub fn json() -> Arc<dyn Parser> {
    static JSON: LazyLock<Arc<dyn Parser>> = LazyLock::new(|| Arc::new(Json));
    Arc::clone(&JSON)
}

/// The shared [`Raw`] parser.
pub fn raw() -> Arc<dyn Parser> {
    static RAW: LazyLock<Arc<dyn Parser>> = LazyLock::new(|| Arc::new(Raw));
    Arc::clone(&RAW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trip_and_leftovers() {
        let payload = encode(&Json, &vec![1, 2]).unwrap();
        assert_eq!(payload, Payload::from("[1,2]"));
        assert_eq!(decode::<Vec<u8>>(&Json, &payload).unwrap(), [1, 2]);
        assert!(decode::<Vec<u8>>(&Json, &"[1] x".into()).is_err());
        assert!(decode::<u8>(&Json, &"".into()).is_err());
    }

    #[test]
    fn json_depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(decode::<serde_json::Value>(&Json, &deep.into()).is_err());
    }

    #[test]
    fn raw_takes_strings_as_they_are() {
        assert_eq!(encode(&Raw, "a\"b").unwrap(), Payload::from("a\"b"));
        assert!(encode(&Raw, &1).is_err());
        assert_eq!(decode::<String>(&Raw, &"a\"b".into()).unwrap(), "a\"b");
        assert!(decode::<String>(&Raw, &Payload::from(vec![0xff])).is_err());
    }
}
