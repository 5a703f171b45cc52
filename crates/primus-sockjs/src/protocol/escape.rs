//! Text as JSON that survives every transport.

use memchr::memchr3;

/// Puts `text` as a JSON string. What browsers or proxies are known to spoil goes as `\uXXXX`, in two of them where
/// UTF-16 has two: so what is written never needs a surrogate, and holds no line end.
pub fn quote(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = find_escaped(rest) {
        out.push_str(&rest[..at]);
        let mut after = rest[at..].chars();
        if let Some(found) = after.next() {
            escape(found, out);
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Where the first character is that is escaped. Nearly none is, so bytes that begin no such are passed over many at a
/// time.
fn find_escaped(text: &str) -> Option<usize> {
    const RUN: usize = 32;
    let runs = text.as_bytes().chunks(RUN).enumerate();
    let suspect =
        runs.filter(|(_, run)| run.iter().fold(false, |any, byte| any | may_begin(*byte)));
    let mut places = suspect.flat_map(|(index, run)| index * RUN..index * RUN + run.len());
    places.find(|at| may_begin(text.as_bytes()[*at]) && text[*at..].starts_with(is_escaped))
}

/// Whether a character that is escaped may begin with this byte, which is the first of one then.
fn may_begin(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..0x20 | 0xe2 | 0xef..)
}

/// The list of sockjs-node.
fn is_escaped(it: char) -> bool {
    matches!(it,
        '"' | '\\' | '\0'..='\x1f'
        | '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}'
        | '\u{fff0}'..='\u{ffff}' | '\u{10000}'..)
}

fn escape(it: char, out: &mut String) {
    let short = match it {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => {
            for unit in it.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(char::from(b"0123456789abcdef"[usize::from(*unit >> shift & 0xf)]));
                }
            }
            return;
        }
    };
    out.push_str(short);
}

/// Puts a frame, which has no control characters, as a string of JavaScript that may stand in a page: `<` is escaped,
/// so that no message ends the script that it is in.
pub fn script_string(frame: &str, out: &mut String) {
    out.push('"');
    let mut rest = frame;
    while let Some(at) = memchr3(b'"', b'\\', b'<', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'"' => "\\\"",
            b'<' => "\\u003c",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = String::new();
        quote(text, &mut out);
        out
    }

    #[test]
    fn what_is_spoilt_on_its_way_is_escaped() {
        assert_eq!(quoted("x"), r#""x""#);
        assert_eq!(quoted(""), r#""""#);
        assert_eq!(
            quoted("a\"\\/\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}"),
            "\"a\\\"\\\\/\\n\\r\\t\\b\\f\\u0000\\u001f\u{7f}\""
        );
        assert_eq!(
            quoted("\u{200b}\u{200c}\u{2028}\u{2029}\u{2030}"),
            "\"\u{200b}\\u200c\\u2028\\u2029\u{2030}\""
        );
        assert_eq!(quoted("é\u{1f600}\u{ffff}"), r#""é\ud83d\ude00\uffff""#);
    }

    #[test]
    fn a_message_cannot_end_the_script_that_it_is_in() {
        let mut out = String::new();
        script_string(r#"a["</script><!--\n"]"#, &mut out);
        assert_eq!(out, r#""a[\"\u003c/script>\u003c!--\\n\"]""#);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "(?s)(.|[ -~]{30}){0,6}.{0,60}") {
            let quoted = quoted(&text);
            let unescaped = quoted.trim_matches('"').replace(['\\', '"'], "");
            prop_assert!(!unescaped.contains(is_escaped));
            prop_assert!(!quoted.contains(|it: char| it.is_control() && it < ' '));
            prop_assert_eq!(&serde_json::from_str::<String>(&quoted).unwrap(), &text);
            let mut script = String::new();
            script_string(&quoted, &mut script);
            prop_assert_eq!(serde_json::from_str::<String>(&script).unwrap(), quoted);
        }
    }
}
