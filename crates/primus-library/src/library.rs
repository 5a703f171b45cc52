//! One script, and what is derived from it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{
    clients::{self, MODULES, TOKEN},
    config::{LibraryConfig, LibraryError},
    encoding::{self, Encoding},
    etag,
};

/// The client library of one mount. A cheap clone.
#[derive(Clone)]
pub struct Library {
    inner: Arc<Inner>,
}

struct Inner {
    script: Bytes,
    text: String,
    hash: String,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

impl Library {
    /// Assembles the script.
    ///
    /// # Errors
    /// When no transport has a client, a transport's client is not one of ours, or the script of a
    /// plugin or of the parser is empty.
    pub fn new(config: LibraryConfig) -> Result<Self, LibraryError> {
        let script = clients::script(&config.transports).ok_or_else(|| {
            let unknown = config.transports.iter().find(|name| !MODULES.contains(&&***name));
            unknown
                .map_or(LibraryError::NoTransport, |one| LibraryError::UnknownModule(one.clone()))
        })?;
        Ok(Self::from_template(script, &config.literal()?))
    }

    /// A script that only throws an error which says why there is no client. It is for mounts
    /// that browsers do not use: whoever loads it all the same learns the reason.
    pub fn unavailable(reason: &LibraryError) -> Self {
        let message = serde_json::Value::String(format!("primus.js: {reason}")).to_string();
        Self::from_script(format!("throw new Error({});\n", message.replace('<', "\\u003c")))
    }

    fn from_template(template: &str, literal: &str) -> Self {
        Self::from_script(template.replacen(TOKEN, literal, 1))
    }

    pub(crate) fn from_script(text: String) -> Self {
        let hash = etag::hash(&text);
        let script = Bytes::from(text.clone());
        let inner = Inner { script, text, hash, gzip: OnceLock::new(), brotli: OnceLock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// The script.
    pub fn script(&self) -> &str {
        &self.inner.text
    }

    /// The hash of the script: 32 hex digits, the same wherever the script is the same. It stands
    /// in the immutable URL, `primus.{hash}.js`.
    pub fn hash(&self) -> &str {
        &self.inner.hash
    }

    /// The entity tag of the script as it is: strong, with its quotes. Those of the encoded forms
    /// end in `-gzip` and `-br`.
    pub fn etag(&self) -> String {
        self.etag_of(Encoding::Identity)
    }

    /// The script, compressed by gzip as far as it goes. Made at the first call.
    pub fn gzip(&self) -> Bytes {
        self.inner.gzip.get_or_init(|| encoding::gzip(self.script())).clone()
    }

    /// The script, compressed by brotli as far as it goes. Made at the first call.
    pub fn brotli(&self) -> Bytes {
        self.inner.brotli.get_or_init(|| encoding::brotli(self.script())).clone()
    }

    pub(crate) fn etag_of(&self, encoding: Encoding) -> String {
        match encoding.name() {
            None => format!("\"{}\"", self.hash()),
            Some(name) => format!("\"{}-{name}\"", self.hash()),
        }
    }

    pub(crate) fn body(&self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Identity => self.inner.script.clone(),
            Encoding::Gzip => self.gzip(),
            Encoding::Brotli => self.brotli(),
        }
    }
}

/// The script.
impl std::fmt::Display for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.script())
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("hash", &self.hash()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_takes_the_place_of_the_token() {
        let library = Library::from_template("publish([ws],__PRIMUS_CONFIG__);", "{a:1}");
        assert_eq!(library.script(), "publish([ws],{a:1});");
        assert_eq!(library.hash(), etag::hash("publish([ws],{a:1});"));
        assert_eq!(library.etag(), format!("\"{}\"", library.hash()));
    }

    #[test]
    fn a_token_in_the_configuration_stays_what_it_is() {
        let library = Library::new(LibraryConfig::new("/__PRIMUS_CONFIG__", ["sse"])).unwrap();
        assert_eq!(library.script().matches(TOKEN).count(), 1);
    }

    #[test]
    fn the_order_of_the_transports_is_kept_and_does_not_choose_the_script() {
        let library = |transports: &[&'static str]| {
            let config = LibraryConfig::new("/primus", transports.iter().copied());
            Library::new(config).unwrap().script().to_owned()
        };
        let (one, other) = (library(&["sse", "websocket"]), library(&["websocket", "sse"]));
        let (first, second) = (r#"["sse","websocket"]"#, r#"["websocket","sse"]"#);
        assert!(one.contains(first) && other.contains(second));
        assert_eq!(one.replace(first, second), other);
        assert!(!one.contains(TOKEN));
    }

    #[test]
    fn what_cannot_be_served_says_what_to_do() {
        let none = Library::new(LibraryConfig::new("/primus", [""; 0])).unwrap_err();
        assert_eq!(
            none.to_string(),
            "no transformer of this mount has a client for browsers; \
             add \"websocket\", \"sse\" or \"polling\" to its transformers"
        );
        let pigeon = LibraryConfig::new("/primus", ["websocket", "pigeon"]);
        let unknown = Library::new(pigeon).unwrap_err();
        assert_eq!(unknown, LibraryError::UnknownModule("pigeon".to_owned()));
        assert_eq!(
            Library::unavailable(&none).script(),
            concat!(
                r#"throw new Error("primus.js: no transformer of this mount has a client for "#,
                r#"browsers; add \"websocket\", \"sse\" or \"polling\" to its transformers");"#,
                "\n"
            )
        );
    }
}
