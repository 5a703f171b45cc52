//! The builder: what it makes of its options, and what it refuses.

mod refusals;

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
