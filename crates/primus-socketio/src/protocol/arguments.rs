//! What comes with an event or an answer: any number of values, and bytes among them.
//!
//! To Primus an event has one value. One argument is that value, none is null, several are an array.
//! None and several are marked as such ([`primus_core::parser::Args`]), so that who passes them on passes
//! on none or several.

use bytestring::ByteString;
use primus_core::{
    EncodeError, Parser, Payload,
    parser::{self, Args},
};

use super::{PacketError, Value};

/// The arguments of a packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// None.
    None,
    /// One, as its JSON.
    One(ByteString),
    /// Several, as JSON with commas between them.
    Several(ByteString),
    /// Any number, with bytes among them.
    Values(Vec<Value>),
}

impl Arguments {
    /// Of texts that are side by side in `text`, two at most: the last one is all that is left.
    pub(super) fn of(text: &ByteString, elements: &[&str]) -> Self {
        match elements {
            [] => Self::None,
            [one] => Self::One(text.slice_ref(one)),
            [first, .., last] => {
                let begin = first.as_ptr() as usize - text.as_ptr() as usize;
                let end = last.as_ptr() as usize + last.len() - text.as_ptr() as usize;
                Self::Several(text.slice_ref(&text[begin..end]))
            }
        }
    }

    /// The one value that they are, by the parser of a mount.
    ///
    /// # Errors
    /// When that parser has no form for it.
    pub fn encode(&self, parser: &dyn Parser) -> Result<Payload, EncodeError> {
        let json = parser.name() == "json";
        match self {
            Self::One(text) if json => Ok(text.clone().into()),
            Self::Several(texts) if json => Ok(parser::several(texts).into()),
            Self::None => parser::encode(parser, &Args(())),
            Self::One(text) => parser::encode(parser, &read(text)?),
            Self::Several(texts) => parser::encode(parser, &Args(read(&format!("[{texts}]"))?)),
            Self::Values(values) => match &values[..] {
                [] => parser::encode(parser, &Args(())),
                [one] => parser::encode(parser, one),
                several => parser::encode(parser, &Args(several)),
            },
        }
    }
}

fn read(json: &str) -> Result<Value, EncodeError> {
    serde_json::from_str(json).map_err(EncodeError::new)
}

/// Puts attachments where their placeholders are.
pub(super) fn fill(value: &mut Value, attachments: &[bytes::Bytes]) -> Result<(), PacketError> {
    if value.get("_placeholder") == Some(&Value::Bool(true)) {
        let number = match value.get("num") {
            Some(Value::Number(number)) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            _ => None,
        };
        let attachment = number.and_then(|number| attachments.get(number));
        let attachment = attachment.ok_or(PacketError("there is no such attachment"))?;
        *value = Value::Bytes(attachment.clone());
        return Ok(());
    }
    match value {
        Value::Array(values) => values.iter_mut().try_for_each(|one| fill(one, attachments)),
        Value::Object(members) => {
            members.iter_mut().try_for_each(|(_, one)| fill(one, attachments))
        }
        _ => Ok(()),
    }
}
