//! Tables of options. One table gives a struct, its defaults, its reading and its methods, so that
//! they cannot differ.

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

/// One row of the reference: an option, its type, and how its value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) kind: &'static str,
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

    /// All of them with their values, for the reference.
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
    let key = if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if prefix.is_empty() {
        key
    } else {
        format!("{prefix}.{key}")
    }
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

/// The type that a unit reads.
macro_rules! value {
    (Time) => { std::time::Duration };
    (TimeOrOff) => { std::time::Duration };
    (Bytes) => { usize };
    (Count) => { usize };
    (Factor) => { f64 };
    (Flag) => { bool };
    (Text) => { String };
    (List) => { Vec<String> };
    (Word<$T:ident>) => { $T };
    (SomeOf<$T:ident>) => { Vec<$T> };
}

/// What a method takes for it.
macro_rules! given {
    (Text) => { impl Into<String> };
    (List) => { impl IntoIterator<Item = impl Into<String>> };
    (SomeOf<$T:ident>) => { impl IntoIterator<Item = $T> };
    ($($unit:tt)+) => { $crate::config::options::value!($($unit)+) };
}

/// From what a method takes to the value.
macro_rules! convert {
    (Text, $value:ident) => {
        $value.into()
    };
    (List, $value:ident) => {
        $value.into_iter().map(Into::into).collect()
    };
    (SomeOf<$T:ident>, $value:ident) => {
        $value.into_iter().collect()
    };
    ($unit:ident $(<$T:ident>)?, $value:ident) => {
        $value
    };
}

/// Implements [`Options`] for a struct with these fields.
macro_rules! readable {
    (
        $Name:ident {
            $( $field:ident: $unit:ty, )*
        }
        tables { $( $table:ident, )* }
        aliases { $( $alias:literal = $target:ident, )* }
    ) => {
        impl $crate::config::options::Options for $Name {
            fn keys(&self) -> Vec<String> {
                vec![$( stringify!($field).to_owned(), )* $( stringify!($table).to_owned(), )*]
            }

            fn aliases(&self) -> &'static [(&'static str, &'static str)] {
                &[$( ($alias, stringify!($target)), )*]
            }

            #[allow(unused_variables, reason = "a table without tables in it has no use for it")]
            fn set(
                &mut self,
                key: &str,
                entry: &$crate::config::value::Entry,
                path: &str,
                sources: &mut $crate::config::options::Sources,
            ) -> Result<(), $crate::config::ConfigError> {
                match key {
                    $( stringify!($field) => {
                        self.$field = $crate::config::options::read::<$unit>(entry, path)?;
                    } )*
                    $( stringify!($table) => {
                        $crate::config::options::read_table(&mut self.$table, entry, path, sources)?;
                    } )*
                    _ => return Err(self.unknown(entry, path)),
                }
                Ok(())
            }

            fn rows(&self, prefix: &str) -> Vec<$crate::config::options::Row> {
                #[allow(unused_mut, reason = "a table without tables in it never grows")]
                let mut rows = vec![$( $crate::config::options::Row {
                    key: $crate::config::options::join(prefix, stringify!($field)),
                    kind: <$unit as $crate::config::units::Unit>::NAME,
                    value: <$unit as $crate::config::units::Unit>::show(&self.$field),
                }, )*];
                $( rows.extend(self.$table.rows(
                    &$crate::config::options::join(prefix, stringify!($table)),
                )); )*
                rows
            }
        }
    };
}

/// A struct of options that may each be left out, with a method for each.
macro_rules! optional {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident {
            $( $(#[$doc:meta])* $field:ident: $unit:ident $(<$T:ident>)?, )*
        }
        tables {
            $( $(#[$table_doc:meta])* $table:ident: $Table:ident, )*
        }
        aliases { $( $alias:literal = $target:ident, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $Name {
            $( $(#[$doc])* pub $field: Option<$crate::config::options::value!($unit $(<$T>)?)>, )*
            $( $(#[$table_doc])* pub $table: $Table, )*
        }

        impl $Name {
            /// With nothing set.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(
                    mut self,
                    $field: $crate::config::options::given!($unit $(<$T>)?),
                ) -> Self {
                    self.$field =
                        Some($crate::config::options::convert!($unit $(<$T>)?, $field));
                    self
                }
            )*

            $(
                $(#[$table_doc])*
                #[must_use]
                pub fn $table(mut self, $table: $Table) -> Self {
                    self.$table = $table;
                    self
                }
            )*
        }

        $crate::config::options::readable! {
            $Name {
                $( $field: $crate::config::units::Maybe<$unit $(<$T>)?>, )*
            }
            tables { $( $table, )* }
            aliases { $( $alias = $target, )* }
        }
    };
}

/// The struct of all options with their defaults, and a method of the builder for each.
macro_rules! options {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident {
            $( $(#[$doc:meta])* $field:ident: $unit:ident $(<$T:ident>)? = $default:expr, )*
        }
        tables {
            $( $(#[$table_doc:meta])* $table:ident: $Table:ty, )*
        }
        aliases { $( $alias:literal = $target:ident, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct $Name {
            $( $(#[$doc])* pub $field: $crate::config::options::value!($unit $(<$T>)?), )*
            $( $(#[$table_doc])* pub $table: $Table, )*
            /// Where they come from, for errors that are found later.
            pub(crate) sources: $crate::config::options::Sources,
        }

        impl Default for $Name {
            fn default() -> Self {
                Self {
                    $( $field: $default, )*
                    $( $table: <$Table>::default(), )*
                    sources: Default::default(),
                }
            }
        }

        /// Every option as a method. Each replaces what a file or the environment said.
        impl $crate::Builder {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(
                    mut self,
                    $field: $crate::config::options::given!($unit $(<$T>)?),
                ) -> Self {
                    self.config.$field = $crate::config::options::convert!($unit $(<$T>)?, $field);
                    self.config.sources.remove(stringify!($field));
                    self
                }
            )*
        }

        $crate::config::options::readable! {
            $Name {
                $( $field: $unit $(<$T>)?, )*
            }
            tables { $( $table, )* }
            aliases { $( $alias = $target, )* }
        }
    };
}

pub(crate) use {convert, given, optional, options, readable, value};
