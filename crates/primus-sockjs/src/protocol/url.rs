//! What a URL below the mount is.

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The path itself.
    Greeting,
    /// What the client asks first.
    Info,
    /// The page of the iframe transports.
    Iframe,
    /// A WebSocket without SockJS in it.
    RawWebsocket,
    /// A receiver or a sender of a session.
    Session {
        /// What its client calls it.
        id: &'a str,
        /// How it is spoken to.
        transport: Transport,
    },
    /// It has the form of a session's URL, and is none.
    Nothing,
}

/// How the client of a session sends or receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Both ways, by messages.
    Websocket,
    /// One frame.
    Xhr,
    /// Frames as lines.
    XhrStreaming,
    /// Messages to the server.
    XhrSend,
    /// Frames as events.
    EventSource,
    /// Frames as scripts in a page.
    HtmlFile,
    /// One frame, as a script.
    Jsonp,
    /// Messages to the server, from a form.
    JsonpSend,
}

/// Bytes of a session's id, which the client chooses; the stock client takes 8.
const LONGEST_ID: usize = 256;

/// What the path behind the mount's is for; one slash at its end does not count. `None`: nothing of SockJS, others
/// may have it.
///
/// ```text
/// /info   /iframe-1.6.1.html   /websocket   /<server>/<session>/xhr
/// ```
pub fn target(tail: &str) -> Option<Target<'_>> {
    let path = tail.strip_suffix('/').unwrap_or(tail);
    if path.is_empty() {
        return Some(Target::Greeting);
    }
    let mut segments = path.strip_prefix('/')?.split('/');
    let first = segments.next()?;
    let Some(session) = segments.next() else {
        return match first {
            "info" => Some(Target::Info),
            "websocket" => Some(Target::RawWebsocket),
            page if is_iframe(page) => Some(Target::Iframe),
            _ => None,
        };
    };
    let transport = segments.next().and_then(Transport::of).filter(|_| segments.next().is_none());
    Some(match transport {
        // The first segment is for balancers, and says nothing to us.
        Some(transport) if is_name(first) && is_name(session) => {
            Target::Session { id: session, transport }
        }
        _ => Target::Nothing,
    })
}

/// `iframe.html`, with a version between.
fn is_iframe(page: &str) -> bool {
    let version = page.strip_prefix("iframe").and_then(|page| page.strip_suffix(".html"));
    let sign = |byte: u8| {
        byte.is_ascii_digit() || byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.' | b'_')
    };
    version.is_some_and(|version| version.bytes().all(sign))
}

fn is_name(segment: &str) -> bool {
    !segment.is_empty() && !segment.contains('.') && segment.len() <= LONGEST_ID
}

impl Transport {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "websocket" => Self::Websocket,
            "xhr" => Self::Xhr,
            "xhr_streaming" => Self::XhrStreaming,
            "xhr_send" => Self::XhrSend,
            "eventsource" => Self::EventSource,
            "htmlfile" => Self::HtmlFile,
            "jsonp" => Self::Jsonp,
            "jsonp_send" => Self::JsonpSend,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn static_urls() {
        for tail in ["", "/"] {
            assert_eq!(target(tail), Some(Target::Greeting));
        }
        for tail in ["/info", "/info/"] {
            assert_eq!(target(tail), Some(Target::Info));
        }
        assert_eq!(target("/websocket"), Some(Target::RawWebsocket));
        for page in ["", "-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144"] {
            assert_eq!(target(&format!("/iframe{page}.html")), Some(Target::Iframe), "{page}");
        }
        for page in
            ["/iframe.htm", "/iframe", "/IFRAME.HTML", "/IFRAME", "/iframe.HTML", "/iframe.xml"]
        {
            assert_eq!(target(page), None, "{page}");
        }
        for tail in ["///", "/a/a", "/a/a/", "/iframe-/.html"] {
            assert_eq!(target(tail), Some(Target::Nothing), "{tail}");
        }
        for tail in ["/a", "/a.html", "/a/", "x", "//"] {
            assert_eq!(target(tail), None, "{tail}");
        }
    }

    #[test]
    fn session_urls() {
        let transport = Transport::Xhr;
        for (tail, id) in [
            ("/a/a/xhr", "a"),
            ("/_/_/xhr/", "_"),
            ("/abcdefgh_i-j%20/abcdefg_i-j%20/xhr", "abcdefg_i-j%20"),
        ] {
            assert_eq!(target(tail), Some(Target::Session { id, transport }), "{tail}");
        }
        let long = format!("/0/{}/xhr", "x".repeat(LONGEST_ID + 1));
        let tails = [
            "///xhr",
            "/a./a/xhr",
            "/a/a./xhr",
            "/./././xhr",
            "//xhr",
            "////xhr",
            "/a/a/a/xhr",
            "/a/a/XHR",
            "/a/a/xhr//",
            "/a//xhr",
            &long,
        ];
        for tail in tails {
            assert_eq!(target(tail), Some(Target::Nothing), "{tail}");
        }
    }

    proptest! {
        #[test]
        fn every_path_is_something(tail in "(/[a-z.%_]{0,9}){0,6}/?") {
            let _ = target(&tail);
        }
    }
}
