//! Reads TOML, and remembers the line of every key.

use std::{path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::{
    error::ConfigError,
    value::{Entry, Origin, Value},
};

/// A file and where its lines begin.
struct Source<'a> {
    file: Arc<Path>,
    text: &'a str,
}

/// Reads a text; errors call it `file`.
pub(super) fn parse(text: &str, file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let source = Source { file: file.into(), text };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        at: source.origin(error.span().map_or(0, |span| span.start)),
        problem: error.message().trim().replace('\n', "; "),
    })?;
    Ok(source.table(table.get_ref()))
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::Line { file: Arc::clone(&self.file), line }
    }

    /// In the order of the file, so that its first mistake is the one that is told.
    fn table(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                value: self.value(value.get_ref()),
                origin: self.origin(key.span().start),
            })
            .collect()
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number that is too large"), Value::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or(Value::Other("a number that cannot be read"), Value::Float),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.value(item.get_ref())).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }
}
