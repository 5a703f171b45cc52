//! What `primus.js` connects by where the transformers are for clients of others.

use primus::{Builder, Config, Mount, Primus};

/// The transformers of the mount, and the transports that its script has.
fn of(builder: Builder) -> (Vec<&'static str>, String) {
    let primus = builder.build().unwrap();
    let names = primus.mounts()[0].transformers().iter().map(|one| one.name()).collect();
    let library = primus.library();
    let transports = library.script().split_once("\"transports\":[").unwrap().1;
    (names, transports.split_once(']').unwrap().0.to_owned())
}

const NATIVE: &str = r#""websocket","sse","polling""#;

#[tokio::test]
async fn our_own_are_mounted_beside_those_for_others() {
    for name in ["engine.io", "socket.io", "sockjs", "bayeux", "browserchannel", "actioncable"] {
        let (names, transports) = of(Primus::builder().transformer(name));
        assert_eq!((names, &*transports), (vec![name, "websocket", "sse", "polling"], NATIVE));
    }
    let (names, transports) = of(Primus::builder().transformer("faye"));
    assert_eq!((names, &*transports), (vec!["websocket", "sse", "polling"], NATIVE));
}

#[tokio::test]
async fn who_names_some_of_our_own_has_those() {
    let (names, transports) = of(Primus::builder().transformers(["sockjs", "sse"]));
    assert_eq!((names, &*transports), (vec!["sockjs", "sse"], "\"sse\""));
    let (names, transports) = of(Primus::builder().transformers(["websocket"]));
    assert_eq!((names, &*transports), (vec!["websocket"], "\"websocket\""));
}

#[tokio::test]
async fn a_mount_may_have_them_where_the_server_does_not() {
    let text = "native = false\n[mounts.\"/io\"]\nnative = true\ntransformers = [\"socket.io\"]";
    let config = Config::from_toml(text, "primus.toml").unwrap();
    assert!(!config.native);
    let primus = Builder::from(config).mount("/faye", Mount::new().transformers(["faye"])).build();
    let primus = primus.unwrap();
    let counts: Vec<_> = primus.mounts().iter().map(|mount| mount.transformers().len()).collect();
    assert_eq!(counts, [3, 1, 4]);
    assert!(primus.library_of("/faye").unwrap().script().contains(r#""transports":["websocket"]"#));
}

#[tokio::test]
async fn without_them_the_script_speaks_the_dialect() {
    for name in ["engine.io", "sockjs", "browserchannel"] {
        let (names, transports) = of(Primus::builder().transformer(name).native(false));
        assert_eq!((names, transports), (vec![name], format!("{name:?}")));
    }
    let (names, transports) = of(Primus::builder().transformer("faye").native(false));
    assert_eq!((names, &*transports), (vec!["websocket"], "\"websocket\""));
    let names = ["actioncable", "sockjs", "browserchannel"];
    let (names, transports) = of(Primus::builder().transformers(names).native(false));
    assert_eq!((names.len(), &*transports), (3, "\"sockjs\""));
}

#[test]
fn a_dialect_that_the_script_cannot_speak_is_refused_with_what_to_add() {
    let advice = "; set it to true, or add \"websocket\", \"sse\" or \"polling\" to `transformers`";
    let refused = |text: &str, problem: &str| {
        let config = Config::from_toml(text, "primus.toml").unwrap();
        let error = Builder::from(config).build().unwrap_err().to_string();
        assert_eq!(error, format!("primus.toml:{problem}{advice}"));
    };
    for name in ["socket.io", "bayeux", "actioncable"] {
        refused(
            &format!("native = false\ntransformer = {name:?}"),
            &format!("1: `native` is false, and `primus.js` has no client for {name:?}"),
        );
    }
    refused(
        "[mounts.\"/io\"]\ntransformers = [\"bayeux\", \"socket.io\"]\nnative = false",
        "3: `mounts.\"/io\".native` is false, and `primus.js` has no client for \"bayeux\" or \"socket.io\"",
    );
    refused(
        "native = false\ntransformer = \"sockjs\"\nsockjs_websocket = false",
        "1: `native` is false, and the client for \"sockjs\" needs `sockjs_websocket`",
    );
    for name in ["sockjs", "browserchannel"] {
        refused(
            &format!("native = false\ntransformer = {name:?}\nparser = \"msgpack\""),
            &format!(
                "1: `native` is false, and {name:?} cannot carry the bytes that the parser \"msgpack\" makes"
            ),
        );
    }
}
