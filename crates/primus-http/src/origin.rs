//! Which pages may connect (RFC 6454; RFC 6455 §10.2). Browsers do not hold WebSockets to the
//! same-origin policy, so the server must.

use primus_core::Head;

/// The pages that may connect. A request without an `Origin` header is not a page's and may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages from the host and port that the request itself names. The default.
    #[default]
    Same,
    /// Every page.
    Any,
    /// Pages of the same origin and of these, such as `https://example.com`,
    /// `http://localhost:5173` or `https://*.example.com`.
    List(Vec<String>),
}

/// A text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an origin; write it as `https://example.com` or `https://*.example.com:8443`, without a path"
)]
pub struct BadOrigin(String);

/// Scheme, host and port.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
}

fn split(origin: &str) -> Option<Parts<'_>> {
    let (scheme, authority) = origin.split_once("://")?;
    let (host, port) = split_port(authority)?;
    let scheme_ok = !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let host_ok = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    let port = port.filter(|port| !is_default_port(scheme, port));
    (scheme_ok && host_ok).then_some(Parts { scheme, host, port })
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(end) = authority.find(']') {
        let (host, rest) = authority.split_at(end + 1);
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':').filter(|port| is_port(port))?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => is_port(port).then_some((host, Some(port))),
    }
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok()
}

fn is_default_port(scheme: &str, port: &str) -> bool {
    matches!((scheme, port), ("http" | "ws", "80") | ("https" | "wss", "443"))
}

impl Origins {
    /// Checks a list from configuration: `["*"]` is [`Origins::Any`].
    ///
    /// # Errors
    /// When an entry is not an origin.
    pub fn list<S: AsRef<str>>(entries: &[S]) -> Result<Self, BadOrigin> {
        let mut list = Vec::new();
        for entry in entries {
            match entry.as_ref() {
                "*" => return Ok(Self::Any),
                "same-origin" => {}
                entry if split(entry).is_some() => list.push(entry.to_ascii_lowercase()),
                entry => return Err(BadOrigin(entry.to_owned())),
            }
        }
        Ok(if list.is_empty() { Self::Same } else { Self::List(list) })
    }

    /// Whether a request may come.
    ///
    /// # Errors
    /// A sentence that says which line of configuration would allow it.
    pub(crate) fn check(&self, head: &Head) -> Result<(), String> {
        if *self == Self::Any {
            return Ok(());
        }
        let origin = match head.headers.get(http::header::ORIGIN) {
            Some(origin) => origin.to_str().unwrap_or_default().to_ascii_lowercase(),
            None if is_of_another_page(head) => referrer(head),
            None => return Ok(()),
        };
        let Some(parts) = split(&origin) else {
            let error = "a page without an origin of its own may not connect; `origins = \"*\"` would allow it";
            return Err(error.to_owned());
        };
        if let Some(host) = head.host()
            && is_same(&parts, &host.to_ascii_lowercase())
        {
            return Ok(());
        }
        let list = match self {
            Self::List(list) => &list[..],
            _ => &[],
        };
        if list.iter().any(|entry| split(entry).is_some_and(|entry| covers(&entry, &parts))) {
            return Ok(());
        }
        let all: Vec<_> =
            list.iter().chain([&origin]).map(|entry| format!("\"{entry}\"")).collect();
        Err(format!(
            "pages from {origin} may not connect; this line of configuration would allow it: \
             origins = [{}]",
            all.join(", ")
        ))
    }
}

/// A page of another origin loads this as a script, a frame or a picture, of which browsers do not tell
/// the origin (Fetch Metadata Request Headers, §2.2). What it gets it may be able to read: JSONP is made for that.
fn is_of_another_page(head: &Head) -> bool {
    matches!(head.header("sec-fetch-site"), Some("cross-site" | "same-site"))
}

/// The origin of the page that the request says it comes from; nothing if it does not.
fn referrer(head: &Head) -> String {
    let referrer = head.header(http::header::REFERER).unwrap_or_default();
    let end = referrer.find("://").map_or(0, |at| at + 3);
    let end = referrer[end..].find(['/', '?', '#']).map_or(referrer.len(), |at| end + at);
    referrer[..end].to_ascii_lowercase()
}

fn is_same(origin: &Parts<'_>, host: &str) -> bool {
    let Some((host, port)) = split_port(host) else { return false };
    let port = port.filter(|port| !is_default_port(origin.scheme, port));
    origin.host == host && origin.port == port
}

fn covers(entry: &Parts<'_>, origin: &Parts<'_>) -> bool {
    let host = match entry.host.strip_prefix("*.") {
        // A whole label at least stands before the dot, so `evil-example.com` is not covered.
        Some(domain) => origin
            .host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => entry.host == origin.host,
    };
    host && entry.scheme == origin.scheme && entry.port == origin.port
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, Uri, header};

    use super::*;

    fn allowed(origins: &Origins, origin: &str, host: &str) -> bool {
        let mut head = Head::new(Method::GET, Uri::from_static("/primus"));
        head.headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        head.headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        origins.check(&head).is_ok()
    }

    #[test]
    fn same_origin() {
        for (origin, host, expected) in [
            ("http://a.test", "a.test", true),
            ("http://A.test:80", "a.TEST", true),
            ("https://a.test", "a.test:443", true),
            ("http://a.test:8080", "a.test:8080", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://a.test:8080", "a.test", false),
            ("http://a.test", "b.test", false),
            ("null", "a.test", false),
            ("http://a.test.evil", "a.test", false),
            ("http://a.test@evil", "a.test", false),
        ] {
            assert_eq!(allowed(&Origins::Same, origin, host), expected, "{origin} {host}");
        }
    }

    #[test]
    fn lists_and_wildcards() {
        let list = Origins::list(&["https://*.example.com", "http://dev.test:5173"]).unwrap();
        for (origin, expected) in [
            ("https://a.example.com", true),
            ("https://a.b.example.com", true),
            ("https://example.com", false),
            ("https://evilexample.com", false),
            ("https://.example.com", false),
            ("http://a.example.com", false),
            ("https://a.example.com:8443", false),
            ("http://dev.test:5173", true),
            ("http://dev.test", false),
            ("http://here.test", true),
        ] {
            assert_eq!(allowed(&list, origin, "here.test"), expected, "{origin}");
        }
        assert_eq!(Origins::list(&["*"]), Ok(Origins::Any));
        assert_eq!(Origins::list(&["same-origin"]), Ok(Origins::Same));
        assert!(Origins::list(&["example.com"]).is_err());
        assert!(Origins::list(&["https://example.com/path"]).is_err());
        assert!(allowed(&Origins::Any, "null", "a.test"));
    }

    #[test]
    fn a_script_of_another_page_is_held_to_where_it_comes_from() {
        let allowed = |site: &'static str, referrer: &'static str| {
            let mut head = Head::new(Method::GET, Uri::from_static("/primus"));
            head.headers.insert(header::HOST, HeaderValue::from_static("here.test"));
            head.headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            if !referrer.is_empty() {
                head.headers.insert(header::REFERER, HeaderValue::from_static(referrer));
            }
            let list = Origins::list(&["https://friend.test"]).unwrap();
            (
                Origins::Same.check(&head).is_ok(),
                list.check(&head).is_ok(),
                Origins::Any.check(&head).is_ok(),
            )
        };
        for site in ["same-origin", "none"] {
            assert_eq!(allowed(site, ""), (true, true, true), "{site}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(allowed(site, ""), (false, false, true), "{site}");
            assert_eq!(allowed(site, "https://evil.test/page"), (false, false, true));
            assert_eq!(
                allowed(site, "https://evil.test/https://friend.test/"),
                (false, false, true)
            );
            assert_eq!(allowed(site, "https://friend.test/a?b"), (false, true, true));
            assert_eq!(allowed(site, "http://here.test/"), (true, true, true));
        }
    }

    #[test]
    fn the_refusal_names_the_line() {
        let mut head = Head::new(Method::GET, Uri::from_static("/primus"));
        head.headers.insert(header::ORIGIN, HeaderValue::from_static("https://tunnel.test"));
        let error = Origins::Same.check(&head).unwrap_err();
        assert!(error.contains("origins = [\"https://tunnel.test\"]"), "{error}");
    }
}
