//! Text as JSON that survives on its way into JavaScript.

use std::fmt::Write as _;

use primus_core::request::in_script;
use serde::de::IgnoredAny;

/// Whether a text is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A text as a JSON string.
pub fn quote(text: &str) -> String {
    // A string always has a form in JSON.
    in_script(&serde_json::to_string(text).unwrap_or_default())
}

/// A text as a string of a script in a page whose encoding is not known: all of it is ASCII, and no sign in it
/// can end the script.
pub fn script_string(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let mut out = String::with_capacity(quoted.len());
    for it in quoted.chars() {
        match it {
            '<' | '>' | '&' | '\u{7f}'.. => {
                for unit in it.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            it => out.push(it),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_comes_back_from_a_string(text in any::<String>()) {
            let strings = [quote(&text), script_string(&text)];
            prop_assert!(strings[1].is_ascii() && !strings[1].contains(['<', '>']));
            for string in strings {
                let spoilt = string.contains(['\u{2028}', '\u{2029}', '\n']);
                prop_assert!(!spoilt);
                let back: String = serde_json::from_str(&string).unwrap();
                prop_assert_eq!(&back, &text);
            }
        }
    }

    #[test]
    fn json_is_told_from_text() {
        assert!(is_json("null") && is_json(" {\"a\":[1e3]} ") && is_json("\"x\""));
        assert!(!is_json("") && !is_json("x") && !is_json("1 2") && !is_json("{\"a\":}"));
    }
}
