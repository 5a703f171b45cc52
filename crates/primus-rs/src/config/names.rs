//! The name that was probably meant.

/// The nearest of `names`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', ' '], "_");
    let name = plain(name);
    let distance = |other: &str| {
        let other = plain(other);
        // `pings` for `ping_interval`: a beginning is as good as two typing errors.
        let begins = name.len() >= 4 && other.starts_with(&name);
        if begins { 2 } else { strsim::damerau_levenshtein(&name, &other) }
    };
    names
        .into_iter()
        .map(|other| (distance(other), other))
        .filter(|(distance, _)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// `, did you mean …?`, or nothing.
pub(crate) fn suggest(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_near_enough() {
        let names = ["ping_interval", "ping_timeout", "max_message", "path"];
        let near = |name| nearest(name, names);
        assert_eq!(near("ping_intervall"), Some("ping_interval"));
        assert_eq!(near("pingTimeout"), Some("ping_timeout"));
        assert_eq!(near("max-message"), Some("max_message"));
        assert_eq!(near("max_mesage"), Some("max_message"));
        assert_eq!(near("pahts"), None);
        assert_eq!(near("paht"), Some("path"));
        assert_eq!(near("colour"), None);
        assert_eq!(nearest("x", ["y"]), Some("y"));
    }
}
