//! Bodies, queries and chunks of BrowserChannel.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use primus_browserchannel::protocol::{
    chunk::{Form, chunk, list},
    json,
    maps::{MOST, Map, Maps},
    query::{Get, domain, get, test, version},
};
use primus_core::Query;
use primus_socketio::protocol::Value;

use crate::heap;

/// Bytes of a message.
const MAX: usize = 100;
/// What a body of nothing may take.
const BASE: usize = 4 << 10;
/// And more for a byte of it: two of them may be a map.
const EACH: usize = 400;
/// The highest number that a client can count to.
const HIGHEST: u64 = 1 << 53;

/// A body as a form and as JSON. What is read is the same when it has been written as the client writes, and read
/// again; of JSON it is what another reader finds. Lists and chunks come apart in JavaScript as they were put
/// together, and no page can be left.
pub fn browserchannel(data: &[u8]) {
    for is_json in [false, true] {
        let read = || Maps::read(data, is_json, MAX);
        let Ok(maps) = heap::bounded(BASE + EACH * data.len(), read) else { continue };
        assert!(maps.maps.len() <= MOST && maps.first <= HIGHEST);
        let written = if is_json { as_json(&maps) } else { as_form(&maps) };
        assert_eq!(Maps::read(written.as_bytes(), is_json, MAX).as_ref(), Ok(&maps), "{written}");
        if is_json {
            agrees(data, &maps);
        }
        sent_back(&maps);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(json::is_json(text), serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    said(text);
    query(&Query::parse(text));
}

fn as_form(maps: &Maps) -> String {
    let mut form = format!("count={}", maps.maps.len());
    if !maps.maps.is_empty() {
        form.push_str(&format!("&ofs={}", maps.first));
    }
    for (id, map) in maps.maps.iter().enumerate() {
        let mut put = |key: &str, value: &str| {
            let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            form.push_str(&format!("&req{id}_{}={}", encoded(key), encoded(value)));
        };
        match map {
            Map::Text(text) => put("_S", text),
            Map::Json(json) => put("JSON", json),
            Map::Bad => put("type", "_badmap"),
            Map::Object(object) => {
                let Ok(Value::Object(members)) = serde_json::from_str(object) else {
                    panic!("{object} is no object");
                };
                for (key, value) in members {
                    let Value::Text(value) = value else { panic!("{object}") };
                    put(&key, &value);
                }
            }
        }
    }
    form
}

fn as_json(maps: &Maps) -> String {
    let values: Vec<&str> = maps.maps.iter().map(value).collect();
    format!("{{\"ofs\":{},\"data\":[{}]}}", maps.first, values.join(","))
}

fn value(map: &Map) -> &str {
    match map {
        Map::Json(json) => json,
        other => panic!("{other:?} in a body of JSON"),
    }
}

/// Where another reader can follow as deep as that.
fn agrees(data: &[u8], maps: &Maps) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let found = value["data"].as_array().expect("a list");
    let parsed = maps
        .maps
        .iter()
        .map(|map| serde_json::from_str::<serde_json::Value>(self::value(map)).unwrap());
    assert!(parsed.eq(found.iter().cloned()), "{value} was read as {maps:?}");
    assert_eq!(value.get("ofs").and_then(|ofs| ofs.as_u64()).unwrap_or_default(), maps.first);
}

/// As the server numbers values, and the client reads them.
fn sent_back(maps: &Maps) {
    let values: Vec<String> = maps
        .maps
        .iter()
        .map(|map| match map {
            Map::Text(text) => json::quote(text),
            Map::Json(json) | Map::Object(json) => primus_core::request::in_script(json),
            Map::Bad => "null".to_owned(),
        })
        .collect();
    let sent = list(maps.first, values.iter().map(String::as_bytes));
    assert!(json::is_json(&sent) && !sent.contains(['\u{2028}', '\u{2029}']), "{sent}");
    if let Ok(arrays) = serde_json::from_str::<Vec<(u64, serde_json::Value)>>(&sent) {
        assert_eq!(arrays.len(), values.len());
        for ((id, (number, array)), value) in (maps.first..).zip(arrays).zip(&values) {
            assert_eq!(id, number);
            assert_eq!(array, serde_json::from_str::<serde_json::Value>(value).unwrap());
        }
    }
    said(&sent);
}

fn said(text: &str) {
    let chunk = chunk(text);
    let chunk = std::str::from_utf8(&chunk).expect("text");
    let (length, behind) = chunk.split_once('\n').expect("a length");
    let units: Vec<u16> = behind.encode_utf16().collect();
    assert_eq!((units.len(), behind), (length.parse().expect("a number"), text));

    let page = Form::Html.message(text, false);
    let page = std::str::from_utf8(&page).expect("text");
    let string = page
        .strip_prefix("<script>try {parent.m(")
        .and_then(|rest| rest.strip_suffix(")} catch(e) {}</script>\n"))
        .expect("a script");
    assert!(string.is_ascii() && !string.contains(['<', '>', '\n']), "{string} may end its script");
    assert_eq!(serde_json::from_str::<String>(string).expect("a string"), text);
}

fn query(query: &Query) {
    let of_domains = |it: char| it.is_ascii_alphanumeric() || ".-".contains(it);
    if let Ok(Some(domain)) = domain(query) {
        assert!(!domain.is_empty() && domain.chars().all(of_domains), "{domain}");
    }
    assert!(test(query).is_err() || version(query).is_ok());
    let written = |name, number: u64| {
        let digits = query.get(name).expect("it was read").trim_start_matches('0');
        assert!(number <= HIGHEST && (number == 0 || digits == number.to_string()), "{name}");
    };
    match get(query) {
        Ok(Get::Back { aid, .. }) => written("AID", aid),
        Ok(Get::Terminate { rid, aid }) => {
            written("RID", rid);
            aid.into_iter().for_each(|aid| written("AID", aid));
        }
        Err(_) => {}
    }
}
