//! The rules that options have to keep, each with an error that says where it was broken.

use std::time::Duration;

use http::HeaderName;
use primus_http::{Network, Origins};

use crate::{
    config::Config,
    error::{At, BuildError},
};

impl Config {
    pub(crate) fn at(&self, key: &str) -> At {
        At(self.sources.get(key).cloned())
    }

    pub(crate) fn invalid(&self, key: &str, problem: impl Into<String>) -> BuildError {
        BuildError::Invalid { at: self.at(key), key: key.to_owned(), problem: problem.into() }
    }

    pub(crate) fn at_least(&self, key: &str, value: usize, least: usize) -> Result<(), BuildError> {
        if value >= least {
            return Ok(());
        }
        Err(self.invalid(key, format!("is {value}; it must be at least {least}")))
    }

    pub(crate) fn lasts(&self, key: &str, value: Duration) -> Result<(), BuildError> {
        if !value.is_zero() {
            return Ok(());
        }
        Err(self.invalid(key, "is 0, which leaves no time; it must be longer"))
    }

    /// Some of what is sent has to be kept; who wants nothing kept says so by another option.
    pub(crate) fn keeps(&self, key: &str, value: usize) -> Result<(), BuildError> {
        if value > 0 {
            return Ok(());
        }
        let problem = "is 0; it must be at least 1. To keep nothing, set `resume_window` to 0";
        Err(self.invalid(key, problem))
    }

    /// What all sessions may keep together has to be enough for one of them.
    pub(crate) fn within_budget(&self, key: &str, bytes: usize) -> Result<(), BuildError> {
        let budget = self.resume_budget;
        if bytes <= budget {
            return Ok(());
        }
        // To blame is what somebody has set.
        if self.sources.contains_key(key) {
            let problem = format!("is {bytes}, more than `resume_budget`, {budget}");
            return Err(self.invalid(key, problem));
        }
        let problem = format!("is {budget}, less than `{key}`, {bytes}, that one session may keep");
        Err(self.invalid("resume_budget", problem))
    }

    /// The rules for the options of the whole server.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if !self.ping_interval.is_zero() {
            self.lasts("ping_timeout", self.ping_timeout)?;
        }
        self.lasts("handshake_timeout", self.handshake_timeout)?;
        self.at_least("max_headers", self.max_headers, 1)?;
        self.at_least("max_header_bytes", self.max_header_bytes, 8 << 10)?;
        self.at_least("max_connections", self.max_connections, 1)?;
        let per_address = self.max_connections_per_address;
        self.at_least("max_connections_per_address", per_address, 1)?;
        self.at_least("max_pending", self.max_pending, 1)?;
        self.lasts("end.deadline", self.end.deadline)?;
        if !is_identifier(&self.global) {
            let problem = format!("is {:?}, which is no name in JavaScript", self.global);
            return Err(self.invalid("global", problem));
        }
        match (&self.tls.cert, &self.tls.key) {
            (Some(_), None) => return Err(self.invalid("tls.cert", "needs `tls.key` as well")),
            (None, Some(_)) => return Err(self.invalid("tls.key", "needs `tls.cert` as well")),
            (Some(_), Some(_)) if !cfg!(feature = "tls") => {
                let problem = "needs the feature `tls` of primus-rs, which is not built in";
                return Err(self.invalid("tls.cert", problem));
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn header_names(&self) -> Result<Vec<HeaderName>, BuildError> {
        let parse = |name: &String| {
            name.parse().map_err(|_| {
                self.invalid("keep_headers", format!("has {name:?}, which is no header's name"))
            })
        };
        self.keep_headers.iter().map(parse).collect()
    }

    pub(crate) fn http_options(&self) -> Result<primus_http::Options, BuildError> {
        let mut options = primus_http::Options::default();
        options.origins = Origins::list(&self.origins)
            .map_err(|error| self.invalid("origins", format!("is wrong: {error}")))?;
        let network = |text: &String| {
            text.parse::<Network>()
                .map_err(|error| self.invalid("trusted_proxies", format!("is wrong: {error}")))
        };
        options.trusted_proxies =
            self.trusted_proxies.iter().map(network).collect::<Result<_, _>>()?;
        options.max_headers = self.max_headers;
        options.max_header_bytes = self.max_header_bytes;
        options.handshake_timeout = self.handshake_timeout;
        options.http2 = self.http2;
        Ok(options)
    }
}

/// A name that can stand behind `new`, in ASCII.
fn is_identifier(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|byte| letter(byte) || byte.is_ascii_digit())
}
