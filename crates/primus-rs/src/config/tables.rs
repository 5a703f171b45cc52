//! The macros that make options from tables. One table gives a struct, its defaults, its reading and
//! its methods, so that they cannot differ.
//!
//! A row is `name: Unit`, where the unit (see [`units`](super::units)) says how the value is
//! written and what its type is.

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
    ($($unit:tt)+) => { $crate::config::tables::value!($($unit)+) };
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
            $( $(#[$doc])* pub $field: Option<$crate::config::tables::value!($unit $(<$T>)?)>, )*
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
                    $field: $crate::config::tables::given!($unit $(<$T>)?),
                ) -> Self {
                    self.$field =
                        Some($crate::config::tables::convert!($unit $(<$T>)?, $field));
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

        $crate::config::tables::readable! {
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
            $( $(#[$doc])* pub $field: $crate::config::tables::value!($unit $(<$T>)?), )*
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
                pub fn $field(
                    mut self,
                    $field: $crate::config::tables::given!($unit $(<$T>)?),
                ) -> Self {
                    self.config.$field = $crate::config::tables::convert!($unit $(<$T>)?, $field);
                    self.config.sources.remove(stringify!($field));
                    self
                }
            )*
        }

        $crate::config::tables::readable! {
            $Name {
                $( $field: $unit $(<$T>)?, )*
            }
            tables { $( $table, )* }
            aliases { $( $alias = $target, )* }
        }
    };
}

pub(crate) use {convert, given, optional, options, readable, value};
