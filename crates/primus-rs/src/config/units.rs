//! How options are written: numbers, texts, lists. [Durations and sizes](super::amounts) and
//! [words](super::words) have files of their own.

use serde_json::json;

use super::value::Value;

/// A way to write the value of an option.
pub(crate) trait Unit {
    /// What the program has.
    type Value;

    /// What an error says is expected.
    const EXPECTED: &'static str;

    /// `None`: the value is not written like that.
    fn read(value: &Value) -> Option<Self::Value>;

    /// As TOML has it.
    fn show(value: &Self::Value) -> String;

    /// As the client's options have it.
    fn json(value: &Self::Value) -> serde_json::Value;
}

/// An option that may be left out.
pub(crate) struct Maybe<U>(U);

impl<U: Unit> Unit for Maybe<U> {
    type Value = Option<U::Value>;
    const EXPECTED: &'static str = U::EXPECTED;

    fn read(value: &Value) -> Option<Self::Value> {
        U::read(value).map(Some)
    }

    fn show(value: &Self::Value) -> String {
        value.as_ref().map(U::show).unwrap_or_default()
    }

    fn json(value: &Self::Value) -> serde_json::Value {
        value.as_ref().map_or(serde_json::Value::Null, U::json)
    }
}

/// A number of things.
pub(crate) struct Count;

impl Unit for Count {
    type Value = usize;
    const EXPECTED: &'static str = "a whole number, not negative";

    fn read(value: &Value) -> Option<usize> {
        match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            Value::Raw(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn show(value: &usize) -> String {
        value.to_string()
    }

    fn json(value: &usize) -> serde_json::Value {
        json!(value)
    }
}

/// By how much something grows.
pub(crate) struct Factor;

impl Unit for Factor {
    type Value = f64;
    const EXPECTED: &'static str = "a number from 1 on";

    fn read(value: &Value) -> Option<f64> {
        let number = match value {
            #[expect(clippy::cast_precision_loss, reason = "a factor is a small number")]
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Raw(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        (number.is_finite() && number >= 1.0).then_some(number)
    }

    fn show(value: &f64) -> String {
        value.to_string()
    }

    fn json(value: &f64) -> serde_json::Value {
        json!(value)
    }
}

/// Yes or no.
pub(crate) struct Flag;

impl Unit for Flag {
    type Value = bool;
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value) -> Option<bool> {
        match value {
            Value::Flag(flag) => Some(*flag),
            Value::Raw(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn show(value: &bool) -> String {
        value.to_string()
    }

    fn json(value: &bool) -> serde_json::Value {
        json!(value)
    }
}

/// Any text.
pub(crate) struct Text;

impl Unit for Text {
    type Value = String;
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Raw(text) => Some(text.trim().to_owned()),
            _ => None,
        }
    }

    fn show(value: &String) -> String {
        Self::json(value).to_string()
    }

    fn json(value: &String) -> serde_json::Value {
        json!(value)
    }
}

/// Texts; one alone needs no brackets. In a variable they are separated by commas.
pub(crate) struct List;

impl Unit for List {
    type Value = Vec<String>;
    const EXPECTED: &'static str = "a text or a list of texts";

    fn read(value: &Value) -> Option<Vec<String>> {
        match value {
            Value::Text(text) => Some(vec![text.clone()]),
            Value::Raw(text) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            Value::List(items) => items
                .iter()
                .map(|item| match item {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    fn show(value: &Vec<String>) -> String {
        let items: Vec<_> = value.iter().map(Text::show).collect();
        format!("[{}]", items.join(", "))
    }

    fn json(value: &Vec<String>) -> serde_json::Value {
        json!(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn raw(text: &str) -> Value {
        Value::Raw(text.to_owned())
    }

    #[test]
    fn the_rest() {
        assert_eq!(Count::read(&Value::Integer(3)), Some(3));
        assert_eq!(Count::read(&raw("3")), Some(3));
        assert_eq!(Count::read(&text("3")), None);
        assert_eq!(Count::read(&Value::Integer(-3)), None);
        assert_eq!(Flag::read(&raw("true")), Some(true));
        assert_eq!(Flag::read(&raw("1")), None);
        assert_eq!(Flag::read(&text("true")), None);
        assert_eq!(Factor::read(&Value::Integer(2)), Some(2.0));
        assert_eq!(Factor::read(&Value::Float(0.5)), None);
        assert_eq!(Factor::read(&raw("inf")), None);
        assert_eq!(List::read(&text("a,b")), Some(vec!["a,b".to_owned()]));
        assert_eq!(List::read(&raw("a, b,")), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(List::read(&raw("")), Some(vec![]));
        assert_eq!(List::read(&Value::List(vec![Value::Integer(1)])), None);
    }
}
