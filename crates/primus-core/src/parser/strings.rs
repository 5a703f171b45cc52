//! Strings in a text of JSON, without reading it: where they end, and halves of surrogate pairs in them.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Where a string ends of which `at` is a part, not in the midst of an escape: behind its quote. Without one, the end of the
/// text.
///
/// ```
/// use primus_core::parser::behind_string;
/// assert_eq!(behind_string(br#"["a\"b",1]"#, 2), 7);
/// assert_eq!(behind_string(br#"["a"#, 2), 3);
/// ```
pub fn behind_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1; // what is escaped
    }
    json.len()
}

/// JSON in which each half of a surrogate pair is U+FFFD. JavaScript may have such a half in a string, and escapes it; no
/// UTF-8 can have it, so that readers refuse the whole text.
///
/// ```
/// use primus_core::parser::replace_halves;
/// assert_eq!(replace_halves(r#"["a\ud800b","\ud83e\udd80"]"#), r#"["a\ufffdb","\ud83e\udd80"]"#);
/// ```
pub fn replace_halves(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += found;
        match unit(bytes, at) {
            Some(0xd800..0xdc00) if matches!(unit(bytes, at + 6), Some(0xdc00..0xe000)) => at += 12,
            Some(0xd800..0xe000) => {
                whole.push_str(&json[copied..at]);
                whole.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // Of another escape the second sign is none, be it a backslash.
            None => at += 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    whole.push_str(&json[copied..]);
    Cow::Owned(whole)
}

/// The code unit of an escape `\u1234` that stands there.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_an_escape_is_replaced() {
        for same in
            [r#""\\ud800""#, r#""\\\\ud800""#, r#""\ud83e\udd80""#, r#""\ud80""#, "\\", "\\u", "é"]
        {
            assert!(matches!(replace_halves(same), Cow::Borrowed(it) if it == same), "{same}");
        }
        assert_eq!(replace_halves(r#""\\\uDFFFé""#), r#""\\\ufffdé""#);
        assert_eq!(
            replace_halves(r#""\ud800\ud83e\udd80\udc00""#),
            r#""\ufffd\ud83e\udd80\ufffd""#
        );
    }

    proptest! {
        #[test]
        fn what_javascript_escapes_is_read(units in prop::collection::vec(
            prop_oneof![any::<u16>(), 0xd7f0..0xe010u16, Just(0x5c)], 0..20)
        ) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let read: String = serde_json::from_str(&replace_halves(&format!("\"{escaped}\""))).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn replacing_halves_is_total(text in any::<String>(), near in r#"(\\|u|d8|dc|00|é|"){0,12}"#) {
            for text in [text, near] {
                let once = replace_halves(&text).into_owned();
                prop_assert_eq!(replace_halves(&once), once.as_str());
            }
        }
    }
}
