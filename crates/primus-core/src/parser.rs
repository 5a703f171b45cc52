//! Value ⇄ payload: the [`Parser`] trait, and those that are built in: `json`, `msgpack`, `raw`.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock},
};

use serde::{
    Deserialize, Serialize,
    de::value::{self, BorrowedStrDeserializer},
};

use crate::message::Payload;

mod args;
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
mod raw;
mod strings;
mod top;

pub(crate) use self::json::decode as decode_json;
#[cfg(feature = "msgpack")]
pub use self::msgpack::Msgpack;
pub use self::{
    args::{Args, MARK, several},
    json::Json,
    raw::Raw,
    strings::{behind_string, replace_halves},
};

/// Any error, as sources have it.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// A value could not be encoded.
#[derive(Debug, thiserror::Error)]
#[error("the value cannot be encoded: {0}")]
pub struct EncodeError(#[source] Source);

impl EncodeError {
    /// Wraps what the parser said.
    pub fn new(source: impl Into<Source>) -> Self {
        Self(source.into())
    }
}

/// A message could not be decoded.
///
/// ```
/// use primus_core::Message;
/// #[derive(Debug, serde::Deserialize)]
/// struct User { name: String, age: u8 }
///
/// let error = Message::text(r#"[{"name":"Ada","age":"x"}]"#).decode::<Vec<User>>().unwrap_err();
/// assert_eq!(error.path(), Some("[0].age"));
/// assert_eq!(
///     error.to_string(),
///     "the message cannot be decoded: [0].age: invalid type: string \"x\", expected u8 \
///      at line 1 column 24",
/// );
/// ```
#[derive(Debug)]
pub struct DecodeError {
    path: Option<String>,
    source: Source,
}

impl DecodeError {
    /// Wraps what the parser said.
    pub fn new(source: impl Into<Source>) -> Self {
        Self { path: None, source: source.into() }
    }

    /// Where in the value the part is that does not fit, such as `user.age` or `items[3]`. `None`
    /// if it is the whole, or if that is not known.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    fn at(mut self, path: &serde_path_to_error::Path) -> Self {
        self.path = path.iter().next().map(|_| path.to_string());
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message cannot be decoded: ")?;
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        self.source.fmt(f)
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

/// What [`Parser::decode`] hands its deserializer to.
pub type Visit<'v, 'de> =
    &'v mut dyn FnMut(&mut dyn erased_serde::Deserializer<'de>) -> Result<(), erased_serde::Error>;

/// Turns values into payloads and back. One parser serves a whole mount.
///
/// Implement it to bring a format of your own. The client needs the same one:
/// [`client_script`](Self::client_script) puts it into `primus.js`, other clients have an option
/// `parser`.
pub trait Parser: Send + Sync + 'static {
    /// The name used in configuration and by the client, such as `json`.
    fn name(&self) -> &'static str;

    /// Encodes one value.
    ///
    /// # Errors
    /// When the format has no form for the value.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError>;

    /// Encodes one value behind what `buffer` has already. The result is text if the value's form
    /// is text, and binary if that is binary.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and when the whole is to be text and `buffer` is not UTF-8.
    fn encode_into(
        &self,
        value: &dyn erased_serde::Serialize,
        mut buffer: Vec<u8>,
    ) -> Result<Payload, EncodeError> {
        let payload = self.encode(value)?;
        if buffer.is_empty() {
            return Ok(payload);
        }
        buffer.extend_from_slice(payload.as_bytes());
        if payload.is_binary() { Ok(buffer.into()) } else { text(buffer) }
    }

    /// Gives `visit` a deserializer over the payload, once, and checks that nothing is left over.
    ///
    /// # Errors
    /// When the payload is not of this format, or `visit` refused it.
    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError>;

    /// The same format for the client: a JavaScript expression for an object
    /// `{ encoder(value), decoder(payload) }`. `encoder` returns a string or bytes (`ArrayBuffer`
    /// or a view of one); `decoder` gets a string or an `ArrayBuffer`.
    ///
    /// `None` for the parsers that are built in, which the client knows by their names. With a
    /// parser of your own and without this, pages must load the parser themselves, and give it to
    /// `new Primus(url, { parser })`.
    fn client_script(&self) -> Option<Cow<'static, str>> {
        None
    }

    /// Whether it is one of ours, whose small values would take longer to be erased than decoded.
    #[doc(hidden)]
    fn own(&self) -> Option<Own> {
        None
    }
}

/// That a parser is one of ours.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Own(Kind);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Json,
    Raw,
}

/// A parser, as every message has it: one of ours need not be counted, which costs as much as to read a
/// short message.
#[derive(Clone)]
pub(crate) enum Format {
    Own(Kind),
    Other(Arc<dyn Parser>),
}

impl Format {
    pub(crate) fn parser(&self) -> &dyn Parser {
        match self {
            Self::Own(Kind::Json) => &Json,
            Self::Own(Kind::Raw) => &Raw,
            Self::Other(parser) => &**parser,
        }
    }

    /// The value of a payload, as [`decode`] gives it.
    pub(crate) fn decode<'de, T: Deserialize<'de>>(
        &self,
        payload: &'de Payload,
    ) -> Result<T, DecodeError> {
        let own = match self {
            Self::Own(kind) => Some(*kind),
            Self::Other(_) => None,
        };
        decode_by(own, self.parser(), payload)
    }
}

impl From<&Arc<dyn Parser>> for Format {
    fn from(parser: &Arc<dyn Parser>) -> Self {
        parser.own().map_or_else(|| Self::Other(Arc::clone(parser)), |Own(kind)| Self::Own(kind))
    }
}

/// Bytes that are to be text.
fn text(bytes: Vec<u8>) -> Result<Payload, EncodeError> {
    String::from_utf8(bytes).map(Payload::from).map_err(EncodeError::new)
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

/// Encodes a typed value by any parser behind what is in `buffer`.
///
/// ```
/// use primus_core::{Payload, parser};
/// let payload = parser::encode_into(&parser::Json, &[1, 2], b"head:".to_vec())?;
/// assert_eq!(payload, Payload::from("head:[1,2]"));
/// # Ok::<(), primus_core::EncodeError>(())
/// ```
///
/// # Errors
/// As [`Parser::encode_into`].
pub fn encode_into<T: Serialize + ?Sized>(
    parser: &dyn Parser,
    value: &T,
    buffer: Vec<u8>,
) -> Result<Payload, EncodeError> {
    parser.encode_into(&value, buffer)
}

/// Decodes a typed value by any parser.
///
/// What does not fit is decoded once more, to find out where; what fits costs nothing extra.
///
/// # Errors
/// As [`Parser::decode`].
pub fn decode<'de, T: Deserialize<'de>>(
    parser: &dyn Parser,
    payload: &'de Payload,
) -> Result<T, DecodeError> {
    decode_by(parser.own().map(|Own(own)| own), parser, payload)
}

/// The same; `own` is what the parser is, if it is one of ours.
fn decode_by<'de, T: Deserialize<'de>>(
    own: Option<Kind>,
    parser: &dyn Parser,
    payload: &'de Payload,
) -> Result<T, DecodeError> {
    let decoded = match (own, payload) {
        (Some(Kind::Json), Payload::Text(text)) => json::decode_text(text),
        (Some(Kind::Raw), Payload::Text(text)) if !text.is_empty() => {
            T::deserialize(BorrowedStrDeserializer::new(text))
                .map_err(|error: value::Error| DecodeError::new(error))
        }
        _ => decode_erased(parser, payload),
    };
    decoded.map_err(|error| locate::<T>(parser, payload, error))
}

fn decode_erased<'de, T: Deserialize<'de>>(
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

/// Adds the place where a `T` cannot be had.
#[cold]
fn locate<'de, T: Deserialize<'de>>(
    parser: &dyn Parser,
    payload: &'de Payload,
    error: DecodeError,
) -> DecodeError {
    let mut track = serde_path_to_error::Track::new();
    let mut failed = false;
    let _ = parser.decode(payload, &mut |deserializer| {
        let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
        let decoded = T::deserialize(tracked).map(drop);
        failed = decoded.is_err();
        decoded
    });
    if failed { error.at(&track.path()) } else { error }
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

/// The shared [`Msgpack`] parser.
#[cfg(feature = "msgpack")]
pub fn msgpack() -> Arc<dyn Parser> {
    static MSGPACK: LazyLock<Arc<dyn Parser>> = LazyLock::new(|| Arc::new(Msgpack));
    Arc::clone(&MSGPACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parser that implements no more than it must.
    struct Shout;

    impl Parser for Shout {
        fn name(&self) -> &'static str {
            "shout"
        }

        fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
            let payload = Json.encode(value)?;
            let text = payload.as_text().map(|text| text.to_uppercase().into());
            Ok(text.unwrap_or(payload))
        }

        fn decode<'de>(
            &self,
            payload: &'de Payload,
            visit: Visit<'_, 'de>,
        ) -> Result<(), DecodeError> {
            Json.decode(payload, visit)
        }
    }

    #[test]
    fn a_value_is_encoded_behind_what_is_there() {
        let bytes = serde_bytes::Bytes::new(&[0xff, 1]);
        for parser in [&Json as &dyn Parser, &Raw, &Shout] {
            let name = parser.name();
            let alone = encode(parser, "a").unwrap();
            let into = |head: &[u8]| encode_into(parser, "a", head.to_vec());
            assert_eq!(into(b"").unwrap(), alone, "{name}");
            let both = format!("ü:{}", alone.as_text().unwrap());
            assert_eq!(into("ü:".as_bytes()).unwrap(), both.into(), "{name}");
            assert!(into(&[0xff]).is_err(), "{name}: text that is none");

            let into = |head: &[u8]| encode_into(parser, bytes, head.to_vec()).unwrap();
            assert_eq!(into(b""), vec![0xff, 1].into(), "{name}");
            assert_eq!(into(b"x"), vec![b'x', 0xff, 1].into(), "{name}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only whether they can be had matters")]
    struct Order {
        user: User,
        items: Vec<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only whether they can be had matters")]
    struct User {
        age: u8,
    }

    #[test]
    fn an_error_says_where_the_value_does_not_fit() {
        let cases = [
            (
                r#"{"user":{"age":"x"}}"#,
                Some("user.age"),
                "user.age: invalid type: string \"x\", expected u8 at line 1 column 18",
            ),
            (
                r#"{"user":{"age":1},"items":[1,2,256]}"#,
                Some("items[2]"),
                "items[2]: invalid value: integer `256`, expected u8 at line 1 column 34",
            ),
            (r#"{"user":{}}"#, Some("user"), "user: missing field `age` at line 1 column 10"),
            ("1", None, "invalid type: integer `1`, expected struct Order at line 1 column 1"),
            ("", None, "EOF while parsing a value at line 1 column 0"),
            (r#"{"user":{"age":1},"items":[]} 1"#, None, "trailing characters at line 1 column 31"),
        ];
        for (message, path, said) in cases {
            let message = crate::Message::text(message);
            for error in
                [message.decode::<Order>().unwrap_err(), message.json::<Order>().unwrap_err()]
            {
                assert_eq!(error.path(), path, "{error}");
                assert_eq!(error.to_string(), format!("the message cannot be decoded: {said}"));
            }
        }
    }
}
