//! Durations and sizes: a number with a unit behind it.

use std::time::Duration;

use serde_json::json;

use super::{units::Unit, value::Value};

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
        unit => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.checked_mul(factor)
}

/// The largest unit that a number is a multiple of.
fn show_scaled(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| number > 0 && number.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((unit, factor)) => format!("\"{}{unit}\"", number / factor),
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
    const EXPECTED: &'static str =
        "a duration such as \"30s\", \"250ms\", \"2m\" or \"1h\", or a number of milliseconds";

    fn read(value: &Value) -> Option<Duration> {
        // A year is for ever; more would overflow the clocks of some systems.
        let longest = 365 * 24 * 3_600_000;
        scaled(value, TIMES).filter(|time| *time <= longest).map(Duration::from_millis)
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
        if value.is_zero() { "false".to_owned() } else { Time::show(value) }
    }

    fn json(value: &Duration) -> serde_json::Value {
        if value.is_zero() { json!(false) } else { Time::json(value) }
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
        for bad in ["", "s", "1.5s", "-1s", "1d", "1 s x", "99999999999999999999", "9000000h"] {
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
        for bad in ["", "MiB", "1M", "1K", "-1B", "1.5MiB", "18446744073709551615GiB"] {
            assert_eq!(read(text(bad)), None, "{bad}");
        }
    }

    #[test]
    fn they_are_shown_in_the_largest_unit() {
        let time = |milliseconds| Time::show(&Duration::from_millis(milliseconds));
        assert_eq!(
            [time(30_000), time(120_000), time(1500), time(0)],
            ["\"30s\"", "\"2m\"", "\"1500ms\"", "0"]
        );
        let sizes = [1 << 20, 64 << 10, 1000, 0].map(|size| Bytes::show(&size));
        assert_eq!(sizes, ["\"1MiB\"", "\"64KiB\"", "1000", "0"]);
    }
}
