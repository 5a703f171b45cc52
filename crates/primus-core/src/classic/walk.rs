//! Steps over a JSON text without building anything of it.

use serde::de::IgnoredAny;

/// Where one is in a JSON text.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn left(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let left = self.left();
        self.at += left.len() - left.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Steps over this character, if it is the next.
    pub(super) fn eat(&mut self, expected: char) -> Option<()> {
        self.skip_space();
        self.left().starts_with(expected).then(|| self.at += expected.len_utf8())
    }

    /// Steps over a whole value, and gives its text.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        let left = self.left();
        let mut values = serde_json::Deserializer::from_str(left).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let end = values.byte_offset();
        self.at += end;
        left.get(..end)
    }

    /// The same, of a string: what it says.
    pub(super) fn string(&mut self) -> Option<String> {
        self.skip_space();
        // Nothing long is stepped over in vain.
        if !self.left().starts_with('"') {
            return None;
        }
        serde_json::from_str(self.value()?).ok()
    }

    /// Nothing follows but space.
    pub(super) fn end(mut self) -> Option<()> {
        self.skip_space();
        self.left().is_empty().then_some(())
    }
}

/// Whether this is one JSON value and nothing else.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
