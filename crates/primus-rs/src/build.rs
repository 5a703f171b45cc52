//! From options to a server: checks everything, then puts the parts together.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use primus_bayeux::BayeuxOptions;
use primus_browserchannel::BrowserChannelOptions;
use primus_core::{Compression, Limits, MountSettings, Plugin, Settings, Transformer};
use primus_http::App;
use primus_library::{Library, LibraryConfig};
use primus_sockjs::SockJsOptions;

use crate::{
    builder::Builder,
    config::{Config, Mount, options::join},
    error::BuildError,
    known::Known,
    native::{add_native, module},
    primus::Primus,
};

/// A mount that has been checked.
struct Ready {
    settings: MountSettings,
    transformers: Vec<Arc<dyn Transformer>>,
    library: Option<LibraryConfig>,
}

pub(crate) fn build(builder: Builder) -> Result<Primus, BuildError> {
    let Builder { config, known, transforms, plugins, middlewares } = builder;
    config.check()?;
    let plugins = [named_plugins(&config, &known)?, plugins].concat();
    distinct("plugins", plugins.iter().map(|plugin| plugin.name()))?;
    distinct("middleware layers", middlewares.iter().map(|(name, _)| &**name))?;

    let mut mounts = vec![ready(&config, &known, "", &config.path, &Mount::new())?];
    for (path, mount) in &config.mounts {
        let prefix = join("mounts", path);
        let next = ready(&config, &known, &prefix, path, mount)?;
        if mounts.iter().any(|other| other.settings.path == next.settings.path) {
            let path = next.settings.path.to_string();
            return Err(BuildError::SamePath { at: config.at(&prefix), path });
        }
        mounts.push(next);
    }

    let settings = settings(&config)?;
    let options = config.http_options()?;
    let libraries: Vec<_> = mounts.iter().map(|mount| mount.library.clone()).collect();
    let mounts = mounts.into_iter().map(|mount| (mount.settings, mount.transformers));
    let core = primus_core::Primus::new(settings, transforms, mounts);
    for (_, add) in middlewares {
        add(&core);
    }
    for plugin in plugins {
        core.plugins().add_shared(plugin)?;
    }
    Ok(Primus::assemble(App::new(core, libraries, options), config))
}

fn settings(config: &Config) -> Result<Settings, BuildError> {
    let mut settings = Settings::default();
    settings.keep_headers = config.header_names()?;
    settings.ping_interval = config.ping_interval;
    settings.ping_timeout = config.ping_timeout;
    settings.max_connections = config.max_connections;
    settings.max_connections_per_address = config.max_connections_per_address;
    settings.count_loopback = config.count_loopback;
    settings.max_pending = config.max_pending;
    settings.handler_grace = config.handler_grace;
    settings.resume_budget = config.resume_budget;
    settings.detach_grace = config.detach_grace;
    Ok(settings)
}

/// Checks a mount. `prefix` is the key of its table, empty for the main one.
fn ready(
    config: &Config,
    known: &Known,
    prefix: &str,
    path: &str,
    mount: &Mount,
) -> Result<Ready, BuildError> {
    check_path(config, if prefix.is_empty() { "path" } else { prefix }, path)?;
    let mut settings = MountSettings::new(path);

    let name = mount.parser.as_ref().unwrap_or(&config.parser);
    settings.parser = known.parser(name).map_err(|nearest| BuildError::UnknownName {
        at: config.at(&key_of(prefix, "parser", mount.parser.is_some())),
        kind: "parser",
        name: name.clone(),
        nearest,
    })?;

    let subprotocols = mount.subprotocols.as_ref().unwrap_or(&config.subprotocols);
    let key = key_of(prefix, "subprotocols", mount.subprotocols.is_some());
    check_subprotocols(config, &key, subprotocols)?;
    settings.subprotocols.clone_from(subprotocols);
    settings.limits = limits(config, prefix, mount)?;
    settings.compression = compression(config, mount);
    settings.options.insert(engine_io(config, prefix, mount)?);
    settings.options.insert(socket_io(config, prefix, mount)?);
    settings.options.insert(sockjs(config, prefix, mount)?);
    settings.options.insert(browserchannel(config, prefix, mount)?);
    settings.options.insert(bayeux(config, prefix, mount)?);
    settings.options.insert(actioncable(config, prefix, mount)?);

    let names = mount.transformers.as_ref().unwrap_or(&config.transformers);
    let key = key_of(prefix, "transformers", mount.transformers.is_some());
    let mut transformers = transformers(config, known, &key, names, &settings)?;
    if mount.native.unwrap_or(config.native) {
        add_native(known, names, &settings, &mut transformers);
    }
    let mut modules: Vec<_> = transformers.iter().filter_map(|one| one.client_module()).collect();
    if modules.is_empty() {
        let problem =
            |problem| config.invalid(&key_of(prefix, "native", mount.native.is_some()), problem);
        modules.extend(module(known, names, &settings).map_err(problem)?);
    }
    let library = if modules.is_empty() {
        None
    } else {
        let mut script = LibraryConfig::new(&*settings.path, modules);
        script.global.clone_from(&config.global);
        script.parser = settings.parser.name().to_owned();
        script.parser_script = settings.parser.client_script().map(Cow::into_owned);
        script.options = config.client.to_json();
        // To see whether it can be made: it is made when it is asked for.
        let failed = |source| BuildError::Library { path: settings.path.to_string(), source };
        Library::new(script.clone()).map_err(failed)?;
        Some(script)
    };
    Ok(Ready { settings, transformers, library })
}

/// The key that a value was set by: the mount's own, or the server's.
fn key_of(prefix: &str, name: &str, own: bool) -> String {
    join(if own { prefix } else { "" }, name)
}

fn check_path(config: &Config, key: &str, path: &str) -> Result<(), BuildError> {
    let inner = path.trim_end_matches('/');
    let problem = if !path.starts_with('/') {
        "must begin with `/`"
    } else if inner.contains("//") {
        "has two slashes side by side; no request has that"
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\"<>\\".contains(&byte)) {
        "may have ASCII letters, digits and the signs that stand in a path as they are"
    } else {
        return Ok(());
    };
    Err(config.invalid(key, format!("is the path {path:?}, which {problem}")))
}

fn transformers(
    config: &Config,
    known: &Known,
    key: &str,
    names: &[String],
    settings: &MountSettings,
) -> Result<Vec<Arc<dyn Transformer>>, BuildError> {
    if names.is_empty() {
        let problem = "is empty; name at least one, such as \"websocket\"";
        return Err(config.invalid(key, problem));
    }
    let mut found: Vec<Arc<dyn Transformer>> = Vec::new();
    for name in names {
        if found.iter().any(|other| other.name() == name) {
            return Err(config.invalid(key, format!("has {name:?} twice")));
        }
        found.push(known.transformer(name, settings).map_err(|nearest| {
            BuildError::UnknownName {
                at: config.at(key),
                kind: "transformer",
                name: name.clone(),
                nearest,
            }
        })?);
    }
    let [engine_io, socket_io] =
        ["engine.io", "socket.io"].map(|name| found.iter().any(|one| one.name() == name));
    if engine_io && socket_io {
        let problem = "has \"engine.io\" and \"socket.io\", whose clients ask for the same; give one of them a mount of its own";
        return Err(config.invalid(key, problem));
    }
    Ok(found)
}

/// The plugins that the options name.
fn named_plugins(config: &Config, known: &Known) -> Result<Vec<Arc<dyn Plugin>>, BuildError> {
    let find = |name: &String| {
        known.plugin(name).map_err(|nearest| BuildError::UnknownName {
            at: config.at("plugins"),
            kind: "plugin",
            name: name.clone(),
            nearest,
        })
    };
    config.plugins.iter().map(find).collect()
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(sign)
}

/// Subprotocols are tokens (RFC 9110 §5.6.2), and one is our own client's.
fn check_subprotocols(config: &Config, key: &str, names: &[String]) -> Result<(), BuildError> {
    for name in names {
        if !is_token(name) {
            let problem =
                format!("has {name:?}, which no client can offer; use letters and digits");
            return Err(config.invalid(key, problem));
        }
        if name == "primus.2" {
            let problem = "has \"primus.2\", which is our own client's; leave it out";
            return Err(config.invalid(key, problem));
        }
    }
    Ok(())
}

fn limits(config: &Config, prefix: &str, mount: &Mount) -> Result<Limits, BuildError> {
    /// The mount's own value, or the server's, after a check.
    macro_rules! pick {
        ($($check:ident($name:ident $(, $least:literal)?);)*) => {{
            let mut limits = Limits::default();
            $(
                limits.$name = mount.$name.unwrap_or(config.$name);
                let key = key_of(prefix, stringify!($name), mount.$name.is_some());
                config.$check(&key, limits.$name $(, $least)?)?;
            )*
            limits
        }};
    }
    let mut limits = pick! {
        at_least(max_message, 1);
        at_least(max_fragments, 1);
        at_least(max_post_items, 1);
        at_least(max_attach, 64);
        lasts(attach_timeout);
        lasts(body_timeout);
        lasts(poll_timeout);
        lasts(close_timeout);
        at_least(max_queued, 0);
        at_least(pressure, 0);
        at_least(inbox_messages, 1);
        at_least(inbox_bytes, 1);
        at_least(max_inbox, 1);
        at_least(max_requests, 1);
        at_least(max_subscriptions, 0);
        at_least(max_channels, 0);
        keeps(resume_messages);
        keeps(resume_bytes);
    };
    limits.overflow = mount.overflow.unwrap_or(config.overflow);
    limits.resume_window = mount.resume_window.unwrap_or(config.resume_window);
    if !limits.resume_window.is_zero() {
        let key = key_of(prefix, "resume_bytes", mount.resume_bytes.is_some());
        config.within_budget(&key, limits.resume_bytes)?;
    }
    if limits.pressure > limits.max_queued {
        let key = key_of(prefix, "pressure", mount.pressure.is_some());
        let problem =
            format!("is {}, more than `max_queued`, {}", limits.pressure, limits.max_queued);
        return Err(config.invalid(&key, problem));
    }
    Ok(limits)
}

fn compression(config: &Config, mount: &Mount) -> Option<Compression> {
    let mut compression = Compression::default();
    compression.threshold = mount.compression_threshold.unwrap_or(config.compression_threshold);
    compression.takeover = mount.compression_takeover.unwrap_or(config.compression_takeover);
    mount.compression.unwrap_or(config.compression).then_some(compression)
}

fn engine_io(
    config: &Config,
    prefix: &str,
    mount: &Mount,
) -> Result<primus_engineio::Options, BuildError> {
    let mut options = primus_engineio::Options::default();
    options.version_3 = mount.engine_io_3.unwrap_or(config.engine_io_3);
    let cookie = mount.engine_io_cookie.as_ref().unwrap_or(&config.engine_io_cookie);
    let key = key_of(prefix, "engine_io_cookie", mount.engine_io_cookie.is_some());
    if !cookie.is_empty() && !is_token(cookie) {
        let problem =
            format!("is {cookie:?}, which no cookie can be called; use letters and digits");
        return Err(config.invalid(&key, problem));
    }
    options.cookie = Some(cookie.clone()).filter(|cookie| !cookie.is_empty());
    options.upgrades = mount.engine_io_upgrades.unwrap_or(config.engine_io_upgrades);
    let timeout = mount.engine_io_upgrade_timeout;
    options.upgrade_timeout = timeout.unwrap_or(config.engine_io_upgrade_timeout);
    let key = key_of(prefix, "engine_io_upgrade_timeout", timeout.is_some());
    config.lasts(&key, options.upgrade_timeout)?;
    Ok(options)
}

fn socket_io(
    config: &Config,
    prefix: &str,
    mount: &Mount,
) -> Result<primus_socketio::Options, BuildError> {
    let mut options = primus_socketio::Options::default();
    options.recovery = mount.socket_io_recovery.unwrap_or(config.socket_io_recovery);
    let timeout = mount.socket_io_connect_timeout;
    options.connect_timeout = timeout.unwrap_or(config.socket_io_connect_timeout);
    let key = key_of(prefix, "socket_io_connect_timeout", timeout.is_some());
    config.lasts(&key, options.connect_timeout)?;
    options.msgpack = mount.socket_io_msgpack.unwrap_or(config.socket_io_msgpack);
    Ok(options)
}

fn sockjs(config: &Config, prefix: &str, mount: &Mount) -> Result<SockJsOptions, BuildError> {
    let mut options = SockJsOptions::default();
    let limit = mount.sockjs_response_limit;
    options.response_limit = limit.unwrap_or(config.sockjs_response_limit);
    let key = key_of(prefix, "sockjs_response_limit", limit.is_some());
    config.at_least(&key, options.response_limit, 1)?;
    options.heartbeat = mount.sockjs_heartbeat.unwrap_or(config.sockjs_heartbeat);
    let delay = mount.sockjs_disconnect_delay;
    options.disconnect_delay = delay.unwrap_or(config.sockjs_disconnect_delay);
    let key = key_of(prefix, "sockjs_disconnect_delay", delay.is_some());
    config.lasts(&key, options.disconnect_delay)?;
    let url = mount.sockjs_url.as_ref().unwrap_or(&config.sockjs_url);
    let begins = ["/", "http://", "https://"].iter().any(|begin| url.starts_with(begin));
    if !begins || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        let key = key_of(prefix, "sockjs_url", mount.sockjs_url.is_some());
        let problem =
            "is no URL that a page can load a script from; begin it with `/` or `https://`";
        return Err(config.invalid(&key, problem));
    }
    options.sockjs_url.clone_from(url);
    options.websocket = mount.sockjs_websocket.unwrap_or(config.sockjs_websocket);
    options.cookie = mount.sockjs_cookie.unwrap_or(config.sockjs_cookie);
    Ok(options)
}

fn browserchannel(
    config: &Config,
    prefix: &str,
    mount: &Mount,
) -> Result<BrowserChannelOptions, BuildError> {
    let mut options = BrowserChannelOptions::default();
    let clients = mount.browserchannel_clients.as_ref().unwrap_or(&config.browserchannel_clients);
    options.primus = match &**clients {
        "auto" => None,
        "primus" => Some(true),
        "plain" => Some(false),
        other => {
            let own = mount.browserchannel_clients.is_some();
            let problem = format!("is {other:?}; it is `auto`, `primus` or `plain`");
            return Err(config.invalid(&key_of(prefix, "browserchannel_clients", own), problem));
        }
    };
    options.keep_alive =
        mount.browserchannel_keep_alive.unwrap_or(config.browserchannel_keep_alive);
    let timeout = mount.browserchannel_timeout;
    options.timeout = timeout.unwrap_or(config.browserchannel_timeout);
    let key = key_of(prefix, "browserchannel_timeout", timeout.is_some());
    config.lasts(&key, options.timeout)?;
    let own = mount.browserchannel_host_prefixes.as_ref();
    let prefixes = own.unwrap_or(&config.browserchannel_host_prefixes);
    let label = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if let Some(bad) = prefixes.iter().find(|one| one.is_empty() || !one.bytes().all(label)) {
        let key = key_of(prefix, "browserchannel_host_prefixes", own.is_some());
        let problem = format!("has {bad:?}, which no host begins with; use letters and digits");
        return Err(config.invalid(&key, problem));
    }
    options.host_prefixes.clone_from(prefixes);
    let script = mount.browserchannel_script.as_ref().unwrap_or(&config.browserchannel_script);
    options.script = Some(script).filter(|script| !script.is_empty()).map(Into::into);
    Ok(options)
}

fn bayeux(config: &Config, prefix: &str, mount: &Mount) -> Result<BayeuxOptions, BuildError> {
    let mut options = BayeuxOptions::default();
    options.timeout = mount.bayeux_timeout.unwrap_or(config.bayeux_timeout);
    let key = key_of(prefix, "bayeux_timeout", mount.bayeux_timeout.is_some());
    config.lasts(&key, options.timeout)?;
    Ok(options)
}

fn actioncable(
    config: &Config,
    prefix: &str,
    mount: &Mount,
) -> Result<primus_actioncable::ActionCableOptions, BuildError> {
    let mut options = primus_actioncable::ActionCableOptions::default();
    let interval = mount.actioncable_ping_interval;
    options.ping_interval = interval.unwrap_or(config.actioncable_ping_interval);
    let key = key_of(prefix, "actioncable_ping_interval", interval.is_some());
    config.lasts(&key, options.ping_interval)?;
    options.whisper = mount.actioncable_whisper.unwrap_or(config.actioncable_whisper);
    options.presence = mount.actioncable_presence.unwrap_or(config.actioncable_presence);
    Ok(options)
}

fn distinct<'a>(
    kind: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), BuildError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(BuildError::SameName { kind, name: name.to_owned() });
        }
    }
    Ok(())
}
