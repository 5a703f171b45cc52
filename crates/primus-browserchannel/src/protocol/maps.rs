//! What clients send: maps with numbers, as a form or as JSON.

use std::borrow::Cow;

use bytestring::ByteString;
use percent_encoding::percent_decode;
use primus_core::parser::replace_halves;
use serde::de::{self, Deserialize, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{json, query::decimal};

/// Maps in one request: as many as the client sends.
pub const MOST: usize = 1000;
/// Keys in one map.
const MOST_KEYS: usize = 64;

/// What one request brings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maps {
    /// The number of the first map.
    pub first: u64,
    /// The maps, in order.
    pub maps: Vec<Map>,
}

/// One map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Map {
    /// A text: `_S`.
    Text(ByteString),
    /// A value: `JSON`, or one of a JSON body.
    Json(ByteString),
    /// Other keys and values, as a JSON object.
    Object(ByteString),
    /// The client could not say it.
    Bad,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapsError {
    /// It is not in the form that it says it is in.
    #[error("Bad data: {0}")]
    Bad(&'static str),
    /// There are more maps than a client sends.
    #[error("Bad data: more than {MOST} maps at once")]
    TooMany,
    /// The value of a map's `JSON` is none.
    #[error("Invalid JSON")]
    Json,
    /// One message has more bytes than it may.
    #[error("a message has more than {0} bytes (max_message); send smaller ones")]
    TooBig(usize),
}

use MapsError::{Bad, Json, TooBig, TooMany};

impl Maps {
    /// Reads a body. `is_json`: it says that it is JSON; else it is a form. Half of a surrogate pair is U+FFFD. No message may have more than `limit` bytes.
    ///
    /// # Errors
    /// When it is neither, or has too much.
    pub fn read(body: &[u8], is_json: bool, limit: usize) -> Result<Self, MapsError> {
        let maps = if is_json { Self::json(body) } else { Self::form(body) }?;
        let size = |map: &Map| match map {
            Map::Text(text) | Map::Json(text) | Map::Object(text) => text.len(),
            Map::Bad => 0,
        };
        if maps.maps.iter().any(|map| size(map) > limit) {
            return Err(TooBig(limit));
        }
        Ok(maps)
    }

    fn form(body: &[u8]) -> Result<Self, MapsError> {
        let (mut count, mut first) = (None, None);
        let mut keys: Vec<(usize, Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) =
                (decode(&pair[..at]), decode(pair.get(at + 1..).unwrap_or_default()));
            match &*name {
                "count" => {
                    let number = decimal(&value).ok_or(Bad("count is no number"))?;
                    count = Some(usize::try_from(number).map_err(|_| TooMany)?);
                }
                "ofs" => first = Some(decimal(&value).ok_or(Bad("ofs is no number"))?),
                _ => {
                    if keys.len() == MOST * MOST_KEYS {
                        return Err(TooMany);
                    }
                    if let Some((id, key)) = map_key(&name) {
                        let id = id.ok_or(Bad("the number of a map is too high"))?;
                        keys.push((id, key.to_owned().into(), value));
                    }
                }
            }
        }
        let count = count.ok_or(Bad("count is missing"))?;
        if count > MOST {
            return Err(TooMany);
        }
        if count == 0 && keys.is_empty() {
            return Ok(Self::default());
        }
        let first = first.ok_or(Bad("ofs is missing"))?;
        // Clients send them in order, and the sort keeps what is.
        keys.sort_by_key(|(id, ..)| *id);
        let mut maps = Vec::with_capacity(count.min(keys.len()));
        for group in keys.chunk_by(|(a, ..), (b, ..)| a == b) {
            if group[0].0 != maps.len() {
                return Err(Bad("a map is missing"));
            }
            maps.push(Map::of(group)?);
        }
        if maps.len() != count {
            return Err(Bad("count is not the number of maps"));
        }
        Ok(Self { first, maps })
    }

    fn json(body: &[u8]) -> Result<Self, MapsError> {
        #[derive(serde::Deserialize)]
        struct Body {
            ofs: Option<u64>,
            data: Values,
        }
        let bad = Bad("expected {\"ofs\":0,\"data\":[...]}");
        let text = replace_halves(std::str::from_utf8(body).map_err(|_| bad)?);
        // serde would read an array as the members in their order.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(bad);
        }
        let Body { ofs, data: Values(maps) } = serde_json::from_str(&text).map_err(|_| bad)?;
        if maps.len() > MOST {
            return Err(TooMany);
        }
        let first = match ofs {
            Some(first) if first <= 1 << 53 => first,
            None if maps.is_empty() => 0,
            Some(_) => return Err(Bad("ofs is too high")),
            None => return Err(Bad("ofs is missing")),
        };
        Ok(Self { first, maps })
    }
}

/// `req12_key`: the number, if it is one that there may be, and the key.
fn map_key(name: &str) -> Option<(Option<usize>, &str)> {
    let (id, key) = name.strip_prefix("req")?.split_once('_')?;
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !key.is_empty()).then(|| (id.parse().ok().filter(|id| *id < MOST), key))
}

/// A part of a form; what is not UTF-8 is replaced.
fn decode(part: &[u8]) -> Cow<'_, str> {
    if !part.iter().any(|byte| b"+%".contains(byte)) {
        return String::from_utf8_lossy(part);
    }
    let spaced: Vec<u8> =
        part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned().into()
}

impl Map {
    /// A map of a form, of which each key has the number before it.
    fn of(keys: &[(usize, Cow<'_, str>, Cow<'_, str>)]) -> Result<Self, MapsError> {
        if keys.len() > MOST_KEYS {
            return Err(Bad("a map has too many keys"));
        }
        let get =
            |key: &str| keys.iter().find(|(_, found, _)| found == key).map(|(.., value)| value);
        if get("type").is_some_and(|value| value == "_badmap") {
            return Ok(Self::Bad);
        }
        if let Some(text) = get("_S") {
            return Ok(Self::Text(text.as_ref().into()));
        }
        if let Some(value) = get("JSON") {
            let value = replace_halves(value);
            return json::is_json(&value).then(|| Self::Json(value.as_ref().into())).ok_or(Json);
        }
        let members: Vec<_> = keys
            .iter()
            .map(|(_, key, value)| format!("{}:{}", json::quote(key), json::quote(value)))
            .collect();
        Ok(Self::Object(format!("{{{}}}", members.join(",")).into()))
    }
}

/// The values of a JSON body, one more than there may be at the most.
struct Values(Vec<Map>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Values;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut maps = Vec::new();
                while let Some(value) = list.next_element::<&RawValue>()? {
                    if maps.len() <= MOST {
                        maps.push(Map::Json(value.get().into()));
                    }
                }
                Ok(Values(maps))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(body: &str) -> Result<Maps, MapsError> {
        Maps::read(body.as_bytes(), false, 1000)
    }

    fn json(body: &str) -> Result<Maps, MapsError> {
        Maps::read(body.as_bytes(), true, 1000)
    }

    #[test]
    fn forms() {
        assert_eq!(form("count=0"), Ok(Maps::default()));
        assert_eq!(
            form(
                "count=5&ofs=7&req0__S=a+%C3%A4%2B&req1_JSON=%7B%22a%22%3A1%7D&req2_k=v&req2_l=&req3_type=_badmap&req4__S="
            ),
            Ok(Maps {
                first: 7,
                maps: vec![
                    Map::Text("a \u{e4}+".into()),
                    Map::Json("{\"a\":1}".into()),
                    Map::Object("{\"k\":\"v\",\"l\":\"\"}".into()),
                    Map::Bad,
                    Map::Text("".into()),
                ]
            })
        );
    }

    #[test]
    fn bodies_of_json() {
        let maps = vec![
            Map::Json("{\"a\": 1}".into()),
            Map::Json("null".into()),
            Map::Json("1e400".into()),
        ];
        assert_eq!(json(r#"{"ofs":3,"data":[{"a": 1},null,1e400]}"#), Ok(Maps { first: 3, maps }));
        assert_eq!(json(r#"{"data":[]}"#), Ok(Maps::default()));
        for bad in [
            "",
            "{",
            "[]",
            "[1,[]]",
            "{\"data\":1}",
            "{\"data\":[1]}",
            "{\"ofs\":-1,\"data\":[]}",
            "{\"ofs\":9007199254740993,\"data\":[]}",
        ] {
            assert!(matches!(json(bad), Err(Bad(_))), "{bad}");
        }
        assert_eq!(
            json(&format!("{{\"ofs\":0,\"data\":[{}1]}}", "1,".repeat(100_000))),
            Err(TooMany)
        );
        assert!(json(&format!("{{\"ofs\":0,\"data\":[{}", "[".repeat(200_000))).is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, error) in [
            ("", Bad("count is missing")),
            ("count=-1", Bad("count is no number")),
            ("count=1e9", Bad("count is no number")),
            ("count=1000000000&ofs=0", TooMany),
            ("count=1&req0__S=x", Bad("ofs is missing")),
            ("count=1&ofs=-5&req0__S=x", Bad("ofs is no number")),
            ("count=1&ofs=99999999999999999999&req0__S=x", Bad("ofs is no number")),
            ("count=2&ofs=0&req1__S=x", Bad("a map is missing")),
            ("count=2&ofs=0&req0__S=x", Bad("count is not the number of maps")),
            ("count=1&ofs=0&req4000000000__S=x", Bad("the number of a map is too high")),
            ("count=1&ofs=0&req0_JSON=%7B", Json),
        ] {
            assert_eq!(form(body), Err(error), "{body}");
        }
        let large = format!("count=1&ofs=0&req0__S={}", "x".repeat(1001));
        assert_eq!(form(&large), Err(TooBig(1000)));
    }

    proptest! {
        #[test]
        fn the_reader_is_total(body in proptest::collection::vec(any::<u8>(), 0..300), is_json in any::<bool>()) {
            let _ = Maps::read(&body, is_json, 100);
        }

        #[test]
        fn what_looks_like_a_form_is_one_or_none(body in "(count=[0-9]{0,4}&)?(ofs=[0-9-]{0,3}&)?(req[0-9]{1,5}_(_S|JSON|k)=[a-z%+{}0-9]{0,5}&){0,8}") {
            if let Ok(maps) = form(&body) {
                prop_assert!(maps.maps.len() <= MOST);
            }
        }
    }
}
