//! JSONP, for browsers of version 3 that had nothing better: an answer is a script, a POST is a form.

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::request::in_script;

use super::BadPacket;

/// The script that hands a payload to callback `j`.
pub fn write_jsonp(j: &str, payload: &str) -> String {
    let json = serde_json::Value::from(payload).to_string();
    format!("___eio[{j}]({});", in_script(&json))
}

/// The payload of a form, which has it as `d`, with `\n` for the line ends that forms change, and `\\n` for
/// what was `\n` before.
///
/// # Errors
/// When there is none.
pub fn read_jsonp(form: &Bytes) -> Result<ByteString, BadPacket> {
    let form = std::str::from_utf8(form).map_err(|_| BadPacket("a form is text"))?;
    let query = primus_core::Query::parse(form);
    let payload = query.get("d").ok_or(BadPacket("a form has its payload as d"))?;
    let mut text = String::with_capacity(payload.len());
    let mut rest = payload;
    while let Some(at) = rest.find('\\') {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        if let Some(behind) = behind.strip_prefix("\\\\n") {
            text.push_str("\\n");
            rest = behind;
        } else if let Some(behind) = behind.strip_prefix("\\n") {
            text.push('\n');
            rest = behind;
        } else {
            text.push('\\');
            rest = &behind[1..];
        }
    }
    text.push_str(rest);
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_scripts() {
        assert_eq!(write_jsonp("0", "2:4\""), r#"___eio[0]("2:4\"");"#);
        let lines = write_jsonp("7", "\u{2028}\u{2029}\n");
        assert_eq!(lines, r#"___eio[7]("\u2028\u2029\n");"#);
    }

    #[test]
    fn posts_are_forms() {
        let read = |form: &'static str| read_jsonp(&Bytes::from_static(form.as_bytes()));
        assert_eq!(read("d=5%3A4a%5Cnb"), Ok("5:4a\nb".into()));
        assert_eq!(read("d=%5C%5Cn%5Cx%5C"), Ok("\\n\\x\\".into()));
        assert_eq!(read("x=1"), Err(BadPacket("a form has its payload as d")));
        assert!(read_jsonp(&Bytes::from_static(b"d=\xff")).is_err());
    }
}
