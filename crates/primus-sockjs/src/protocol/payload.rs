//! What clients send: messages as JSON.

use std::{borrow::Cow, fmt};

use bytestring::ByteString;
use primus_core::parser::{behind_string, replace_halves};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

/// Why something is not messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Nothing, or something else.
    #[error("Payload expected.")]
    Expected,
    /// No JSON.
    #[error("Broken JSON encoding.")]
    Broken,
    /// A message is larger than it may be.
    #[error("a message has more than {0} bytes (max_message); send it in parts")]
    TooBig(usize),
}

/// Messages that have been found to be well-formed, and are decoded one by one: what a client sends at once takes no
/// more room than it has bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    body: ByteString,
    /// Where the next one begins, or what stands before it.
    at: usize,
}

impl Messages {
    /// The array of strings that a request has as its body.
    ///
    /// # Errors
    /// When it is something else, or one of them has more than `max` bytes.
    pub fn read(body: ByteString, max: usize) -> Result<Self, PayloadError> {
        if body.is_empty() {
            return Err(PayloadError::Expected);
        }
        let body = whole(body);
        let Sizes(largest) = parse(&body)?;
        if largest > max {
            return Err(PayloadError::TooBig(max));
        }
        let at = body.find('[').map_or(body.len(), |at| at + 1);
        Ok(Self { body, at })
    }

    /// What a message of a WebSocket has in it: an array, or one string. Nothing is nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_message(text: ByteString, max: usize) -> Result<Self, PayloadError> {
        if text.is_empty() {
            return Ok(Self { body: text, at: 0 });
        }
        if !text.trim_ascii_start().starts_with('"') {
            return Self::read(text, max);
        }
        let text = whole(text);
        let Length(length) = parse(&text)?;
        if length > max {
            return Err(PayloadError::TooBig(max));
        }
        Ok(Self { body: text, at: 0 })
    }

    /// Whether there is none left.
    pub fn is_done(&self) -> bool {
        !self.body[self.at..].contains('"')
    }
}

impl Iterator for Messages {
    type Item = ByteString;

    fn next(&mut self) -> Option<ByteString> {
        // It is known to be strings with commas and space between them.
        let begin = self.at + self.body[self.at..].find('"')?;
        let end = behind_string(self.body.as_bytes(), begin + 1);
        self.at = end;
        let inner = &self.body[begin + 1..end - 1];
        if !inner.contains('\\') {
            return Some(self.body.slice_ref(inner));
        }
        serde_json::from_str::<String>(&self.body[begin..end]).ok().map(ByteString::from)
    }
}

/// Reads JSON, and says whether it was none, or something else.
fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, PayloadError> {
    serde_json::from_str(text).map_err(|_| match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => PayloadError::Expected,
        Err(_) => PayloadError::Broken,
    })
}

/// With U+FFFD for each half of a surrogate pair.
fn whole(text: ByteString) -> ByteString {
    let Cow::Owned(whole) = replace_halves(&text) else { return text };
    whole.into()
}

/// A string, of which the length is of interest.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Length, E> {
                Ok(Length(text.len()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// An array of strings, of which the length of the longest is of interest.
struct Sizes(usize);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Sizes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut strings: A) -> Result<Sizes, A::Error> {
                let mut largest = 0;
                while let Some(Length(length)) = strings.next_element()? {
                    largest = largest.max(length);
                }
                Ok(Sizes(largest))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<Vec<String>, PayloadError> {
        Ok(Messages::read(body.into(), 10)?.map(|text| text.to_string()).collect())
    }

    fn read_message(text: &str) -> Result<Vec<String>, PayloadError> {
        Ok(Messages::read_message(text.into(), 10)?.map(|text| text.to_string()).collect())
    }

    #[test]
    fn arrays_of_strings() {
        assert_eq!(read(r#"["a"]"#).unwrap(), ["a"]);
        assert_eq!(read(" [ \"a\" ,\n\"\", \"[\\\"],\\\\\" ] ").unwrap(), ["a", "", "[\"],\\"]);
        assert_eq!(read("[]").unwrap(), [""; 0]);
        assert_eq!(read("[\"é\\u00e9\\ud83d\\ude00\"]").unwrap(), ["éé😀"]);
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(read(r#"["\ud800","a\udfffb"]"#).unwrap(), ["\u{fffd}", "a\u{fffd}b"]);
        assert_eq!(read(r#"["\ud800\ud800x"]"#).unwrap(), ["\u{fffd}\u{fffd}x"]);
    }

    #[test]
    fn what_is_no_array_of_strings_is_refused() {
        for (body, error) in [
            ("", PayloadError::Expected),
            ("{}", PayloadError::Expected),
            ("\"x\"", PayloadError::Expected),
            ("1", PayloadError::Expected),
            ("[1]", PayloadError::Expected),
            ("[\"a\",[\"b\"]]", PayloadError::Expected),
            ("[1", PayloadError::Broken),
            ("[\"x", PayloadError::Broken),
            ("[\"x\"]]", PayloadError::Broken),
            ("[\"x\",]", PayloadError::Broken),
            ("[\"\\ud80\"]", PayloadError::Broken),
            ("x", PayloadError::Broken),
            ("[\"a\u{1}\"]", PayloadError::Broken),
            ("[\"a\nb\"]", PayloadError::Broken),
            (&"[".repeat(100_000), PayloadError::Broken),
            ("[\"12345678901\"]", PayloadError::TooBig(10)),
        ] {
            assert_eq!(read(body), Err(error), "{:.20}", body);
        }
    }

    #[test]
    fn a_message_of_a_websocket_may_be_one_string_or_nothing() {
        assert_eq!(read_message("\"a\"").unwrap(), ["a"]);
        assert_eq!(read_message("[\"a\",\"b\"]").unwrap(), ["a", "b"]);
        for nothing in ["", "[]"] {
            assert_eq!(read_message(nothing).unwrap(), [""; 0]);
            assert!(Messages::read_message(nothing.into(), 10).unwrap().is_done());
        }
        assert_eq!(read_message("[\"a"), Err(PayloadError::Broken));
        assert_eq!(read_message("\"a"), Err(PayloadError::Broken));
        assert_eq!(read_message("\"a\tb\""), Err(PayloadError::Broken));
        assert_eq!(read_message("\"12345678901\""), Err(PayloadError::TooBig(10)));
    }

    proptest! {
        #[test]
        fn the_reader_is_total(body in "[\\[\\]\", \\\\ud8a0x{}1-9]{0,40}") {
            let _ = (read(&body), read_message(&body));
        }

        #[test]
        fn any_messages_come_back(texts in proptest::collection::vec("(?s).{0,9}", 0..5)) {
            let max = 1000;
            for body in [serde_json::to_string(&texts), serde_json::to_string_pretty(&texts)] {
                let read = Messages::read(body.unwrap().into(), max).unwrap();
                prop_assert_eq!(&read.map(|text| text.to_string()).collect::<Vec<_>>(), &texts);
            }
        }
    }
}
