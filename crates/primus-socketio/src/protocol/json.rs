//! What can be learned of a JSON text without building anything of it.

use serde::de::IgnoredAny;

use super::PacketError;

/// Values within values. serde_json goes no deeper either, and so no stack is used up by what a client
/// sends.
const DEEPEST: usize = 127;

/// Checks an array, and gives the texts of its elements, at most the first `most` of them one by one: the
/// last one is everything that is left.
pub(super) fn elements(text: &str, most: usize) -> Result<Vec<&str>, PacketError> {
    check(text)?;
    let inner = text.trim_matches(SPACE);
    let inner = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let inner = inner.ok_or(PacketError("it carries no array"))?;
    if inner.trim_matches(SPACE).is_empty() {
        return Ok(Vec::new());
    }
    let mut elements = Vec::new();
    let (mut depth, mut begin, mut in_string, mut escaped) = (0usize, 0, false, false);
    for (at, byte) in inner.bytes().enumerate() {
        if elements.len() + 1 >= most {
            break;
        }
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                elements.push(inner[begin..at].trim_matches(SPACE));
                begin = at + 1;
            }
            _ => {}
        }
    }
    elements.push(inner[begin..].trim_matches(SPACE));
    Ok(elements)
}

/// Checks that a text is one JSON value that is not nested too deep.
pub(super) fn check(text: &str) -> Result<(), PacketError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(PacketError("its JSON is nested too deep"));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(PacketError("it carries no JSON")),
    }
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
