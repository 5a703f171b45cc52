//! What a set of options can do: be read from entries, with an error for what is wrong, and be shown.

use std::collections::BTreeMap;

use super::{
    error::ConfigError,
    names::nearest,
    units::Unit,
    value::{Entry, Origin, Value},
};

/// Where each option was set, by its whole key. Options that are not here have their defaults, or
/// were set by a method.
pub(crate) type Sources = BTreeMap<String, Origin>;

/// An option and its value as TOML has it; nothing, if it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A set of options that can be read.
pub(crate) trait Options {
    /// Their names, and the names of the tables in them.
    fn keys(&self) -> Vec<String>;

    /// Other names that some of them have.
    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Sets one of [`keys`](Self::keys), whose whole key is `path`.
    fn set(
        &mut self,
        key: &str,
        entry: &Entry,
        path: &str,
        sources: &mut Sources,
    ) -> Result<(), ConfigError>;

    /// All of them with their values, those of its tables included.
    fn rows(&self, prefix: &str) -> Vec<Row>;

    /// The key that an entry stands for, if there is one.
    fn resolve(&self, entry: &Entry) -> Option<String> {
        let alias = self.aliases().iter().find(|(name, _)| *name == entry.key);
        let name = alias.map_or(&*entry.key, |(_, name)| name);
        self.keys().into_iter().find(|key| key == name)
    }

    /// Sets what a table has; the rest stays.
    fn apply(
        &mut self,
        table: &[Entry],
        prefix: &str,
        sources: &mut Sources,
    ) -> Result<(), ConfigError> {
        let mut seen: Vec<(String, &str)> = Vec::new();
        for entry in table {
            let Some(key) = self.resolve(entry) else {
                return Err(self.unknown(entry, prefix));
            };
            let path = join(prefix, &key);
            if let Some((_, other)) = seen.iter().find(|(name, _)| *name == key) {
                return Err(ConfigError::Twice {
                    at: entry.origin.clone(),
                    key: join(prefix, &entry.key),
                    other: join(prefix, other),
                });
            }
            self.set(&key, entry, &path, sources)?;
            sources.insert(path, entry.origin.clone());
            seen.push((key, &entry.key));
        }
        Ok(())
    }

    fn unknown(&self, entry: &Entry, prefix: &str) -> ConfigError {
        let keys = self.keys();
        let names = keys.iter().map(String::as_str);
        let names = names.chain(self.aliases().iter().map(|(name, _)| *name));
        let nearest = nearest(&entry.key, names);
        match &entry.origin {
            Origin::Variable(name) => ConfigError::UnknownVariable {
                name: name.to_string(),
                nearest: nearest
                    .map(|key| format!("PRIMUS_{}", join(prefix, key)))
                    .map(|path| path.to_ascii_uppercase().replace('.', "__")),
            },
            at => ConfigError::UnknownKey {
                at: at.clone(),
                key: join(prefix, &entry.key),
                nearest: nearest.map(|key| join(prefix, key)),
            },
        }
    }
}

/// The whole key of an option in a table. Keys that TOML would quote are quoted.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let key =
        if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { format!("{key:?}") };
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}

/// Reads one value.
pub(crate) fn read<U: Unit>(entry: &Entry, path: &str) -> Result<U::Value, ConfigError> {
    U::read(&entry.value).ok_or_else(|| mismatch(entry, path, U::EXPECTED))
}

/// Sets what is in a table of the table.
pub(crate) fn read_table(
    options: &mut dyn Options,
    entry: &Entry,
    path: &str,
    sources: &mut Sources,
) -> Result<(), ConfigError> {
    match &entry.value {
        Value::Table(table) => options.apply(table, path, sources),
        _ => Err(mismatch(entry, path, "a table")),
    }
}

fn mismatch(entry: &Entry, path: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        at: entry.origin.clone(),
        key: path.to_owned(),
        expected,
        found: entry.value.to_string(),
    }
}
