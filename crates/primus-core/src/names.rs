//! Names of events, rooms and channels: what they may be, and how they stand in a field of a frame
//! (docs/protocol.md §3).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest name, in bytes.
pub(crate) const LONGEST: usize = 256;

/// What `encodeURIComponent` leaves as it is.
const FIELD: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A name that an event, a room or a channel cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty, over 256 bytes, or has a control character.
    #[error("{0:?} is no name: 1 to 256 bytes without control characters are needed")]
    Malformed(String),
    /// Both sides have an event of this name themselves.
    #[error("the event name {0:?} is reserved; choose another one")]
    Reserved(String),
}

/// Whether this may be the name of a room or channel.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    if is_name(name) { Ok(()) } else { Err(NameError::Malformed(name.chars().take(64).collect())) }
}

/// Whether an application's event may have this name: it is a name, and not reserved.
///
/// ```
/// use primus_core::is_event_name;
/// assert!(is_event_name("tick"));
/// assert!(!is_event_name("primus.end") && !is_event_name("error") && !is_event_name(""));
/// ```
pub fn is_event_name(name: &str) -> bool {
    is_name(name) && !is_reserved(name)
}

/// Whether this may be the name of an event of an application.
pub(crate) fn check_event(name: &str) -> Result<(), NameError> {
    check(name)?;
    if is_reserved(name) { Err(NameError::Reserved(name.to_owned())) } else { Ok(()) }
}

pub(crate) fn is_name(name: &str) -> bool {
    let control = |byte: u8| byte < 0x20 || byte == 0x7f;
    (1..=LONGEST).contains(&name.len()) && !name.bytes().any(control)
}

/// Whether both sides use this name for an event of their own.
pub(crate) fn is_reserved(name: &str) -> bool {
    // Nearly every name is told apart by its first letter.
    match name.as_bytes().first() {
        Some(b'o') => {
            matches!(name, "open" | "online" | "offline") || name.starts_with("outgoing::")
        }
        Some(b'd') => matches!(name, "data" | "destroy"),
        Some(b'c') => name == "close",
        Some(b'e') => matches!(name, "end" | "error"),
        Some(b'r') => {
            matches!(name, "readyStateChange" | "resumed") || name.starts_with("reconnect")
        }
        Some(b't') => matches!(name, "timeout" | "transport"),
        Some(b'l') => name == "lost",
        Some(b'm') => name == "missed",
        Some(b'i') => name.starts_with("incoming::"),
        Some(b'p') => name.starts_with("primus."),
        _ => false,
    }
}

/// Appends a name as a field has it.
pub(crate) fn push_field(frame: &mut Vec<u8>, name: &str) {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        frame.extend_from_slice(name.as_bytes());
    } else {
        for part in utf8_percent_encode(name, FIELD) {
            frame.extend_from_slice(part.as_bytes());
        }
    }
}

/// The name in a field; `None` if it is none.
pub(crate) fn read_field(field: &str) -> Option<Cow<'_, str>> {
    if !field.bytes().any(|byte| byte == b'%') {
        return is_name(field).then_some(Cow::Borrowed(field));
    }
    let name = percent_decode_str(field).decode_utf8().ok()?;
    // `%zz` is no percent-encoding, and would come out as it is.
    (well_encoded(field.as_bytes()) && is_name(&name)).then_some(name)
}

fn well_encoded(field: &[u8]) -> bool {
    let hex = |at: usize| field.get(at).is_some_and(u8::is_ascii_hexdigit);
    field.iter().enumerate().all(|(at, byte)| *byte != b'%' || hex(at + 1) && hex(at + 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_names_that_both_sides_have_are_reserved() {
        for name in [
            "open",
            "data",
            "close",
            "end",
            "error",
            "readyStateChange",
            "timeout",
            "online",
            "offline",
            "destroy",
            "resumed",
            "lost",
            "missed",
            "transport",
            "reconnect",
            "reconnect scheduled",
            "incoming::open",
            "outgoing::end",
            "primus.open",
        ] {
            assert_eq!(check_event(name), Err(NameError::Reserved(name.to_owned())), "{name}");
        }
        for name in ["opened", "dat", "primus", "incoming", "message", "x", "ends", "endless"] {
            assert_eq!(check_event(name), Ok(()), "{name}");
        }
        for name in ["", "a\nb", "\u{7f}", &"x".repeat(257)] {
            assert!(matches!(check_event(name), Err(NameError::Malformed(_))), "{name:?}");
        }
    }

    #[test]
    fn fields_that_are_no_names() {
        for field in ["", "%zz", "%", "%4", "%ff", "%0a", "a\u{7f}", &"x".repeat(257)] {
            assert_eq!(read_field(field), None, "{field:?}");
        }
        assert_eq!(read_field("a%3Ab").as_deref(), Some("a:b"));
    }

    proptest! {
        #[test]
        fn any_name_survives_as_a_field(name in "\\PC{1,60}") {
            let mut field = Vec::new();
            push_field(&mut field, &name);
            let field = String::from_utf8(field).unwrap();
            prop_assert!(field.bytes().all(|byte| byte.is_ascii_graphic() && !b":,@".contains(&byte)));
            let read = read_field(&field);
            prop_assert_eq!(read.as_deref(), Some(&*name));
        }
    }
}
