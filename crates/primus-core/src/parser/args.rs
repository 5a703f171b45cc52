//! Several arguments, and what marks them and bytes in JSON.
//!
//! To Primus an event has one value, and JSON has no bytes. Socket.IO has several arguments and bytes
//! wherever they are. What they are there is kept as white space, which means nothing to any other reader: a
//! tab in front of the array of several arguments, and one behind the bracket of an array that is bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The tab. No other JSON of this parser has one: in a string it is escaped.
pub const MARK: char = '\t';

/// How JSON knows several arguments from an array.
pub(super) const NAME: &str = "primus::Args";

/// Several arguments of one event or answer: a tuple or a list. A client of Socket.IO gets them side by
/// side, `socket.on("moved", (x, y) => …)`; for every other client, and as what a listener takes, they are
/// an array. The parser `json` keeps the difference; by others a Socket.IO client gets an array, too.
///
/// ```
/// use primus_core::{Payload, parser::{self, Args, Json}};
/// let payload = parser::encode(&Json, &Args((1, "two")))?;
/// assert_eq!(payload, Payload::from("\t[1,\"two\"]"));
/// assert_eq!(parser::decode::<(u8, String)>(&Json, &payload)?, (1, "two".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Args<T>(pub T);

impl<T: Serialize> Serialize for Args<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NAME, &self.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Args<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// Several arguments whose JSON stands side by side already, with commas between.
pub fn several(elements: &str) -> String {
    let mut json = String::with_capacity(elements.len() + 3);
    json.push(MARK);
    json.push('[');
    json.push_str(elements);
    json.push(']');
    json
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::parser::{Json, Raw, decode, encode, encode_into};

    #[test]
    fn several_arguments_keep_what_they_are() {
        let one = encode(&Json, &(1, "two")).unwrap();
        assert_eq!(one, "[1,\"two\"]".into());
        let two = encode(&Json, &Args((1, "two"))).unwrap();
        assert_eq!(two, "\t[1,\"two\"]".into());
        assert_eq!(two, several("1,\"two\"").into());
        assert_eq!(
            encode_into(&Json, &Args([1]), "ü:".as_bytes().to_vec()).unwrap(),
            "ü:\t[1]".into()
        );
        // To whoever reads it they are an array.
        for payload in [&one, &two] {
            assert_eq!(decode::<(u8, String)>(&Json, payload).unwrap(), (1, "two".to_owned()));
            assert_eq!(decode::<Args<(u8, &str)>>(&Json, payload).unwrap(), Args((1, "two")));
        }
        assert_eq!(encode(&Raw, &Args("x")).unwrap(), "x".into());
        assert_eq!(encode(&Json, &Args(Bytes::from_static(&[1]))).unwrap(), vec![1].into());
    }
}
