//! How a request says where its body ends, which nobody on its way may have read differently.

use http::{HeaderMap, header};

/// Whether its only transfer coding, if it has any, is `chunked`, said once. hyper looks at the last
/// coding of the last header, and passes over those before.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next();
    first.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn chunked_once_is_the_only_coding() {
        for (codings, plain) in [
            (&[][..], true),
            (&["chunked"], true),
            (&["Chunked"], true),
            (&["chunked", "chunked"], false),
            (&["chunked, chunked"], false),
            (&["xchunked", "chunked"], false),
            (&["chunked", "xchunked"], false),
            (&["gzip, chunked"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for coding in codings {
                headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(coding));
            }
            assert_eq!(is_plain(&headers), plain, "{codings:?}");
        }
    }
}
