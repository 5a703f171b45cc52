//! Frames as lines, for carriers whose unit is a line: event streams, polls and POSTs.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytestring::ByteString;

use super::frame::{Frame, FrameError, encode_text, parse};
use crate::message::Payload;

/// One message as one line, without its end.
pub fn encode_line(payload: &Payload) -> ByteString {
    match payload {
        Payload::Binary(bytes) => format!("primus::binary::{}", STANDARD.encode(bytes)).into(),
        Payload::Text(text) if text.is_empty() => ByteString::from_static("primus::data::"),
        Payload::Text(text) if text.contains(['\r', '\n']) => {
            format!("primus::data:b64::{}", STANDARD.encode(text)).into()
        }
        Payload::Text(text) => encode_text(text),
    }
}

/// One line as a frame.
///
/// # Errors
/// As [`parse`].
pub fn decode_line(line: ByteString) -> Result<Frame, FrameError> {
    parse(line)
}

/// The lines of a batch, empty ones too, so that they can be counted.
pub fn lines(batch: &ByteString) -> impl Iterator<Item = ByteString> {
    batch.strip_suffix('\n').unwrap_or(batch).split('\n').map(|line| batch.slice_ref(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../../docs/protocol-vectors.json")).unwrap()
    }

    #[test]
    fn lines_of_the_vectors() {
        for row in vectors()["line_data"].as_array().unwrap() {
            let payload: Payload = match row["message"]["text"].as_str() {
                Some(text) => text.into(),
                None => STANDARD.decode(row["message"]["binary"].as_str().unwrap()).unwrap().into(),
            };
            let line = encode_line(&payload);
            assert_eq!(&*line, row["line"].as_str().unwrap());
            assert_eq!(decode_line(line), Ok(Frame::Data(payload)));
        }
    }

    #[test]
    fn batches_of_the_vectors() {
        for row in vectors()["batches"].as_array().unwrap() {
            let body = ByteString::from(row["body"].as_str().unwrap());
            let found: Vec<_> =
                lines(&body).filter(|line| !line.is_empty()).map(|line| line.to_string()).collect();
            assert_eq!(serde_json::json!(found), row["lines"]);
        }
    }

    proptest! {
        #[test]
        fn any_message_survives_as_a_line(text in "(?s)(primus::)?.{0,60}") {
            let payload = Payload::from(text);
            let line = encode_line(&payload);
            prop_assert!(!line.contains(['\r', '\n']) && !line.is_empty());
            prop_assert_eq!(decode_line(line), Ok(Frame::Data(payload)));
        }
    }
}
