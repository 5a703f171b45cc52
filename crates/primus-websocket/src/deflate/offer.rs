//! What clients offer, and what they get (RFC 7692 §5 and §7.1).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
use primus_core::Compression;

use super::header::{Extension, parse};

const NAME: &str = "permessage-deflate";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// The largest window that there is: 32 KiB.
const LARGEST: u8 = 15;
/// The smallest that zlib compresses with: 512 B.
const SMALLEST: u8 = 9;

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Bytes from which a message is compressed.
    pub(super) threshold: usize,
    /// Ours refer to what we have sent before.
    pub(super) ours_take_over: bool,
    /// Those of the client do.
    pub(super) theirs_take_over: bool,
    /// The window that the client asks us to keep within, as a power of two. Within ours it may do as it likes:
    /// what was compressed with a smaller window is inflated with the largest all the same.
    asked_window: Option<u8>,
}

impl Agreed {
    /// As a power of two, 9 to 15.
    pub(super) fn window(&self) -> u8 {
        self.asked_window.unwrap_or(LARGEST)
    }

    /// What the client is told.
    pub(crate) fn answer(&self) -> HeaderValue {
        let mut answer = NAME.to_owned();
        for (own, name) in
            [(self.ours_take_over, SERVER_NO_TAKEOVER), (self.theirs_take_over, CLIENT_NO_TAKEOVER)]
        {
            if !own {
                answer = answer + "; " + name;
            }
        }
        if let Some(window) = self.asked_window {
            let _ = write!(answer, "; {SERVER_WINDOW}={window}");
        }
        HeaderValue::try_from(answer).unwrap_or_else(|_| HeaderValue::from_static(NAME))
    }
}

/// Takes the client's first offer that can be taken. `None`: nothing is compressed. An offer that makes no
/// sense is as good as none, as is a whole field that is written wrong.
pub(crate) fn negotiate(headers: &HeaderMap, wanted: Option<&Compression>) -> Option<Agreed> {
    let wanted = wanted?;
    headers
        .get_all(SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|field| parse(field.to_str().ok()?))
        .flatten()
        .filter(|extension| extension.name == NAME)
        .find_map(|extension| accept(&extension, wanted))
}

/// `None`: a parameter is unknown, there twice, or has a value that it may not have (RFC 7692 §7.1).
fn accept(offer: &Extension<'_>, wanted: &Compression) -> Option<Agreed> {
    let mut agreed = Agreed {
        threshold: wanted.threshold,
        ours_take_over: wanted.takeover,
        theirs_take_over: wanted.takeover,
        asked_window: None,
    };
    for (index, (name, value)) in offer.parameters.iter().enumerate() {
        if offer.parameters[..index].iter().any(|(other, _)| other == name) {
            return None;
        }
        match (*name, value) {
            (SERVER_NO_TAKEOVER, None) => agreed.ours_take_over = false,
            // A hint that it will not, so we need not be able to.
            (CLIENT_NO_TAKEOVER, None) => agreed.theirs_take_over = false,
            // zlib would quietly use 9 for 8, which such a client could not inflate.
            (SERVER_WINDOW, Some(value)) => {
                agreed.asked_window = Some(window(value)?).filter(|bits| *bits >= SMALLEST);
                agreed.asked_window?;
            }
            // That we may bound its window; there is no need.
            (CLIENT_WINDOW, None) => {}
            (CLIENT_WINDOW, Some(value)) => {
                window(value)?;
            }
            _ => return None,
        }
    }
    Some(agreed)
}

/// 8 to 15, without a zero in front.
fn window(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=LARGEST).contains(bits));
    bits.filter(|bits: &u8| bits.to_string() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[&str], takeover: bool) -> Option<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(field).unwrap());
        }
        let mut wanted = Compression::default();
        wanted.takeover = takeover;
        let agreed = negotiate(&headers, Some(&wanted))?;
        Some(agreed.answer().to_str().unwrap().to_owned())
    }

    const NEITHER: &str = "; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn each_offer_has_its_answer() {
        let none = None::<(&str, &str)>;
        for (parameters, expected) in [
            // The parameters of the answer without context takeover, and with.
            ("", Some((NEITHER, ""))),
            ("; client_max_window_bits", Some((NEITHER, ""))),
            ("; client_max_window_bits=8", Some((NEITHER, ""))),
            ("; client_max_window_bits=\"15\"", Some((NEITHER, ""))),
            ("; server_no_context_takeover", Some((NEITHER, "; server_no_context_takeover"))),
            ("; client_no_context_takeover", Some((NEITHER, "; client_no_context_takeover"))),
            ("; client_no_context_takeover; server_no_context_takeover", Some((NEITHER, NEITHER))),
            (
                "; server_max_window_bits=9",
                Some((
                    "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
                    "; server_max_window_bits=9",
                )),
            ),
            (
                ";server_max_window_bits=15;server_no_context_takeover;client_max_window_bits=10",
                Some((
                    "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
                    "; server_no_context_takeover; server_max_window_bits=15",
                )),
            ),
            ("; server_max_window_bits=8", none), // not with zlib
            ("; server_max_window_bits", none),
            ("; server_max_window_bits=7", none),
            ("; server_max_window_bits=16", none),
            ("; server_max_window_bits=09", none),
            ("; server_max_window_bits=+9", none),
            ("; server_max_window_bits=99999999999999999999", none),
            ("; server_max_window_bits=x", none),
            ("; server_max_window_bits=9; server_max_window_bits=9", none),
            ("; client_max_window_bits=7", none),
            ("; client_max_window_bits=16", none),
            ("; client_max_window_bits; client_max_window_bits", none),
            ("; server_no_context_takeover=1", none),
            ("; client_no_context_takeover=true", none),
            ("; client_no_context_takeover; client_no_context_takeover", none),
            ("; unknown", none),
            ("; Server_no_context_takeover", none),
            (";", none),
            (" x", none),
        ] {
            let offer = format!("permessage-deflate{parameters}");
            for takeover in [false, true] {
                let expected = expected.map(|(without, with)| {
                    format!("permessage-deflate{}", if takeover { with } else { without })
                });
                assert_eq!(answer(&[&offer], takeover), expected, "{offer}, takeover: {takeover}");
            }
        }
    }

    #[test]
    fn the_first_offer_that_can_be_taken_is() {
        let only = |rest: &str| Some(format!("permessage-deflate{rest}"));
        // Alternatives in one field, and in several.
        let fallback = "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, \
                        permessage-deflate; server_max_window_bits=10, permessage-deflate";
        assert_eq!(answer(&[fallback], true), only("; server_max_window_bits=10"));
        let fields = ["permessage-foo; x", "permessage-deflate; y", "permessage-deflate"];
        assert_eq!(answer(&fields, true), only(""));
        // One field that is written wrong does not spoil the others.
        assert_eq!(answer(&["permessage-deflate,;", "permessage-deflate"], true), only(""));
        assert_eq!(answer(&["permessage-deflate,;"], true), None);
        assert_eq!(answer(&["x-webkit-deflate-frame"], true), None);
        assert_eq!(answer(&[], true), None);
    }

    #[test]
    fn nothing_is_agreed_on_where_it_is_off() {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(NAME));
        assert_eq!(negotiate(&headers, None), None);
        assert!(negotiate(&headers, Some(&Compression::default())).is_some());
    }
}
