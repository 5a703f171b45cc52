//! Entity tags: how they are made, and `If-None-Match` (RFC 9110 §13.1.2).

use http::{HeaderMap, header};

/// 128 bits of FNV-1a in hex. It is a cache key that stays the same from one build of the server
/// to the next, and no defence: who could forge a script could do worse.
pub(crate) fn hash(text: &str) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in text.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    format!("{hash:032x}")
}

/// Whether the client has the representation with this strong tag already. Tags are compared
/// weakly, as the header asks for.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.trim() == "*" || tags(value).any(|tag| tag == etag))
}

/// The quoted tags of a list, without `W/`. A comma inside of quotes belongs to the tag.
fn tags(mut list: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let start = list.find('"')?;
        let end = start + 1 + list[start + 1..].find('"')?;
        let tag = &list[start..=end];
        list = &list[end + 1..];
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        assert_eq!(hash(""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(hash("a"), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(hash("foobar"), "343e1662793c64bf6f0d3597ba446f18");
    }

    #[test]
    fn lists_weak_tags_and_the_star() {
        let known = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            is_known(&headers, "\"a\"")
        };
        assert!(known(&["\"a\""]));
        assert!(known(&["W/\"a\""]));
        assert!(known(&["\"b\" , W/\"a\",\"c\""]));
        assert!(known(&["\"b,\",\"a\""]));
        assert!(known(&["\"b\"", "\"a\""]));
        assert!(known(&["*"]));
        assert!(!known(&[]));
        assert!(!known(&[""]));
        assert!(!known(&["a"]));
        assert!(!known(&["\"a"]));
        assert!(!known(&["\"b\",\"a-gzip\""]));
        assert!(!known(&["\",\"a\",\""]), "the quotes pair from the left");
    }
}
