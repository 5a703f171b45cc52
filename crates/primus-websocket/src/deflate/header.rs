//! What stands in `Sec-WebSocket-Extensions` (RFC 6455 §9.1): extensions with their parameters.

/// An extension as a client offers it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: Vec<(&'a str, Option<&'a str>)>,
}

/// The extensions of one header field. `None`: it is written wrong.
pub(super) fn parse(field: &str) -> Option<Vec<Extension<'_>>> {
    let mut rest = Rest(field);
    let mut extensions = Vec::new();
    loop {
        // A list may have empty places (RFC 9110 §5.6.1).
        while rest.eats(',') {}
        if rest.is_empty() {
            return Some(extensions);
        }
        let name = rest.token()?;
        let mut parameters = Vec::new();
        while rest.eats(';') {
            let name = rest.token()?;
            let value = if rest.eats('=') { Some(rest.value()?) } else { None };
            parameters.push((name, value));
        }
        extensions.push(Extension { name, parameters });
        if !rest.is_empty() && !rest.0.starts_with(',') {
            return None;
        }
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn is_empty(&mut self) -> bool {
        self.skip_space();
        self.0.is_empty()
    }

    fn eats(&mut self, sign: char) -> bool {
        self.skip_space();
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// RFC 9110 §5.6.2.
    fn token(&mut self) -> Option<&'a str> {
        self.skip_space();
        let is_token =
            |sign: char| sign.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(sign);
        let end = self.0.find(|sign| !is_token(sign)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip_space();
        (!token.is_empty()).then_some(token)
    }

    /// A token, in quotes or not. What has to be escaped is none.
    fn value(&mut self) -> Option<&'a str> {
        if !self.eats('"') {
            return self.token();
        }
        let token = self.token()?;
        self.0 = self.0.strip_prefix('"')?;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As it would be written without quotes and space.
    fn written(extensions: &[Extension<'_>]) -> String {
        let one = |extension: &Extension<'_>| {
            let parameters = extension.parameters.iter().map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            });
            extension.name.to_owned() + &parameters.collect::<String>()
        };
        extensions.iter().map(one).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn lists_are_read() {
        for (field, expected) in [
            ("", Some("")),
            (" , ,", Some("")),
            ("a", Some("a")),
            (" a ,\tb ", Some("a,b")),
            ("a; x; y=1, a;x = \"2\" ;z", Some("a;x;y=1,a;x=2;z")),
            ("a;", None),
            ("a;=1", None),
            ("a;x=", None),
            ("a b", None),
            ("a;x=\"1", None),
            ("a;x=\"\"", None),
            ("a;x=\"1 2\"", None),
            ("a;x=\"1\\2\"", None),
            ("é", None),
            (";x", None),
        ] {
            let read = parse(field).map(|extensions| written(&extensions));
            assert_eq!(read.as_deref(), expected, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_or_not(field in "[a;=,\" x1é]{0,30}") {
            if let Some(extensions) = parse(&field) {
                let again = written(&extensions);
                prop_assert_eq!(parse(&again), Some(extensions));
            }
        }
    }
}
