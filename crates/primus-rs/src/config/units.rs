//! How options are written: durations, sizes, counts, lists, words.

use std::time::Duration;

use serde_json::json;

use super::value::Value;

/// A way to write the value of an option.
pub(crate) trait Unit {
    /// What the program has.
    type Value;

    /// What the reference calls it.
    const NAME: &'static str;

    /// What an error says is expected.
    const EXPECTED: &'static str;

    /// `None`: the value is not written like that.
    fn read(value: &Value) -> Option<Self::Value>;

    /// As the documentation writes it.
    fn show(value: &Self::Value) -> String;

    /// As the client's options have it.
    fn json(value: &Self::Value) -> serde_json::Value;
}

/// An option that may be left out.
pub(crate) struct Maybe<U>(U);

impl<U: Unit> Unit for Maybe<U> {
    type Value = Option<U::Value>;
    const NAME: &'static str = U::NAME;
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

/// A number with a unit behind it, in the smallest unit. A bare number is in the smallest.
fn scaled(value: &Value, units: &[(&str, u64)]) -> Option<u64> {
    let text = match value {
        Value::Integer(number) => return u64::try_from(*number).ok(),
        Value::Text(text) | Value::Raw(text) => text.trim(),
        _ => return None,
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let factor = match unit {
        "" => 1,
        unit => {
            units
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
                .1
        }
    };
    number.checked_mul(factor)
}

/// The largest unit that a number is a multiple of.
fn show_scaled(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| number > 0 && number.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", number / factor),
        None => number.to_string(),
    }
}

/// `"30s"`, `"250ms"`, or a number of milliseconds.
pub(crate) struct Time;

const TIMES: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Unit for Time {
    type Value = Duration;
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str =
        "a duration such as \"30s\", \"250ms\", \"2m\" or \"1h\", or a number of milliseconds";

    fn read(value: &Value) -> Option<Duration> {
        // A year is for ever; more would overflow the clocks of some systems.
        let longest = 365 * 24 * 3_600_000;
        scaled(value, TIMES)
            .filter(|time| *time <= longest)
            .map(Duration::from_millis)
    }

    fn show(value: &Duration) -> String {
        show_scaled(milliseconds(*value), TIMES)
    }

    fn json(value: &Duration) -> serde_json::Value {
        json!(milliseconds(*value))
    }
}

/// A duration, or `false` for none at all, which is kept as zero.
pub(crate) struct TimeOrOff;

impl Unit for TimeOrOff {
    type Value = Duration;
    const NAME: &'static str = "duration or false";
    const EXPECTED: &'static str =
        "a duration such as \"30s\" or \"250ms\", a number of milliseconds, or false";

    fn read(value: &Value) -> Option<Duration> {
        match value {
            Value::Flag(false) => Some(Duration::ZERO),
            Value::Raw(text) if text.trim() == "false" => Some(Duration::ZERO),
            _ => Time::read(value),
        }
    }

    fn show(value: &Duration) -> String {
        if value.is_zero() {
            "false".to_owned()
        } else {
            Time::show(value)
        }
    }

    fn json(value: &Duration) -> serde_json::Value {
        if value.is_zero() {
            json!(false)
        } else {
            Time::json(value)
        }
    }
}

/// `"1MiB"`, `"64KiB"`, `"16MB"`, or a number of bytes.
pub(crate) struct Bytes;

const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

impl Unit for Bytes {
    type Value = usize;
    const NAME: &'static str = "size";
    const EXPECTED: &'static str =
        "a size such as \"1MiB\", \"64KiB\" or \"16MB\", or a number of bytes";

    fn read(value: &Value) -> Option<usize> {
        scaled(value, SIZES)?.try_into().ok()
    }

    fn show(value: &usize) -> String {
        show_scaled(u64::try_from(*value).unwrap_or(u64::MAX), &SIZES[..3])
    }

    fn json(value: &usize) -> serde_json::Value {
        json!(value)
    }
}

/// A number of things.
pub(crate) struct Count;

impl Unit for Count {
    type Value = usize;
    const NAME: &'static str = "number";
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
    const NAME: &'static str = "factor";
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
    const NAME: &'static str = "true or false";
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
    const NAME: &'static str = "text";
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Raw(text) => Some(text.trim().to_owned()),
            _ => None,
        }
    }

    fn show(value: &String) -> String {
        format!("{value:?}")
    }

    fn json(value: &String) -> serde_json::Value {
        json!(value)
    }
}

/// Texts; one alone needs no brackets. In a variable they are separated by commas.
pub(crate) struct List;

impl Unit for List {
    type Value = Vec<String>;
    const NAME: &'static str = "list";
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
        format!("{value:?}")
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
    fn durations() {
        let read = |value| Time::read(&value).map(|time| time.as_millis());
        assert_eq!(read(text("30s")), Some(30_000));
        assert_eq!(read(text(" 250 ms ")), Some(250));
        assert_eq!(read(text("2m")), Some(120_000));
        assert_eq!(read(text("1h")), Some(3_600_000));
        assert_eq!(read(text("1500")), Some(1500));
        assert_eq!(read(Value::Integer(1500)), Some(1500));
        assert_eq!(read(raw("1500")), Some(1500));
        assert_eq!(read(Value::Integer(0)), Some(0));
        for bad in [
            "",
            "s",
            "1.5s",
            "-1s",
            "1d",
            "1 s x",
            "99999999999999999999",
            "9000000h",
        ] {
            assert_eq!(read(text(bad)), None, "{bad}");
        }
        assert_eq!(read(Value::Integer(-1)), None);
        assert_eq!(read(Value::Float(1.0)), None);
        assert_eq!(read(Value::Flag(false)), None);
        assert_eq!(TimeOrOff::read(&Value::Flag(false)), Some(Duration::ZERO));
        assert_eq!(TimeOrOff::read(&raw("false")), Some(Duration::ZERO));
        assert_eq!(TimeOrOff::read(&Value::Flag(true)), None);
    }

    #[test]
    fn sizes() {
        let read = |value| Bytes::read(&value);
        assert_eq!(read(text("1MiB")), Some(1 << 20));
        assert_eq!(read(text("64 KiB")), Some(64 << 10));
        assert_eq!(read(text("16mb")), Some(16_000_000));
        assert_eq!(read(text("3kB")), Some(3000));
        assert_eq!(read(text("2GiB")), Some(2 << 30));
        assert_eq!(read(text("7B")), Some(7));
        assert_eq!(read(Value::Integer(7)), Some(7));
        for bad in [
            "",
            "MiB",
            "1M",
            "1K",
            "-1B",
            "1.5MiB",
            "18446744073709551615GiB",
        ] {
            assert_eq!(read(text(bad)), None, "{bad}");
        }
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
        assert_eq!(
            List::read(&raw("a, b,")),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(List::read(&raw("")), Some(vec![]));
        assert_eq!(List::read(&Value::List(vec![Value::Integer(1)])), None);
    }

    #[test]
    fn they_are_shown_in_the_largest_unit() {
        let time = |milliseconds| Time::show(&Duration::from_millis(milliseconds));
        assert_eq!(
            [time(30_000), time(120_000), time(1500), time(0)],
            ["30s", "2m", "1500ms", "0"]
        );
        let sizes = [1 << 20, 64 << 10, 1000, 0].map(|size| Bytes::show(&size));
        assert_eq!(sizes, ["1MiB", "64KiB", "1000", "0"]);
    }
}
