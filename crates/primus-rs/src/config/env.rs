//! Reads `PRIMUS_*` variables.
//!
//! `PRIMUS_PING_INTERVAL` is `ping_interval`, `PRIMUS_CLIENT__RECONNECT__MIN` is
//! `client.reconnect.min`. A list is separated by commas.

use std::{
    ffi::{OsStr, OsString},
    sync::Arc,
};

use super::{
    error::ConfigError,
    value::{Entry, Origin, Value},
};

const PREFIX: &str = "PRIMUS_";

/// Names the variables that begin with `PRIMUS_` and are not for us.
const EXEMPT: &str = "PRIMUS_EXEMPT";

/// The environment of this process.
pub(super) fn process() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// The options that the variables set, in the order of their names.
pub(super) fn entries<N: Into<OsString>, V: Into<OsString>>(
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<Vec<Entry>, ConfigError> {
    let mut ours: Vec<(OsString, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
        .collect();
    ours.sort();
    let exempt = ours.iter().find(|(name, _)| name == EXEMPT);
    let exempt = exempt.map(|(name, value)| text(name, value)).transpose()?.unwrap_or_default();
    let is_exempt = |name: &str| {
        let mut patterns = exempt.split(',').map(str::trim);
        name == EXEMPT || patterns.any(|pattern| matches(pattern, name))
    };
    let mut entries = Vec::new();
    for (name, value) in &ours {
        let shown = name.to_string_lossy();
        if !is_exempt(&shown) {
            let name = name.to_str().ok_or_else(|| ConfigError::NotText(shown.to_string()))?;
            entries.push(entry(name, text(OsStr::new(name), value)?));
        }
    }
    Ok(entries)
}

fn text<'a>(name: &OsStr, value: &'a OsStr) -> Result<&'a str, ConfigError> {
    value.to_str().ok_or_else(|| ConfigError::NotText(name.to_string_lossy().into_owned()))
}

/// Whether a name is meant; a star stands at the end only.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// A variable as the table in a table that it means.
fn entry(name: &str, value: &str) -> Entry {
    let origin = Origin::Variable(Arc::from(name));
    let path = name[PREFIX.len()..].to_ascii_lowercase();
    let mut value = Value::Raw(value.to_owned());
    let mut parts = path.split("__").collect::<Vec<_>>();
    let first = parts.remove(0);
    for part in parts.into_iter().rev() {
        let entry = Entry { key: part.to_owned(), value, origin: origin.clone() };
        value = Value::Table(vec![entry]);
    }
    Entry { key: first.to_owned(), value, origin }
}
