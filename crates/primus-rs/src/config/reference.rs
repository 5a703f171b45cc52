//! Holds `docs/configuration.md` to the code: every option stands there once, with its variable,
//! its method and its default, and nothing else does.

use std::collections::BTreeMap;

use super::{
    mounts::Mount,
    options::{Options as _, Row},
    server::Config,
};

const REFERENCE: &str = include_str!("../../../../docs/configuration.md");

/// The rows of all tables of the page whose first cell is a key in backticks.
fn documented() -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in REFERENCE.lines().filter(|line| line.starts_with("| `")) {
        let cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        let mut cells = cells.collect::<Vec<_>>().into_iter();
        let key = cells.next().unwrap().trim_matches('`').to_owned();
        assert!(rows.insert(key.clone(), cells.collect()).is_none(), "{key} is there twice");
    }
    rows
}

fn method(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap();
    match key {
        key if key.starts_with("client.reconnect.") => format!("ReconnectOptions::{last}"),
        key if key.starts_with("client.") => format!("ClientOptions::{last}"),
        key if key.starts_with("mounts.") => format!("Mount::{last}"),
        key if key.starts_with("tls.") => "Builder::tls".to_owned(),
        key if key.starts_with("end.") => "Builder::end".to_owned(),
        key => format!("Builder::{key}"),
    }
}

fn variable(key: &str) -> String {
    let key = key.replace("\"/ws\"", "ws").replace('.', "__");
    format!("PRIMUS_{}", key.to_ascii_uppercase())
}

fn rows() -> Vec<Row> {
    let mut config = Config::default();
    config.mounts.insert("/ws".to_owned(), Mount::new());
    config.rows("")
}

#[test]
fn every_option_is_documented_as_it_is() {
    let mut documented = documented();
    for Row { key, value } in rows() {
        let cells = documented.remove(&key).unwrap_or_else(|| panic!("`{key}` is not there"));
        let [found_variable, found_method, _, default, meaning] = &cells[..] else {
            panic!("{key}: {cells:?}");
        };
        assert_eq!(found_variable, &format!("`{}`", variable(&key)), "{key}");
        assert_eq!(found_method, &format!("`{}`", method(&key)), "{key}");
        if !value.is_empty() {
            assert_eq!(default, &format!("`{value}`"), "{key}");
        } else if key.starts_with("mounts.") {
            assert_eq!(default, "the server's", "{key}");
        } else if key.starts_with("client.") {
            assert!(default.starts_with("the client's: "), "{key}: {default}");
        } else {
            assert_eq!(default, "none", "{key}");
        }
        assert!(meaning.len() > 10, "{key}");
    }
    assert!(documented.is_empty(), "not options: {:?}", documented.keys());
}

#[test]
fn the_defaults_are_those_of_the_parts() {
    let config = Config::default();
    let limits = primus_core::Limits::default();
    macro_rules! same {
        ($of:ident: $($name:ident)*) => {
            $( assert_eq!(config.$name, $of.$name, stringify!($name)); )*
        };
    }
    same!(limits: max_message max_fragments max_post_items max_attach attach_timeout body_timeout
        poll_timeout close_timeout pressure max_queued overflow inbox_messages inbox_bytes
        max_inbox max_requests max_subscriptions max_channels
        resume_window resume_messages resume_bytes);
    let compression = primus_core::Compression::default();
    assert_eq!(config.compression_threshold, compression.threshold);
    assert_eq!(config.compression_takeover, compression.takeover);
    let engine_io = primus_engineio::Options::default();
    assert_eq!(config.engine_io_3, engine_io.version_3);
    assert_eq!(config.engine_io_cookie, engine_io.cookie.unwrap_or_default());
    assert_eq!(config.engine_io_upgrades, engine_io.upgrades);
    assert_eq!(config.engine_io_upgrade_timeout, engine_io.upgrade_timeout);
    let mount = primus_core::MountSettings::new("/primus");
    assert_eq!(config.compression, mount.compression.is_some());
    let settings = primus_core::Settings::default();
    same!(settings: ping_interval ping_timeout max_connections max_connections_per_address
        count_loopback max_pending handler_grace resume_budget detach_grace);
    assert_eq!(config.keep_headers, ["user-agent"]);
    assert_eq!(settings.keep_headers, ["user-agent"]);
    let sockjs = primus_sockjs::SockJsOptions::default();
    assert_eq!(config.sockjs_response_limit, sockjs.response_limit);
    assert_eq!(config.sockjs_heartbeat, sockjs.heartbeat);
    assert_eq!(config.sockjs_disconnect_delay, sockjs.disconnect_delay);
    assert_eq!(config.sockjs_websocket, sockjs.websocket);
    assert_eq!(config.sockjs_cookie, sockjs.cookie);
    let browserchannel = primus_browserchannel::BrowserChannelOptions::default();
    assert_eq!((&*config.browserchannel_clients, browserchannel.primus), ("auto", None));
    assert_eq!(config.browserchannel_keep_alive, browserchannel.keep_alive);
    assert_eq!(config.browserchannel_timeout, browserchannel.timeout);
    assert_eq!(config.browserchannel_host_prefixes, browserchannel.host_prefixes);
    assert!(config.browserchannel_script.is_empty() && browserchannel.script.is_none());
    assert_eq!(config.bayeux_timeout, primus_bayeux::BayeuxOptions::default().timeout);
    let actioncable = primus_actioncable::ActionCableOptions::default();
    assert_eq!(config.actioncable_ping_interval, actioncable.ping_interval);
    assert_eq!(config.actioncable_whisper, actioncable.whisper);
    assert_eq!(config.actioncable_presence, actioncable.presence);
    let http = primus_http::Options::default();
    same!(http: max_headers max_header_bytes handshake_timeout http2);
}
