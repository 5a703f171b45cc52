//! Options from a file: what is read, and what each mistake says.

use std::time::Duration;

use primus::{Config, Overflow, Strategy};

fn read(text: &str) -> Config {
    Config::from_toml(text, "primus.toml").unwrap()
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = Config::from_toml(text, "primus.toml").unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_type_is_read() {
    let config = read(
        r#"
        listen = "0.0.0.0:80"
        transformers = ["sse", "polling"]
        origins = "*"
        ping_interval = "20s"
        ping_timeout = 2500
        max_message = "2MiB"
        max_queued = 0x10_0000
        max_fragments = 1_000
        count_loopback = true
        overflow = "drop-oldest"
        resume_window = "5m"
        resume_budget = "1GiB"

        [client]
        pingTimeout = "1s"
        queue_size = "1KiB"
        ping = false
        openOnReconnect = true
        strategy = ["online"]
        reconnect = { factor = 1.5, "reconnect timeout" = "3s" }

        [tls]
        cert = "a.pem"
        key = "b.pem"

        [mounts."/ws"]
        parser = "raw"
        max_message = "16MiB"
        resume_window = 0
        resume_messages = 512
        subprotocols = ["x"]

        [mounts."/feed"]
        transformer = "sse"

        [end]
        reconnect = true
        timeout = "5s"
        "#,
    );
    assert_eq!(config.listen, "0.0.0.0:80");
    assert_eq!(config.transformers, ["sse", "polling"]);
    assert_eq!(config.origins, ["*"]);
    assert_eq!(config.ping_interval, Duration::from_secs(20));
    assert_eq!(config.ping_timeout, Duration::from_millis(2500));
    assert_eq!(config.max_message, 2 << 20);
    assert_eq!(config.max_queued, 1 << 20);
    assert_eq!(config.max_fragments, 1000);
    assert!(config.count_loopback);
    assert_eq!(config.overflow, Overflow::DropOldest);
    assert_eq!(config.resume_window, Duration::from_secs(300));
    assert_eq!(config.resume_budget, 1 << 30);
    assert_eq!(config.client.ping_timeout, Some(Duration::from_secs(1)));
    assert_eq!(config.client.queue_size, Some(1024));
    assert_eq!(config.client.ping, Some(Duration::ZERO));
    assert_eq!(config.client.open_on_reconnect, Some(true));
    assert_eq!(config.client.strategy, Some(vec![Strategy::Online]));
    assert_eq!(config.client.reconnect.factor, Some(1.5));
    assert_eq!(config.client.reconnect.reconnect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(config.client.timeout, None);
    assert_eq!(config.tls.cert.as_deref(), Some("a.pem"));
    assert_eq!(config.mounts.keys().collect::<Vec<_>>(), ["/feed", "/ws"]);
    assert_eq!(config.mounts["/ws"].parser.as_deref(), Some("raw"));
    assert_eq!(config.mounts["/ws"].max_message, Some(16 << 20));
    assert_eq!(config.mounts["/ws"].resume_window, Some(Duration::ZERO));
    assert_eq!(config.mounts["/ws"].resume_messages, Some(512));
    assert_eq!(config.mounts["/ws"].resume_bytes, None);
    assert_eq!(config.mounts["/ws"].transformers, None);
    assert_eq!(config.mounts["/feed"].transformers, Some(vec!["sse".to_owned()]));
    assert!(config.end.close && config.end.reconnect);
    assert_eq!(config.end.after, Duration::from_secs(5));
    // What is not there has its default.
    assert_eq!(config.path, "/primus");
}

#[test]
fn one_transformer_needs_no_list() {
    assert_eq!(read("transformer = \"sse\"").transformers, ["sse"]);
    assert_eq!(read("transformers = \"sse\"").transformers, ["sse"]);
    assert_eq!(read("").transformers, ["websocket", "sse", "polling"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    refused(
        "path = \"/\"\n\nping_intervall = \"1s\"\n",
        "primus.toml:3: there is no option `ping_intervall`, did you mean `ping_interval`?",
    );
    refused(
        "pingInterval = 1",
        "primus.toml:1: there is no option `pingInterval`, did you mean `ping_interval`?",
    );
    refused("colour = 1", "primus.toml:1: there is no option `colour`");
    refused(
        "[clint]\ntimeout = 1",
        "primus.toml:1: there is no option `clint`, did you mean `client`?",
    );
    refused(
        "[client]\ntimeout = 1\nreconnect.maxx = 1",
        "primus.toml:3: there is no option `client.reconnect.maxx`, did you mean `client.reconnect.max`?",
    );
    refused(
        "[mounts.\"/ws\"]\nmax_mesage = 1",
        "primus.toml:2: there is no option `mounts.\"/ws\".max_mesage`, did you mean `mounts.\"/ws\".max_message`?",
    );
    refused(
        "[mounts.\"/ws\"]\nlisten = \"x\"",
        "primus.toml:2: there is no option `mounts.\"/ws\".listen`",
    );
    refused(
        "[tls]\ncertt = \"a\"",
        "primus.toml:2: there is no option `tls.certt`, did you mean `tls.cert`?",
    );
    refused(
        "[end]\ndedline = 1",
        "primus.toml:2: there is no option `end.dedline`, did you mean `end.deadline`?",
    );
}

#[test]
fn a_wrong_value_is_refused_with_what_is_expected() {
    refused(
        "ping_interval = \"fast\"",
        "primus.toml:1: `ping_interval` is \"fast\"; expected a duration such as \"30s\", \"250ms\", \"2m\" or \"1h\", or a number of milliseconds",
    );
    refused(
        "[client]\n[mounts.\"/ws\"]\nmax_message = \"16M\"",
        "primus.toml:3: `mounts.\"/ws\".max_message` is \"16M\"; expected a size such as \"1MiB\", \"64KiB\" or \"16MB\", or a number of bytes",
    );
    refused(
        "max_fragments = \"128\"",
        "primus.toml:1: `max_fragments` is \"128\"; expected a whole number, not negative",
    );
    refused(
        "max_fragments = -1",
        "primus.toml:1: `max_fragments` is -1; expected a whole number, not negative",
    );
    refused(
        "max_fragments = 99999999999999999999",
        "primus.toml:1: `max_fragments` is a number that is too large; expected a whole number, not negative",
    );
    refused("http2 = \"yes\"", "primus.toml:1: `http2` is \"yes\"; expected true or false");
    refused("path = 1.5", "primus.toml:1: `path` is 1.5; expected a text");
    refused("path = 2020-01-01", "primus.toml:1: `path` is a date; expected a text");
    refused(
        "origins = [\"a\", 1]",
        "primus.toml:1: `origins` is [\"a\", 1]; expected a text or a list of texts",
    );
    refused(
        "overflow = \"drop\"",
        "primus.toml:1: `overflow` is \"drop\"; expected \"disconnect\", \"drop-newest\" or \"drop-oldest\"",
    );
    refused("client = 1", "primus.toml:1: `client` is 1; expected a table");
    refused("mounts = []", "primus.toml:1: `mounts` is []; expected a table");
    refused("mounts.\"/ws\" = true", "primus.toml:1: `mounts.\"/ws\"` is true; expected a table");
    refused("[path]", "primus.toml:1: `path` is a table; expected a text");
    refused(
        "[client]\nstrategy = \"never\"",
        "primus.toml:2: `client.strategy` is \"never\"; expected a list of \"disconnect\", \"online\" and \"timeout\", or false",
    );
    refused(
        "[client]\nreconnect.factor = 0.5",
        "primus.toml:2: `client.reconnect.factor` is 0.5; expected a number from 1 on",
    );
}

#[test]
fn one_option_under_two_names_is_refused() {
    refused(
        "transformer = \"sse\"\ntransformers = [\"polling\"]",
        "primus.toml:2: `transformers` is set twice, also as `transformer`; keep one",
    );
    refused(
        "[client]\npingTimeout = 1\nping_timeout = 2",
        "primus.toml:3: `client.ping_timeout` is set twice, also as `client.pingTimeout`; keep one",
    );
    refused(
        "[end]\nafter = 1\ntimeout = 2",
        "primus.toml:3: `end.timeout` is set twice, also as `end.after`; keep one",
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let error = Config::from_toml("path = \"/\"\nlisten =\n", "primus.toml").unwrap_err();
    assert!(error.to_string().starts_with("primus.toml:2: this is not TOML: "), "{error}");
    let error = Config::from_toml("path = 1\npath = 2\n", "primus.toml").unwrap_err();
    assert!(error.to_string().starts_with("primus.toml:2: this is not TOML: "), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::from_file("/nowhere/primus.toml").unwrap_err();
    assert!(error.to_string().starts_with("cannot read /nowhere/primus.toml: "), "{error}");
}

#[test]
fn it_can_be_a_part_of_another_configuration() {
    #[derive(serde::Deserialize)]
    struct Application {
        name: String,
        realtime: Config,
    }
    let text =
        r#"{"name": "shop", "realtime": {"ping_interval": "1m", "client": {"timeout": 500}}}"#;
    let application: Application = serde_json::from_str(text).unwrap();
    assert_eq!(application.name, "shop");
    assert_eq!(application.realtime.ping_interval, Duration::from_secs(60));
    assert_eq!(application.realtime.client.timeout, Some(Duration::from_millis(500)));
    assert_eq!(application.realtime.path, "/primus");

    let error = serde_json::from_str::<Config>(r#"{"pat": 1}"#).unwrap_err().to_string();
    assert!(error.starts_with("there is no option `pat`, did you mean `path`?"), "{error}");
    let error = serde_json::from_str::<Config>(r#"{"path": null}"#).unwrap_err().to_string();
    assert!(error.starts_with("`path` is null; expected a text"), "{error}");
    assert!(serde_json::from_str::<Config>("[]").is_err());
}

#[test]
fn what_is_shown_is_the_same_configuration() {
    let config = read(
        "origins = [\"https://a.test\", \"*\"]\nping_interval = 0\npath = \"/\\\"\\\\\\u00fc\\n\"\n\
         client.strategy = false\nclient.ping = false\nclient.credentials = \"include\"\n\
         mounts.\"/a b\".overflow = \"drop-oldest\"\nend.spread = \"1500ms\"",
    );
    let shown = config.to_string();
    assert_eq!(read(&shown).to_string(), shown);
    let lines: Vec<_> = shown.lines().collect();
    for line in [
        "listen = \"127.0.0.1:8080\"",
        "origins = [\"https://a.test\", \"*\"]",
        "ping_interval = 0",
        "max_message = \"1MiB\"",
        "client.strategy = []",
        "client.ping = false",
        "mounts.\"/a b\".overflow = \"drop-oldest\"",
        "end.spread = \"1500ms\"",
    ] {
        assert!(lines.contains(&line), "{line}\n{shown}");
    }
    assert_eq!(Config::default().to_string(), read("").to_string());
}
