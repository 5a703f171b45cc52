//! Content codings: which one a client gets (RFC 9110 §12.5.3), and how they are made.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderMap, header};

/// A form in which the script is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

impl Encoding {
    /// The coding that the client likes best: by quality, then by size.
    ///
    /// Who accepts nothing of what there is gets the script as it is: a script that was asked for
    /// is worth more than a 406.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Self {
        let weights = Weights::read(headers);
        let (mut best, mut quality) = (Self::Identity, weights.identity());
        for coding in [Self::Gzip, Self::Brotli] {
            let offered = weights.of(coding.names());
            if offered > 0 && offered >= quality {
                (best, quality) = (coding, offered);
            }
        }
        best
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Gzip => &["gzip", "x-gzip"],
            Self::Brotli => &["br"],
        }
    }

    /// For `Content-Encoding`.
    pub(crate) fn name(self) -> Option<&'static str> {
        (self != Self::Identity).then(|| self.names()[0])
    }
}

/// The codings that the client listed, each with its quality in thousandths.
struct Weights<'a>(Vec<(&'a str, u16)>);

impl<'a> Weights<'a> {
    /// Elements that make no sense count as not being there.
    fn read(headers: &'a HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        let elements = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
        Self(
            elements
                .filter_map(|element| {
                    let mut parts = element.split(';').map(str::trim);
                    let coding = parts.next().filter(|coding| !coding.is_empty())?;
                    let quality = parts.find_map(|part| {
                        part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))
                    });
                    Some((coding, quality.map_or(Some(1000), thousandths)?))
                })
                .collect(),
        )
    }

    fn find(&self, names: &[&str]) -> Option<u16> {
        let named = |coding: &str| names.iter().any(|name| coding.eq_ignore_ascii_case(name));
        self.0.iter().find(|(coding, _)| named(coding)).map(|(_, quality)| *quality)
    }

    fn of(&self, names: &[&str]) -> u16 {
        self.find(names).or_else(|| self.find(&["*"])).unwrap_or(0)
    }

    /// Unless it is listed, `identity` is acceptable and the last choice.
    fn identity(&self) -> u16 {
        self.find(Encoding::Identity.names()).unwrap_or(0)
    }
}

/// `0.5` is 500: at most three digits behind the point.
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, part) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() > 3 || !digits || !matches!(whole, "0" | "1") {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    Some(whole.parse::<u16>().ok()? * 1000 + part).filter(|quality| *quality <= 1000)
}

/// The smallest gzip that there is of `text`; the same text gives the same bytes.
pub(crate) fn gzip(text: &str) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // A Vec takes everything.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default().into()
}

/// The smallest brotli that there is of `text`.
pub(crate) fn brotli(text: &str) -> Bytes {
    let mut out = Vec::new();
    {
        let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 11, 22);
        // A Vec takes everything.
        let _ = encoder.write_all(text.as_bytes());
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::HeaderValue;

    use super::{Encoding::*, *};

    #[test]
    fn the_client_chooses_by_quality_then_we_by_size() {
        let cases = [
            ("", Identity),
            ("gzip, deflate, br, zstd", Brotli),
            ("br, gzip", Brotli),
            ("gzip", Gzip),
            ("x-gzip", Gzip),
            ("GZIP ; Q=1.0", Gzip),
            ("deflate", Identity),
            ("br;q=0.5, gzip;q=0.8", Gzip),
            ("br;q=0.5, gzip;q=0.5", Brotli),
            ("br;q=0.001", Brotli),
            ("br;q=0, gzip", Gzip),
            ("br;q=0, gzip;q=0", Identity),
            ("identity;q=1, gzip;q=0.5", Identity),
            ("identity;q=0.5, gzip;q=0.5", Gzip),
            ("*", Brotli),
            ("*, br;q=0", Gzip),
            ("*;q=0", Identity),
            ("*;q=0, gzip;q=0.1", Gzip),
            ("identity;q=0, *;q=0", Identity),
            ("br;q=2, gzip", Gzip),
            ("br;q=1.001, gzip", Gzip),
            ("br;q=x, ,;q=1", Identity),
            ("br;q=0.1234", Identity),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(Encoding::negotiate(&headers), expected, "{value}");
        }
        assert_eq!(Encoding::negotiate(&HeaderMap::new()), Identity);
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(Encoding::negotiate(&headers), Brotli);
    }

    #[test]
    fn both_codings_give_the_text_back() {
        let text = "a script, a script, a script — ü";
        let mut back = String::new();
        flate2::read::GzDecoder::new(&*gzip(text)).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
        let mut back = String::new();
        brotli::Decompressor::new(&*brotli(text), 4096).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
        assert_eq!(gzip(text), gzip(text));
    }
}
