//! What is known of who asks: the head of a request, or what is left of one while a WebSocket stays.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use primus_core::Head;

/// Who asks.
pub(crate) enum Asker {
    /// A request, which is answered soon.
    Request(Box<Head>),
    /// The request of a WebSocket.
    Socket(Folded),
}

impl Asker {
    /// As `authorize` sees it.
    pub(crate) fn head(&self) -> Cow<'_, Head> {
        match self {
            Self::Request(head) => Cow::Borrowed(&**head),
            Self::Socket(folded) => Cow::Owned(folded.unfold()),
        }
    }
}

/// A head in little room: by any of its headers it would keep alive all that was read with it, and their map is larger
/// than what they say.
pub(crate) struct Folded {
    /// Everything but the target and the headers.
    rest: Box<Head>,
    uri: Box<str>,
    /// Lines, of which no header has an end.
    headers: Box<[u8]>,
}

impl Folded {
    pub(crate) fn new(head: Head) -> Self {
        let mut headers = Vec::new();
        for (name, value) in &head.headers {
            headers.extend_from_slice(name.as_str().as_bytes());
            headers.push(b':');
            headers.extend_from_slice(value.as_bytes());
            headers.push(b'\n');
        }
        let uri = head.uri.to_string().into();
        let rest = Box::new(Head { uri: Uri::default(), headers: HeaderMap::new(), ..head });
        Self { rest, uri, headers: headers.into() }
    }

    fn unfold(&self) -> Head {
        let header = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
        };
        let lines = self.headers.split(|byte| *byte == b'\n');
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(header) {
            headers.append(name, value);
        }
        let uri = self.uri.parse().unwrap_or_default();
        Head { uri, headers, ..(*self.rest).clone() }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_head_is_the_same_when_it_was_folded() {
        let mut head = Head::new(Method::GET, Uri::from_static("/bayeux?a=1&b=%20"));
        head.secure = true;
        head.address = Some([127, 0, 0, 1].into());
        for (name, value) in [
            ("cookie", &b"a=1"[..]),
            ("x-twice", b"one: two"),
            ("x-twice", b"\xe4\t"),
            ("x-empty", b""),
        ] {
            head.headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let unfolded = Asker::Socket(Folded::new(head.clone()));
        let unfolded = unfolded.head();
        assert_eq!(format!("{unfolded:?}"), format!("{head:?}"));
        assert_eq!(unfolded.headers, head.headers);
    }
}
