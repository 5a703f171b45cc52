//! The function of the page that an answer calls.

use primus_core::Query;

/// A function's name, put into scripts as it is: so it has letters, digits and `-_.` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback(Box<str>);

/// Why there is none. What is said is what other servers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// None is named.
    #[error("\"callback\" parameter required")]
    Missing,
    /// What is named is none.
    #[error("invalid \"callback\" parameter")]
    Invalid,
}

/// A name that is longer could be a program for something that is not JavaScript.
pub const LONGEST: usize = 32;

impl Callback {
    /// The one that a query names, as `c` or `callback`.
    ///
    /// # Errors
    /// When there is none, or it is not a name of at most `longest` bytes.
    pub fn of(query: &Query, longest: usize) -> Result<Self, CallbackError> {
        let name = query.get("c").or_else(|| query.get("callback")).unwrap_or_default();
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() {
            Err(CallbackError::Missing)
        } else if name.len() <= longest && name.bytes().all(sign) {
            Ok(Self(name.into()))
        } else {
            Err(CallbackError::Invalid)
        }
    }

    /// As it was named.
    pub fn name(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_programs_are_not() {
        let read = |query| Callback::of(&Query::parse(query), LONGEST).map(|it| it.0.to_string());
        assert_eq!(read("c=%63allback"), Ok("callback".to_owned()));
        assert_eq!(read("callback=_jp.a-1"), Ok("_jp.a-1".to_owned()));
        for missing in ["", "c=", "d=x"] {
            assert_eq!(read(missing), Err(CallbackError::Missing), "{missing}");
        }
        let long = format!("c={}", "x".repeat(33));
        for bad in
            ["c=%20", "c=*", "c=abc(", "c=abc%28", "c=<script>", "c=alert(1)//", "c=%C3%A9", &long]
        {
            assert_eq!(read(bad), Err(CallbackError::Invalid), "{bad}");
        }
    }
}
