//! Names of channels, and patterns of them (<https://docs.cometd.org/current7/reference/#_bayeux_protocol_elements>).

/// The longest name, in bytes: that of rooms, which channels are.
pub const LONGEST: usize = 256;

/// Whether this names one channel, such as `/prices/ACME`.
///
/// ```
/// use primus_bayeux::protocol::channel::is_channel;
/// assert!(is_channel("/prices/ACME"));
/// assert!(!is_channel("/prices/*") && !is_channel("/prices/") && !is_channel("prices"));
/// ```
pub fn is_channel(name: &str) -> bool {
    name.len() <= LONGEST
        && name.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment))
}

/// Whether this is a pattern: `*` or `**` is its last segment, and only that.
///
/// ```
/// use primus_bayeux::protocol::channel::is_pattern;
/// assert!(is_pattern("/**") && is_pattern("/prices/*"));
/// assert!(!is_pattern("/*/ACME") && !is_pattern("/prices*"));
/// ```
pub fn is_pattern(name: &str) -> bool {
    let Some((parent, "*" | "**")) = name.rsplit_once('/') else { return false };
    name.len() <= LONGEST && (parent.is_empty() || is_channel(parent))
}

fn is_segment(segment: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_!~()$@".contains(&byte);
    !segment.is_empty() && segment.bytes().all(sign)
}

/// Whether it is below `/meta`, which is the protocol's own.
pub fn is_meta(name: &str) -> bool {
    is_in(name, "/meta")
}

/// Whether it is below `/service`: what is published there is for the server alone.
pub fn is_service(name: &str) -> bool {
    is_in(name, "/service")
}

fn is_in(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The patterns that a channel fits, at most one more than it has segments. None, if it is none, or
/// nobody may subscribe to it.
///
/// ```
/// use primus_bayeux::protocol::channel::patterns;
/// assert_eq!(patterns("/a/b"), ["/a/*", "/a/**", "/**"]);
/// assert!(patterns("/service/a").is_empty() && patterns("lobby").is_empty());
/// ```
pub fn patterns(name: &str) -> Vec<String> {
    if !is_channel(name) || is_meta(name) || is_service(name) {
        return Vec::new();
    }
    let parents = || name.rmatch_indices('/').map(|(at, _)| &name[..at]);
    let one = parents().take(1).map(|parent| format!("{parent}/*"));
    one.chain(parents().map(|parent| format!("{parent}/**"))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn channels_and_patterns() {
        for good in ["/a", "/a/b", "/-_!~()$@/Z9"] {
            assert!(is_channel(good) && !is_pattern(good), "{good}");
        }
        for good in ["/*", "/**", "/a/*", "/a/b/**"] {
            assert!(is_pattern(good) && !is_channel(good), "{good}");
        }
        let long = format!("/{}", "x".repeat(256));
        for bad in
            ["", "/", "a", "//", "/a/", "/a//b", "/a b", "/ä", "/a/***", "/*/a", "/**/*", &long]
        {
            assert!(!is_channel(bad) && !is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn meta_and_service_are_whole_segments() {
        assert!(is_meta("/meta") && is_meta("/meta/subscribe/x") && is_meta("/meta/*"));
        assert!(!is_meta("/metal") && !is_meta("/a/meta"));
        assert!(is_service("/service/x") && !is_service("/services"));
    }

    #[test]
    fn the_patterns_of_a_channel() {
        assert_eq!(patterns("/foo/bar/qux"), ["/foo/bar/*", "/foo/bar/**", "/foo/**", "/**"]);
        assert_eq!(patterns("/a"), ["/*", "/**"]);
    }

    proptest! {
        #[test]
        fn any_name_is_a_channel_or_a_pattern_or_neither(name in "[/a*é]{0,12}") {
            prop_assert!(!(is_channel(&name) && is_pattern(&name)));
            for pattern in patterns(&name) {
                prop_assert!(is_pattern(&pattern));
            }
        }
    }
}
