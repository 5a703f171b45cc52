//! The builder: what it makes of its options, and what it refuses.

use std::{path::PathBuf, sync::Arc, time::Duration};

use primus::{
    Builder, ClientOptions, Config, End, Flow, Mount, Overflow, Primus, ReconnectOptions,
    core::{
        BoxFuture, Head, Parser, Plugin, Request, Response, Transformer, parser::Visit, request,
    },
};

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn refused(builder: Builder, expected: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), expected);
    // What a `main` that returns it prints.
    assert_eq!(format!("{error:?}"), expected);
}

fn from_toml(text: &str) -> Builder {
    Builder::from(Config::from_toml(text, "primus.toml").unwrap())
}

/// A transformer without a client.
struct Pigeon;

impl Transformer for Pigeon {
    fn name(&self) -> &'static str {
        "pigeon"
    }

    fn claims(&self, _: &Head, _: &str) -> bool {
        false
    }

    fn serve(
        self: Arc<Self>,
        _: Request,
        _: Arc<primus::core::Mount>,
    ) -> BoxFuture<'static, Response> {
        Box::pin(async { request::status(::http::StatusCode::GONE) })
    }
}

struct Upper;

impl Parser for Upper {
    fn name(&self) -> &'static str {
        "upper"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
    ) -> Result<primus::Payload, primus::EncodeError> {
        primus::core::parser::Json.encode(value)
    }

    fn decode<'de>(
        &self,
        payload: &'de primus::Payload,
        visit: Visit<'_, 'de>,
    ) -> Result<(), primus::DecodeError> {
        primus::core::parser::Json.decode(payload, visit)
    }
}

struct Greeter;

impl Plugin for Greeter {
    fn name(&self) -> &str {
        "greeter"
    }

    fn install(&self, primus: &primus::core::Primus) {
        primus.authorize(async |_| Ok(()));
    }

    fn client_script(&self) -> Option<&str> {
        Some("function (primus) { primus.greeted = true; }")
    }
}

#[tokio::test]
async fn every_option_arrives() {
    let primus = Primus::builder()
        .listen("127.0.0.1:1")
        .path("/live/")
        .transformers(["polling", "websocket"])
        .parser("raw")
        .subprotocols(["chat"])
        .origins(["https://example.com"])
        .trusted_proxies(["10.0.0.0/8", "::1"])
        .keep_headers(["x-a", "Cookie"])
        .ping_interval(2 * SECOND)
        .ping_timeout(3 * SECOND)
        .max_message(11)
        .max_fragments(12)
        .max_post_items(13)
        .max_attach(114)
        .max_headers(15)
        .max_header_bytes(10_000)
        .compression(true)
        .compression_threshold(30)
        .compression_takeover(true)
        .engine_io_3(true)
        .engine_io_cookie("io")
        .engine_io_upgrades(false)
        .engine_io_upgrade_timeout(SECOND)
        .handshake_timeout(4 * SECOND)
        .attach_timeout(5 * SECOND)
        .body_timeout(6 * SECOND)
        .poll_timeout(7 * SECOND)
        .close_timeout(8 * SECOND)
        .handler_grace(9 * SECOND)
        .max_connections(16)
        .max_connections_per_address(17)
        .count_loopback(true)
        .max_pending(18)
        .max_queued(20)
        .pressure(19)
        .overflow(Overflow::DropNewest)
        .inbox_messages(21)
        .inbox_bytes(22)
        .max_inbox(26)
        .max_requests(27)
        .max_subscriptions(28)
        .max_channels(29)
        .resume_window(10 * SECOND)
        .resume_messages(23)
        .resume_bytes(24)
        .resume_budget(25)
        .detach_grace(11 * SECOND)
        .http2(false)
        .global("Live")
        .plugins(["greeter"])
        .add_plugin(Greeter)
        .client(ClientOptions::new().timeout(SECOND).reconnect(ReconnectOptions::new().retries(3)))
        .end(End { reconnect: true, ..End::default() })
        .build()
        .unwrap();

    assert_eq!(primus.config().listen, "127.0.0.1:1");
    assert!(primus.config().end.reconnect);
    let mount = &primus.mounts()[0];
    let settings = mount.settings();
    assert_eq!(&*settings.path, "/live");
    assert_eq!(settings.parser.name(), "raw");
    assert_eq!(settings.subprotocols, ["chat"]);
    let names: Vec<_> = mount.transformers().iter().map(|one| one.name()).collect();
    assert_eq!(names, ["polling", "websocket"]);
    let limits = &settings.limits;
    assert_eq!(
        [
            limits.max_message,
            limits.max_fragments,
            limits.max_post_items,
            limits.max_attach,
            limits.pressure,
            limits.max_queued,
            limits.inbox_messages,
            limits.inbox_bytes,
            limits.resume_messages,
            limits.resume_bytes,
            limits.max_inbox,
            limits.max_requests,
            limits.max_subscriptions,
            limits.max_channels,
        ],
        [11, 12, 13, 114, 19, 20, 21, 22, 23, 24, 26, 27, 28, 29]
    );
    assert_eq!(
        [
            limits.attach_timeout,
            limits.body_timeout,
            limits.poll_timeout,
            limits.close_timeout,
            limits.resume_window,
        ],
        [5, 6, 7, 8, 10].map(Duration::from_secs)
    );
    assert_eq!(limits.overflow, Overflow::DropNewest);
    let compression = settings.compression.unwrap();
    assert_eq!((compression.threshold, compression.takeover), (30, true));
    let mut engine_io = primus::engine_io::Options::default();
    engine_io.version_3 = true;
    engine_io.cookie = Some("io".to_owned());
    engine_io.upgrades = false;
    engine_io.upgrade_timeout = SECOND;
    assert_eq!(settings.options.get(), Some(&engine_io));

    let settings = primus.settings();
    assert_eq!(settings.keep_headers, ["x-a", "cookie"]);
    assert_eq!(
        [
            settings.ping_interval,
            settings.ping_timeout,
            settings.handler_grace,
            settings.detach_grace,
        ],
        [2, 3, 9, 11].map(Duration::from_secs)
    );
    assert_eq!(
        [settings.max_connections, settings.max_connections_per_address, settings.max_pending],
        [16, 17, 18]
    );
    assert!(settings.count_loopback);
    assert_eq!(settings.resume_budget, 25);

    let options = primus.app().options();
    let origins = primus::http::Origins::list(&["https://example.com"]).unwrap();
    assert_eq!(options.origins, origins);
    let proxies: Vec<_> = options.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    assert_eq!((options.max_headers, options.max_header_bytes), (15, 10_000));
    assert_eq!(options.handshake_timeout, 4 * SECOND);
    assert!(!options.http2);

    let names = primus.plugins().names();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["greeter"]);

    let version = env!("CARGO_PKG_VERSION");
    let greeter = "(function (primus) { primus.greeted = true; }\n)";
    let literal = format!(
        r#"{{"path":"/live","transports":["polling","websocket"],"global":"Live","parser":"raw","version":"{version}","options":{{"reconnect":{{"retries":3}},"timeout":1000}},"plugins":[{greeter}]}}"#
    );
    assert!(primus.library().script().contains(&literal), "{}", primus.library());
}

#[tokio::test]
async fn mounts_have_from_the_server_what_they_leave_out() {
    let primus = Primus::builder()
        .max_message(5)
        .max_fragments(6)
        .compression_threshold(10)
        .resume_bytes(8)
        .mount(
            "/ws",
            Mount::new()
                .parser("raw")
                .max_message(7)
                .compression(true)
                .transformers(["websocket"])
                .resume_window(Duration::ZERO)
                .resume_messages(9),
        )
        .build()
        .unwrap();
    let [main, ws] = primus.mounts() else { panic!() };
    assert_eq!((&*main.settings().path, &*ws.settings().path), ("/primus", "/ws"));
    assert_eq!((main.settings().limits.max_message, ws.settings().limits.max_message), (5, 7));
    assert_eq!((main.settings().limits.max_fragments, ws.settings().limits.max_fragments), (6, 6));
    let thresholds = [main, ws].map(|mount| mount.settings().compression.map(|one| one.threshold));
    assert_eq!(thresholds, [None, Some(10)]);
    let windows = (main.settings().limits.resume_window, ws.settings().limits.resume_window);
    assert_eq!(windows, (120 * SECOND, Duration::ZERO));
    let kept = |mount: &primus::core::Mount| {
        (mount.settings().limits.resume_messages, mount.settings().limits.resume_bytes)
    };
    assert_eq!((kept(main), kept(ws)), ((256, 8), (9, 8)));
    assert_eq!((main.settings().parser.name(), ws.settings().parser.name()), ("json", "raw"));
    assert_eq!((main.transformers().len(), ws.transformers().len()), (3, 1));
    let library = primus.library_of("/ws").unwrap();
    let script = library.script();
    assert!(script.contains(r#"{"path":"/ws","transports":["websocket"],"#));
    assert!(script.len() < primus.library().script().len());
    assert!(primus.library_of("/other").is_none());
}

#[tokio::test]
async fn the_environment_wins_over_the_file_and_methods_over_both() {
    let text =
        "path = \"/file\"\nglobal = \"File\"\nmax_pending = 1\n[mounts.\"/ws\"]\nparser = \"raw\"";
    let mut config = Config::from_toml(text, "primus.toml").unwrap();
    let variables = [("PRIMUS_GLOBAL", "Env"), ("PRIMUS_MAX_PENDING", "2")];
    config.apply_env(variables).unwrap();
    let builder = Builder::from(config).max_pending(3);
    let config = builder.config();
    assert_eq!((&*config.path, &*config.global, config.max_pending), ("/file", "Env", 3));
    assert_eq!(config.max_fragments, 128);
    let primus = builder.mount("/ws", Mount::new()).build().unwrap();
    assert_eq!(primus.mounts()[1].settings().parser.name(), "json");
}

#[tokio::test]
async fn parts_of_ones_own() {
    let primus = Primus::builder()
        .add_transformer(Pigeon)
        .transformer("pigeon")
        .add_parser(Upper)
        .parser("upper")
        .middleware("first", |_| None)
        .middleware_for(
            "second",
            primus::Kind::Upgrade,
            primus::core::FromFn::new(|_: &mut Head| None),
        )
        .transform_in(|_, _| Flow::Pass)
        .transform_in_async(async |_, message| Some(message))
        .transform_out(|_| Flow::Pass)
        .transform_out_per_spark(|_, _| Flow::Pass)
        .build()
        .unwrap();
    assert_eq!(primus.mounts()[0].transformers()[0].name(), "pigeon");
    assert_eq!(primus.mounts()[0].settings().parser.name(), "upper");
    let names = primus.middleware().names();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["first", "second"]);
    // No browser speaks pigeon: nothing is served, and who asks learns why.
    assert!(primus.library_of("/primus").is_none());
    assert!(primus.library().script().starts_with("throw new Error(\"primus.js: no transformer"));
}

#[tokio::test]
async fn a_plugin_is_installed_and_its_script_served() {
    let primus = Primus::builder().plugin(Greeter).build().unwrap();
    assert!(
        primus
            .library()
            .script()
            .contains("\"plugins\":[(function (primus) { primus.greeted = true; }\n)]}")
    );
    refused(
        Primus::builder().plugin(Greeter).plugin(Greeter),
        "there are two plugins named `greeter`; give each a name of its own",
    );
}

/// A plugin whose script has nothing in it.
struct Empty;

impl Plugin for Empty {
    fn name(&self) -> &str {
        "empty"
    }

    fn client_script(&self) -> Option<&str> {
        Some(";")
    }
}

#[tokio::test]
async fn plugins_are_installed_by_name() {
    let names = |builder: Builder| {
        let primus = builder.build().unwrap();
        primus.plugins().names().iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    struct Named(&'static str);
    impl Plugin for Named {
        fn name(&self) -> &str {
            self.0
        }
    }
    let known = |builder: Builder| builder.add_plugin(Named("a")).add_plugin(Named("b"));
    assert_eq!(names(known(Primus::builder())), [""; 0]);
    assert_eq!(names(known(from_toml("plugins = \"b\""))), ["b"]);
    let both = known(from_toml("plugins = [\"b\", \"a\"]")).plugin(Named("c"));
    assert_eq!(names(both), ["b", "a", "c"]);
    assert_eq!(names(known(from_toml("plugins = \"b\"")).plugins(["a"])), ["a"]);

    refused(
        known(from_toml("\nplugins = [\"a\", \"c\"]")),
        "primus.toml:2: there is no plugin `c`, did you mean `a`?",
    );
    refused(from_toml("plugins = \"greeter\""), "primus.toml:1: there is no plugin `greeter`");
    refused(
        Primus::builder().add_plugin(Greeter).plugins(["greter"]),
        "there is no plugin `greter`, did you mean `greeter`?",
    );
    let twice = "there are two plugins named `a`; give each a name of its own";
    refused(known(from_toml("plugins = [\"a\", \"a\"]")), twice);
    refused(known(from_toml("plugins = \"a\"")).plugin(Named("a")), twice);
    refused(
        Primus::builder().plugin(Empty),
        "the client script of the plugin `empty` is empty; return None from `client_script`",
    );
}

#[tokio::test]
async fn the_library_can_be_saved() {
    let primus = Primus::builder().build().unwrap();
    let name = format!("primus-library-{}.js", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    primus.save(&path).unwrap();
    let saved = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(saved, primus.library().script());
}

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
