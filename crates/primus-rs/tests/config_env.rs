//! Options from environment variables. The tests give their own; they never touch the process's.

use std::{ffi::OsString, time::Duration};

use primus::{Config, ConfigError};

fn apply(config: &mut Config, variables: &[(&str, &str)]) -> Result<(), ConfigError> {
    config.apply_env(variables.iter().copied())
}

fn read(variables: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    apply(&mut config, variables).unwrap();
    config
}

#[track_caller]
fn refused(variables: &[(&str, &str)], expected: &str) {
    let error = apply(&mut Config::default(), variables).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_type_is_read() {
    let config = read(&[
        ("HOME", "/root"),
        ("PRIMUS", "x"),
        ("PRIMUS_LISTEN", "0.0.0.0:80"),
        ("PRIMUS_TRANSFORMERS", "sse, polling"),
        ("PRIMUS_PING_INTERVAL", "300ms"),
        ("PRIMUS_PING_TIMEOUT", "500"),
        ("PRIMUS_MAX_MESSAGE", "2MiB"),
        ("PRIMUS_MAX_FRAGMENTS", "7"),
        ("PRIMUS_COUNT_LOOPBACK", "true"),
        ("PRIMUS_ORIGINS", ""),
        ("PRIMUS_RESUME_WINDOW", "0"),
        ("PRIMUS_RESUME_MESSAGES", "9"),
        ("PRIMUS_DETACH_GRACE", "1s"),
        ("PRIMUS_CLIENT__PING", "false"),
        ("PRIMUS_CLIENT__STRATEGY", "online,timeout"),
        ("PRIMUS_CLIENT__RECONNECT__FACTOR", "1.5"),
        ("PRIMUS_CLIENT__RECONNECT__MIN", "1s"),
        ("PRIMUS_END__TIMEOUT", "2s"),
    ]);
    assert_eq!(config.listen, "0.0.0.0:80");
    assert_eq!(config.transformers, ["sse", "polling"]);
    assert_eq!(config.ping_interval, Duration::from_millis(300));
    assert_eq!(config.ping_timeout, Duration::from_millis(500));
    assert_eq!(config.max_message, 2 << 20);
    assert_eq!(config.max_fragments, 7);
    assert!(config.count_loopback);
    assert_eq!(config.origins, [""; 0]);
    assert_eq!((config.resume_window, config.resume_messages), (Duration::ZERO, 9));
    assert_eq!(config.detach_grace, Duration::from_secs(1));
    assert_eq!(config.client.ping, Some(Duration::ZERO));
    assert_eq!(config.client.strategy.as_ref().map(Vec::len), Some(2));
    assert_eq!(config.client.reconnect.factor, Some(1.5));
    assert_eq!(config.client.reconnect.min, Some(Duration::from_secs(1)));
    assert_eq!(config.end.after, Duration::from_secs(2));
    assert_eq!(read(&[("PRIMUS_TRANSFORMER", "sse")]).transformers, ["sse"]);
}

#[test]
fn a_mount_of_the_file_is_reached_by_its_path() {
    let text = "[mounts.\"/api-v2/ws\"]\nparser = \"raw\"\nmax_message = 1";
    let mut config = Config::from_toml(text, "primus.toml").unwrap();
    apply(&mut config, &[("PRIMUS_MOUNTS__API_V2_WS__MAX_MESSAGE", "2")]).unwrap();
    assert_eq!(config.mounts["/api-v2/ws"].max_message, Some(2));
    assert_eq!(config.mounts["/api-v2/ws"].parser.as_deref(), Some("raw"));
    let error = apply(&mut config, &[("PRIMUS_MOUNTS__OTHER__PARSER", "raw")]).unwrap_err();
    assert!(
        error.to_string().starts_with(
            "there is no option for the environment variable PRIMUS_MOUNTS__OTHER__PARSER"
        ),
        "{error}"
    );
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest() {
    let rest = "; if it is not meant for Primus, name it in PRIMUS_EXEMPT";
    refused(
        &[("PRIMUS_PING_INTERVALL", "1s")],
        &format!(
            "there is no option for the environment variable PRIMUS_PING_INTERVALL, did you mean `PRIMUS_PING_INTERVAL`?{rest}"
        ),
    );
    refused(
        &[("PRIMUS_CLIENT__RECONNECT__MINN", "1s")],
        &format!(
            "there is no option for the environment variable PRIMUS_CLIENT__RECONNECT__MINN, did you mean `PRIMUS_CLIENT__RECONNECT__MIN`?{rest}"
        ),
    );
    refused(
        &[("PRIMUS_SERVICE_HOST", "10.0.0.1")],
        &format!("there is no option for the environment variable PRIMUS_SERVICE_HOST{rest}"),
    );
}

#[test]
fn a_wrong_value_names_the_variable() {
    refused(
        &[("PRIMUS_PING_INTERVAL", "fast")],
        "PRIMUS_PING_INTERVAL: `ping_interval` is \"fast\"; expected a duration such as \"30s\", \"250ms\", \"2m\" or \"1h\", or a number of milliseconds",
    );
    refused(
        &[("PRIMUS_CLIENT__MANUAL", "yes")],
        "PRIMUS_CLIENT__MANUAL: `client.manual` is \"yes\"; expected true or false",
    );
    refused(&[("PRIMUS_CLIENT", "x")], "PRIMUS_CLIENT: `client` is \"x\"; expected a table");
}

#[test]
fn exempt_variables_are_left_alone() {
    let config = read(&[
        ("PRIMUS_EXEMPT", "PRIMUS_SERVICE_*, PRIMUS_PORT"),
        ("PRIMUS_SERVICE_HOST", "10.0.0.1"),
        ("PRIMUS_PORT", "tcp://10.0.0.1:80"),
        ("PRIMUS_PATH", "/x"),
    ]);
    assert_eq!(config.path, "/x");
    let only = [("PRIMUS_EXEMPT", "PRIMUS_PORT"), ("PRIMUS_PORT_80", "x")];
    assert!(apply(&mut Config::default(), &only).is_err());
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = || OsString::from_vec(vec![0xff]);
    let mut config = Config::default();
    let error = config.apply_env([(OsString::from("PRIMUS_PATH"), odd())]).unwrap_err();
    assert_eq!(error.to_string(), "the environment variable PRIMUS_PATH is not UTF-8");
    // Somebody else's is nobody's business.
    config.apply_env([(OsString::from("OTHER"), odd()), (odd(), odd())]).unwrap();
}
