//! Options whose values are a few words.

use std::marker::PhantomData;

use primus_core::Overflow;

use super::{units::Unit, value::Value};

/// A type whose values each have a word.
pub(crate) trait Words: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
    const EXPECTED: &'static str;
    /// What is expected of a list of them.
    const LIST: &'static str = Self::EXPECTED;
}

fn find<T: Words>(text: &str) -> Option<T> {
    T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

fn word<T: Words>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, found)| *found == value).map_or("", |(word, _)| word)
}

/// One word.
pub(crate) struct Word<T>(PhantomData<T>);

impl<T: Words> Unit for Word<T> {
    type Value = T;
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value) -> Option<T> {
        match value {
            Value::Text(text) | Value::Raw(text) => find(text.trim()),
            _ => None,
        }
    }

    fn show(value: &T) -> String {
        format!("{:?}", word(*value))
    }

    fn json(value: &T) -> serde_json::Value {
        word(*value).into()
    }
}

/// Some of the words; `false` is none of them.
pub(crate) struct SomeOf<T>(PhantomData<T>);

impl<T: Words> Unit for SomeOf<T> {
    type Value = Vec<T>;
    const EXPECTED: &'static str = T::LIST;

    fn read(value: &Value) -> Option<Vec<T>> {
        match value {
            Value::Flag(false) => Some(Vec::new()),
            Value::Raw(text) if text.trim() == "false" => Some(Vec::new()),
            // Primus has always had them in one text, separated by commas.
            Value::Text(text) | Value::Raw(text) => {
                text.split(',').map(|item| find(item.trim())).collect()
            }
            Value::List(items) => items.iter().map(Word::<T>::read).collect(),
            _ => None,
        }
    }

    fn show(value: &Vec<T>) -> String {
        format!("{:?}", value.iter().map(|value| word(*value)).collect::<Vec<_>>())
    }

    fn json(value: &Vec<T>) -> serde_json::Value {
        value.iter().map(|value| word(*value)).collect::<Vec<_>>().into()
    }
}

impl Words for Overflow {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("disconnect", Self::Disconnect),
        ("drop-newest", Self::DropNewest),
        ("drop-oldest", Self::DropOldest),
    ];
    const EXPECTED: &'static str = "\"disconnect\", \"drop-newest\" or \"drop-oldest\"";
}

/// A moment at which a client comes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The connection was lost.
    Disconnect,
    /// The network is back.
    Online,
    /// The first connect took too long.
    Timeout,
}

impl Words for Strategy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("disconnect", Self::Disconnect), ("online", Self::Online), ("timeout", Self::Timeout)];
    const EXPECTED: &'static str = "\"disconnect\", \"online\" or \"timeout\"";
    const LIST: &'static str = "a list of \"disconnect\", \"online\" and \"timeout\", or false";
}

/// Whether the HTTP transports of a client send cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Never.
    Omit,
    /// To the page's own origin.
    SameOrigin,
    /// Always; the server's `origins` must name the page's origin.
    Include,
}

impl Words for Credentials {
    const WORDS: &'static [(&'static str, Self)] =
        &[("omit", Self::Omit), ("same-origin", Self::SameOrigin), ("include", Self::Include)];
    const EXPECTED: &'static str = "\"omit\", \"same-origin\" or \"include\"";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_lists_of_them() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(Word::read(&text("drop-oldest")), Some(Overflow::DropOldest));
        assert_eq!(Word::<Overflow>::read(&text("Disconnect")), None);
        let both = Some(vec![Strategy::Online, Strategy::Timeout]);
        assert_eq!(SomeOf::read(&text("online, timeout")), both);
        assert_eq!(SomeOf::read(&Value::List(vec![text("online"), text("timeout")])), both);
        assert_eq!(SomeOf::<Strategy>::read(&Value::Flag(false)), Some(vec![]));
        assert_eq!(SomeOf::<Strategy>::read(&Value::Flag(true)), None);
        assert_eq!(SomeOf::<Strategy>::read(&text("online,offline")), None);
        assert_eq!(Word::json(&Credentials::SameOrigin), "same-origin");
    }
}
