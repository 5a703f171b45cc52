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
