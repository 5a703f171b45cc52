//! What can be learned of a JSON text without building anything of it.

use primus_core::parser::behind_string;
use serde::de::IgnoredAny;

use super::PacketError;

/// Values within values. serde_json goes no deeper either, and so no stack is used up by what a client
/// sends.
const DEEPEST: usize = 127;

/// Checks an array, and gives the texts of its elements, at most the first `most` of them one by one: the
/// last one is everything that is left.
pub(super) fn elements(text: &str, most: usize) -> Result<Vec<&str>, PacketError> {
    let mut elements = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, byte) in structure(text) {
        if byte != b',' {
            depth = deeper(depth, byte)?;
            if begin == 0 {
                begin = at + 1;
            }
        } else if depth == 1 && elements.len() + 1 < most {
            elements.push(text[begin..at].trim_matches(SPACE));
            begin = at + 1;
        }
    }
    is_json(text)?;
    let text = text.trim_end_matches(SPACE);
    if !text.trim_start_matches(SPACE).starts_with('[') {
        return Err(PacketError("it carries no array"));
    }
    let last = text[begin..text.len() - 1].trim_matches(SPACE);
    if !last.is_empty() {
        elements.push(last); // else it is an array without elements
    }
    Ok(elements)
}

/// Checks that a text is one JSON value that is not nested too deep.
pub(super) fn check(text: &str) -> Result<(), PacketError> {
    let mut nesting = structure(text).filter(|(_, byte)| *byte != b',');
    nesting.try_fold(0, |depth, (_, byte)| deeper(depth, byte))?;
    is_json(text)
}

/// How deep it is behind a bracket or a brace.
fn deeper(depth: usize, byte: u8) -> Result<usize, PacketError> {
    match byte {
        b'[' | b'{' if depth == DEEPEST => Err(PacketError("its JSON is nested too deep")),
        b'[' | b'{' => Ok(depth + 1),
        _ => Ok(depth.saturating_sub(1)),
    }
}

fn is_json(text: &str) -> Result<(), PacketError> {
    let read = serde_json::from_str::<IgnoredAny>(text);
    read.map(drop).map_err(|_| PacketError("it carries no JSON"))
}

/// The brackets, braces and commas that are in no string, and where they are.
fn structure(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = text.as_bytes();
    let mut next = 0;
    std::iter::from_fn(move || {
        loop {
            let at = next;
            let byte = *bytes.get(at)?;
            next += 1;
            match byte {
                b'"' => next = behind_string(bytes, next),
                b'[' | b'{' | b']' | b'}' | b',' => return Some((at, byte)),
                _ => {}
            }
        }
    })
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_of_arrays() {
        let of = |text| elements(text, usize::MAX);
        assert_eq!(of("[]"), Ok(vec![]));
        assert_eq!(of(" [ \n] "), Ok(vec![]));
        assert_eq!(
            of(r#"[1, "a,]\"" ,[2,{"b":[3]}],{}]"#),
            Ok(vec!["1", r#""a,]\"""#, r#"[2,{"b":[3]}]"#, "{}"])
        );
        assert_eq!(elements("[1,2,3]", 2), Ok(vec!["1", "2,3"]));
        assert_eq!(elements("[1]", 2), Ok(vec!["1"]));
        for wrong in ["", "{}", "1", "[1,]", "[1 2]", "[", "]", "[1]x", "[\"a]", "[nul]", "\"[1]\""]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_too_deep_is_refused_and_not_followed() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(&nested(127)).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(127)).is_ok());
        for depth in [128, 100_000] {
            let error = PacketError("its JSON is nested too deep");
            assert_eq!(check(&nested(depth)), Err(error), "{depth}");
        }
        assert!(check(&format!("\"{}\"", "[".repeat(1000))).is_ok());
    }

    proptest! {
        #[test]
        fn elements_are_those_that_serde_finds(values in prop::collection::vec("[a-z\"\\\\,\\[\\]{} ]{0,9}", 0..6)) {
            let text = serde_json::to_string(&values).unwrap();
            let found = elements(&text, usize::MAX).unwrap();
            let found: Vec<String> = found.iter().map(|one| serde_json::from_str(one).unwrap()).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn any_text_may_come(text in "[\\[\\]{},:\"0-9a \\\\]{0,40}") {
            let _ = elements(&text, 3);
        }
    }
}
