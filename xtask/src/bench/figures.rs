//! What load generators print, and medians.

/// The figure of this name among lines `name value`.
pub(super) fn figure(lines: &[String], name: &str) -> Option<f64> {
    lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The number of this name in the JSON object that rtload prints.
pub(super) fn json_number(text: &str, name: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
    let end = rest.find([',', '}'])?;
    rest[..end].trim().parse().ok()
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// As tables show it: three figures at least, thousands apart.
pub(super) fn shown(value: f64) -> String {
    if value < 99.95 {
        return format!("{value:.*}", usize::from(value < 9.995) + 1);
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_whole_name() {
        let lines = ["p999_us 7", "p99_us 5.5", "faults 2 missing"].map(str::to_owned);
        assert_eq!(figure(&lines, "p99_us"), Some(5.5));
        assert_eq!(figure(&lines, "p99"), None);
        assert_eq!(figure(&lines, "faults"), None);
        assert_eq!(json_number("{\"a\":1.5,\"b\": 2}", "b"), Some(2.0));
        assert_eq!(json_number("{\"a\":1.5}", "b"), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn numbers_are_shown_with_three_figures() {
        let shown: Vec<String> = [0.139, 9.99, 12.34, 139_042.4, 1_000.0].map(shown).into();
        assert_eq!(shown, ["0.14", "9.99", "12.3", "139,042", "1,000"]);
    }
}
