//! The half of a plugin that clients get.

use std::io::Read as _;

use primus::{Mount, Primus};
use primus_tests::{
    http::{Answer, get},
    server::Server,
};

use super::{Badge, script};

const BADGE: &str =
    "[((primus, options, mine) => { primus.badge = mine; }\n),{\"shown\":[\"\\u003c/script>\"]}]";
const PLAIN: &str = "((primus) => { primus.plain = 1; }\n)";

fn plugins_in(answer: &Answer) -> String {
    let plugins = answer.text().split_once(",\"plugins\":[");
    plugins.map_or("", |(_, behind)| behind.split_once("]})").unwrap().0).to_owned()
}

#[tokio::test]
async fn primus_js_has_the_plugins_of_the_moment_on_every_mount() {
    let server = Server::start(Primus::builder().mount("/ws", Mount::new())).await;
    let plugins = server.plugins();
    let mut expected = Vec::new();
    let mut seen = Vec::new();
    for step in ["", "+badge", "+plain", "+silent", "-badge", "-silent", "-plain"] {
        match step.split_at_checked(1) {
            Some(("+", name)) => {
                plugins
                    .add(Badge(
                        ["badge", "plain", "silent"].into_iter().find(|n| *n == name).unwrap(),
                    ))
                    .unwrap();
                expected.extend(
                    [("badge", BADGE), ("plain", PLAIN)].into_iter().filter(|(n, _)| *n == name),
                );
            }
            Some((_, name)) => {
                assert!(plugins.remove(name));
                expected.retain(|(n, _)| *n != name);
            }
            None => {}
        }
        let shown = expected.iter().map(|(_, script)| *script).collect::<Vec<_>>().join(",");
        let mut etags = Vec::new();
        for path in ["/primus", "/ws"] {
            let answer = script(&server, path).await;
            assert_eq!(plugins_in(&answer), shown, "{step} {path}");
            etags.push(answer.header("etag"));
        }
        assert_eq!(server.primus().library().etag(), etags[0]);
        assert_eq!(server.primus().library_of("/ws").unwrap().etag(), etags[1]);
        seen.push(etags);
    }
    // The same plugins make the same script, and others another one.
    let same = [(0, 6), (2, 3), (4, 5)];
    for (one, other) in (0..7).flat_map(|one| (0..one).map(move |other| (other, one))) {
        let expected = same.contains(&(one, other));
        assert_eq!(seen[one] == seen[other], expected, "{one} {other}");
        assert_eq!(seen[one][0] == seen[other][0], expected, "{one} {other}");
    }
}

#[tokio::test]
async fn after_a_change_the_old_script_is_stale_in_every_form() {
    let server = Server::start(Primus::builder()).await;
    let compressed = async |coding: &str| {
        let call = get("/primus/primus.js").header("accept-encoding", coding);
        let answer = call.send(server.address()).await;
        let mut script = String::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut script),
            _ => brotli::Decompressor::new(&*answer.body, 4096).read_to_string(&mut script),
        }
        .unwrap();
        (answer.header("etag"), script)
    };
    let status_with = async |path: &str, known: &str| {
        let call = get(path).header("if-none-match", known);
        call.send(server.address()).await.status.as_u16()
    };
    let mut tags = Vec::new();
    let mut urls = Vec::new();
    for change in [false, true] {
        if change {
            server.plugins().add(Badge("plain")).unwrap();
        }
        let answer = script(&server, "/primus").await;
        let etag = answer.header("etag");
        tags.push(etag.clone());
        urls.push(format!("/primus/primus.{}.js", etag.trim_matches('"')));
        for coding in ["gzip", "br"] {
            let (tag, script) = compressed(coding).await;
            assert_eq!(tag, format!("\"{}-{coding}\"", etag.trim_matches('"')));
            assert_eq!(script, answer.text(), "{coding}");
        }
        assert_eq!(status_with("/primus/primus.js", &etag).await, 304);
        assert_eq!(status_with(&urls[usize::from(change)], "").await, 200);
    }
    assert_ne!(tags[0], tags[1]);
    assert_eq!(status_with("/primus/primus.js", &tags[0]).await, 200);
    assert_eq!(status_with(&urls[0], "").await, 404);
    // Who takes it back has the old one again, under its old name.
    assert!(server.plugins().remove("plain"));
    assert_eq!(status_with("/primus/primus.js", &tags[0]).await, 304);
    assert_eq!(status_with(&urls[0], "").await, 200);
    assert_eq!(status_with(&urls[1], "").await, 404);
}
