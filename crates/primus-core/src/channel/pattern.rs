//! Patterns of names of channels.

/// A name with `*` in it, each of which stands for one character or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Box<str>);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let (first, rest) = self.0.split_once('*').unwrap_or((&self.0, ""));
        let Some(mut left) = name.strip_prefix(first) else { return false };
        if !self.0.contains('*') {
            return left.is_empty();
        }
        let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(m, l)| (Some(m), l));
        // From the left, each as early as it can be; that leaves the most for the rest.
        for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
            let Some((_, behind)) = after_one(left).and_then(|left| left.split_once(part)) else {
                return false;
            };
            left = behind;
        }
        after_one(left).is_some_and(|left| left.ends_with(last))
    }
}

/// What is behind the first character.
fn after_one(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_character_or_more() {
        for (pattern, name, matches) in [
            ("/doc/*", "/doc/7", true),
            ("/doc/*", "/doc/", false),
            ("/doc/*", "/docs", false),
            ("/doc/*/edit", "/doc/7/edit", true),
            ("/doc/*/edit", "/doc//edit", false),
            ("/doc/*/edit", "/doc/7/edits", false),
            ("*", "x", true),
            ("*", "", false),
            ("*-*", "a-b", true),
            ("*-*", "-b", false),
            ("*-*", "a-", false),
            ("*-*-*", "a-b-c", true),
            ("*-*-*", "a--c", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1b2b3c", true),
            ("☃*", "☃é", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }
}
