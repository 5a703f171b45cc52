//! Frames as lines, for carriers whose unit is a line: event streams, polls and POSTs.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytestring::ByteString;

use super::frame::{Frame, FrameError, frame, parse};
use crate::{envelope::Envelope, message::Payload};

/// One message as one line, without its end.
pub fn encode_line(envelope: &Envelope) -> ByteString {
    match frame(envelope) {
        Payload::Binary(bytes) => format!("primus::binary::{}", STANDARD.encode(bytes)).into(),
        Payload::Text(text) if text.is_empty() => ByteString::from_static("primus::data::"),
        Payload::Text(text) if text.contains(['\r', '\n']) => {
            format!("primus::data:b64::{}", STANDARD.encode(text)).into()
        }
        Payload::Text(text) => text,
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
    use crate::native::read_message;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../../docs/protocol-vectors.json")).unwrap()
    }

    fn payload(message: &serde_json::Value) -> Payload {
        match message["text"].as_str() {
            Some(text) => text.into(),
            None => STANDARD.decode(message["binary"].as_str().unwrap()).unwrap().into(),
        }
    }

    #[test]
    fn lines_of_the_vectors() {
        for row in vectors()["line_data"].as_array().unwrap() {
            let envelope = Envelope::from(payload(&row["message"]));
            let line = encode_line(&envelope);
            assert_eq!(&*line, row["line"].as_str().unwrap());
            assert_eq!(decode_line(line), Ok(Frame::Message(envelope)));
        }
    }

    #[test]
    fn messages_with_heads_of_the_vectors() {
        for row in vectors()["message_lines"].as_array().unwrap() {
            let envelope = read_message(payload(&row["frame"])).unwrap();
            let line = encode_line(&envelope);
            assert_eq!(&*line, row["line"].as_str().unwrap());
            assert_eq!(decode_line(line), Ok(Frame::Message(envelope)));
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
            let envelope = Envelope::from(text);
            let line = encode_line(&envelope);
            prop_assert!(!line.contains(['\r', '\n']) && !line.is_empty());
            prop_assert_eq!(decode_line(line), Ok(Frame::Message(envelope)));
        }
    }
}
