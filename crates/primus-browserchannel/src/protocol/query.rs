//! What a request asks for, by its query.

use primus_core::Query;

use super::chunk::Form;

/// The version that is spoken.
const VERSION: &str = "8";

/// What is wrong with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It is of another version, or of none.
    #[error("Version 8 required")]
    Version,
    /// A number is missing or none: decimal, from 0 to 2^53.
    #[error("Bad {0}: a number is expected, from 0 to 2^53")]
    Number(&'static str),
    /// Who opens no session names one.
    #[error("SID is missing: this request is for a session")]
    NoSession,
    /// What comes by GET is no forward channel.
    #[error("Expected RPC: RID has to be `rpc` for a back channel")]
    ExpectedRpc,
    /// There are three types.
    #[error("Bad TYPE: it has to be `xmlhttp`, `html` or `terminate`")]
    Type,
    /// The test has two phases.
    #[error("Bad test: either MODE is `init`, or TYPE is `xmlhttp` or `html`")]
    Test,
    /// It would be a program, or is none of this world.
    #[error("Bad DOMAIN: letters, digits, dots and hyphens are expected")]
    Domain,
}

/// A number as clients write it.
pub fn number(query: &Query, name: &'static str) -> Result<u64, QueryError> {
    query.get(name).and_then(decimal).ok_or(QueryError::Number(name))
}

/// The same, where it may be missing.
pub fn optional(query: &Query, name: &'static str) -> Result<Option<u64>, QueryError> {
    query.get(name).map(|_| number(query, name)).transpose()
}

pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= 1 << 53)
}

/// That it is of our version.
///
/// # Errors
/// When it is not.
pub fn version(query: &Query) -> Result<(), QueryError> {
    if query.get("VER") == Some(VERSION) { Ok(()) } else { Err(QueryError::Version) }
}

/// In which form an answer is wanted, errors included.
pub fn form(query: &Query) -> Form {
    if query.get("TYPE") == Some("html") { Form::Html } else { Form::Xhr }
}

/// The domain that a page is to be of.
///
/// # Errors
/// When it is none.
pub fn domain(query: &Query) -> Result<Option<&str>, QueryError> {
    let domain = query.get("DOMAIN").filter(|domain| !domain.is_empty());
    let of_domains = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    match domain {
        Some(domain) if domain.len() > 253 || !domain.bytes().all(of_domains) => {
            Err(QueryError::Domain)
        }
        domain => Ok(domain),
    }
}

/// The phases of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Which hosts there are.
    Hosts,
    /// Whether something between us holds answers back until they are whole.
    Buffering,
}

/// Which phase is asked for.
///
/// # Errors
/// When it is none, or of another version.
pub fn test(query: &Query) -> Result<Test, QueryError> {
    version(query)?;
    match (query.get("MODE"), query.get("TYPE")) {
        (Some("init"), _) => Ok(Test::Hosts),
        (None, Some("xmlhttp" | "html")) => Ok(Test::Buffering),
        _ => Err(QueryError::Test),
    }
}

/// What is bound by `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Get {
    /// The back channel.
    Back {
        /// How it is read.
        form: Form,
        /// The domain of the page.
        domain: Option<Box<str>>,
        /// Whether it ends behind the first chunk.
        once: bool,
        /// The last array that the client has.
        aid: u64,
    },
    /// The client ends the session, by the request of this number.
    Terminate {
        /// Its number.
        rid: u64,
        /// The last array that the client has, if it says.
        aid: Option<u64>,
    },
}

/// What is asked for by `GET`.
///
/// # Errors
/// When it is nothing that there is.
pub fn get(query: &Query) -> Result<Get, QueryError> {
    match query.get("TYPE") {
        Some("terminate") => {
            Ok(Get::Terminate { rid: number(query, "RID")?, aid: optional(query, "AID")? })
        }
        Some("xmlhttp" | "html") if query.get("RID") != Some("rpc") => Err(QueryError::ExpectedRpc),
        Some("xmlhttp" | "html") => Ok(Get::Back {
            form: form(query),
            domain: domain(query)?.map(Into::into),
            once: query.get("CI") != Some("0"),
            aid: number(query, "AID")?,
        }),
        _ => Err(QueryError::Type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(query: &str) -> Result<Get, QueryError> {
        get(&Query::parse(query))
    }

    #[test]
    fn back_channels_and_ends() {
        let back = |form, domain: Option<&str>, once, aid| {
            Ok(Get::Back { form, domain: domain.map(Into::into), once, aid })
        };
        assert_eq!(got("RID=rpc&CI=0&AID=3&TYPE=xmlhttp"), back(Form::Xhr, None, false, 3));
        assert_eq!(
            got("RID=rpc&CI=1&AID=0&TYPE=html&DOMAIN=a.test"),
            back(Form::Html, Some("a.test"), true, 0)
        );
        assert_eq!(got("RID=7&TYPE=terminate"), Ok(Get::Terminate { rid: 7, aid: None }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (query, error) in [
            ("RID=rpc&AID=0", QueryError::Type),
            ("RID=rpc&AID=0&TYPE=constructor", QueryError::Type),
            ("RID=5&AID=0&TYPE=xmlhttp", QueryError::ExpectedRpc),
            ("RID=rpc&TYPE=xmlhttp", QueryError::Number("AID")),
            ("RID=rpc&AID=-1&TYPE=xmlhttp", QueryError::Number("AID")),
            ("RID=rpc&AID=1e3&TYPE=xmlhttp", QueryError::Number("AID")),
            ("RID=rpc&AID=9007199254740993&TYPE=xmlhttp", QueryError::Number("AID")),
            ("RID=rpc&AID=0&TYPE=html&DOMAIN=%22)alert(1)//", QueryError::Domain),
            ("RID=x&TYPE=terminate", QueryError::Number("RID")),
        ] {
            assert_eq!(got(query), Err(error), "{query}");
        }
        for (query, answer) in [
            ("VER=8&MODE=init", Ok(Test::Hosts)),
            ("VER=8&TYPE=html", Ok(Test::Buffering)),
            ("VER=7&MODE=init", Err(QueryError::Version)),
            ("MODE=init", Err(QueryError::Version)),
            ("VER=8&TYPE=x", Err(QueryError::Test)),
            ("VER=8", Err(QueryError::Test)),
        ] {
            assert_eq!(test(&Query::parse(query)), answer, "{query}");
        }
    }
}
