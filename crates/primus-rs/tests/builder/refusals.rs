//! What it refuses, and in which words.

use primus::{Config, Mount, Primus};

use super::{from_toml, refused};

#[test]
fn names_that_nobody_knows() {
    refused(
        Primus::builder().transformer("websockets"),
        "there is no transformer `websockets`, did you mean `websocket`?",
    );
    refused(
        from_toml("path = \"/\"\ntransformers = [\"sse\", \"poling\"]"),
        "primus.toml:2: there is no transformer `poling`, did you mean `polling`?",
    );
    refused(
        from_toml("[mounts.\"/ws\"]\nparser = \"jsn\""),
        "primus.toml:2: there is no parser `jsn`, did you mean `json`?",
    );
    refused(Primus::builder().parser("cbor"), "there is no parser `cbor`");
    let mut config = Config::default();
    config.apply_env([("PRIMUS_TRANSFORMER", "ssee")]).unwrap();
    refused(
        config.into(),
        "PRIMUS_TRANSFORMER: there is no transformer `ssee`, did you mean `sse`?",
    );
    // A method has the last word, so the file is not to blame.
    refused(
        from_toml("transformer = \"sse\"").transformer("ssee"),
        "there is no transformer `ssee`, did you mean `sse`?",
    );
}

#[test]
fn values_that_cannot_be() {
    let cases = [
        ("path = \"ws\"", "`path` is the path \"ws\", which must begin with `/`"),
        (
            "path = \"/a//b\"",
            "`path` is the path \"/a//b\", which has two slashes side by side; no request has that",
        ),
        (
            "path = \"/a?b\"",
            "`path` is the path \"/a?b\", which may have ASCII letters, digits and the signs that stand in a path as they are",
        ),
        ("transformers = []", "`transformers` is empty; name at least one, such as \"websocket\""),
        ("transformers = [\"sse\", \"sse\"]", "`transformers` has \"sse\" twice"),
        (
            "transformers = [\"engine.io\", \"socket.io\"]",
            "`transformers` has \"engine.io\" and \"socket.io\", whose clients ask for the same; \
             give one of them a mount of its own",
        ),
        ("ping_timeout = 0", "`ping_timeout` is 0, which leaves no time; it must be longer"),
        ("body_timeout = 0", "`body_timeout` is 0, which leaves no time; it must be longer"),
        ("max_message = 0", "`max_message` is 0; it must be at least 1"),
        ("max_header_bytes = \"1KiB\"", "`max_header_bytes` is 1024; it must be at least 8192"),
        ("pressure = \"2MiB\"", "`pressure` is 2097152, more than `max_queued`, 1048576"),
        (
            "resume_messages = 0",
            "`resume_messages` is 0; it must be at least 1. To keep nothing, set `resume_window` to 0",
        ),
        (
            "mounts.\"/ws\".resume_bytes = 0",
            "`mounts.\"/ws\".resume_bytes` is 0; it must be at least 1. To keep nothing, set `resume_window` to 0",
        ),
        (
            "resume_budget = \"1KiB\"",
            "`resume_budget` is 1024, less than `resume_bytes`, 65536, that one session may keep",
        ),
        (
            "resume_bytes = \"1GiB\"",
            "`resume_bytes` is 1073741824, more than `resume_budget`, 268435456",
        ),
        (
            "mounts.\"/ws\".resume_bytes = \"1GiB\"",
            "`mounts.\"/ws\".resume_bytes` is 1073741824, more than `resume_budget`, 268435456",
        ),
        ("global = \"a-b\"", "`global` is \"a-b\", which is no name in JavaScript"),
        ("keep_headers = [\"a b\"]", "`keep_headers` has \"a b\", which is no header's name"),
        (
            "subprotocols = [\"a b\"]",
            "`subprotocols` has \"a b\", which no client can offer; use letters and digits",
        ),
        (
            "subprotocols = [\"primus.2\"]",
            "`subprotocols` has \"primus.2\", which is our own client's; leave it out",
        ),
        (
            "origins = [\"example.com\"]",
            "`origins` is wrong: `example.com` is not an origin; write it as `https://example.com` or `https://*.example.com:8443`, without a path",
        ),
        (
            "trusted_proxies = [\"10.0.0.0/33\"]",
            "`trusted_proxies` is wrong: `10.0.0.0/33` is not a network; write it as `10.0.0.0/8`, `192.0.2.1` or `2001:db8::/32`",
        ),
        ("tls.cert = \"a\"", "`tls.cert` needs `tls.key` as well"),
        ("tls.key = \"a\"", "`tls.key` needs `tls.cert` as well"),
        ("end.deadline = 0", "`end.deadline` is 0, which leaves no time; it must be longer"),
        ("mounts.ws.parser = \"raw\"", "`mounts.ws` is the path \"ws\", which must begin with `/`"),
        (
            "mounts.\"/ws\".max_message = 0",
            "`mounts.\"/ws\".max_message` is 0; it must be at least 1",
        ),
    ];
    for (text, expected) in cases {
        refused(from_toml(&format!("\n{text}")), &format!("primus.toml:2: {expected}"));
    }
    assert!(from_toml("ping_interval = 0\nping_timeout = 0").build().is_ok());
    // Where nothing is kept there is nothing to fit.
    assert!(from_toml("resume_window = 0\nresume_budget = 0").build().is_ok());
    assert!(from_toml("resume_budget = \"64KiB\"\ndetach_grace = 0").build().is_ok());
    // What was set by a method has no place in a file.
    let ws = Mount::new().resume_bytes(2);
    refused(
        Primus::builder().mount("/ws", ws).resume_budget(1).resume_bytes(1),
        "`resume_budget` is 1, less than `mounts.\"/ws\".resume_bytes`, 2, that one session may keep",
    );
}

#[test]
fn two_mounts_at_one_path() {
    refused(
        from_toml("[mounts.\"/ws\"]\n[mounts.\"/primus/\"]"),
        "primus.toml:2: there are two mounts at `/primus`; give each a path of its own",
    );
    refused(
        Primus::builder().mount("/ws", Mount::new()).mount("/ws/", Mount::new()),
        "there are two mounts at `/ws`; give each a path of its own",
    );
    refused(
        Primus::builder().middleware("a", |_| None).middleware("a", |_| None),
        "there are two middleware layers named `a`; give each a name of its own",
    );
}
