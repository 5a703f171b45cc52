//! What a script is made from, and the object literal that carries it into the script.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// What a [`Library`](crate::Library) is made from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LibraryConfig {
    /// The path of the mount, such as `/primus`.
    pub path: String,
    /// The modules of the client, in the order in which it tries them; see
    /// [`MODULES`](crate::MODULES).
    pub transports: Vec<String>,
    /// The name of the global that the script makes. Default `Primus`.
    pub global: String,
    /// The name of the mount's parser. Default `json`.
    pub parser: String,
    /// How often the server asks silent clients for a sign of life. Zero: never. Default 30 s.
    pub ping_interval: Duration,
    /// How long after that it gives them up. Default 10 s.
    pub ping_timeout: Duration,
    /// What `Primus.version` says. Default: the version of this crate.
    pub version: String,
    /// Default options of every client of this script, under the names that the client knows.
    pub options: Map<String, Value>,
    /// Function expressions that are called for every client, in this order.
    pub plugins: Vec<String>,
}

impl LibraryConfig {
    /// A script for the mount at `path` that speaks `transports`, with defaults for the rest.
    pub fn new(
        path: impl Into<String>,
        transports: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            path: path.into(),
            transports: transports.into_iter().map(Into::into).collect(),
            global: "Primus".to_owned(),
            parser: "json".to_owned(),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options: Map::new(),
            plugins: Vec::new(),
        }
    }

    /// The configuration as one JavaScript expression.
    pub(crate) fn literal(&self) -> Result<String, LibraryError> {
        let mut fields = [
            ("path", json!(self.path)),
            ("transports", json!(self.transports)),
            ("global", json!(self.global)),
            ("parser", json!(self.parser)),
            ("ping", json!(milliseconds(self.ping_interval))),
            ("timeout", json!(milliseconds(self.ping_timeout))),
            ("version", json!(self.version)),
            ("options", Value::Object(self.options.clone())),
        ]
        .map(|(name, value)| format!("\"{name}\":{}", embeddable(&value.to_string())))
        .join(",");
        let plugins = self.plugins.iter().enumerate().map(|(index, script)| plugin(index, script));
        fields.push_str(",\"plugins\":[");
        fields.push_str(&plugins.collect::<Result<Vec<_>, _>>()?.join(","));
        fields.push(']');
        Ok(format!("{{{fields}}}"))
    }
}

/// Why there is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// Nothing that a browser's client could speak.
    #[error(
        "no transformer of this mount has a client for browsers; add \"websocket\", \"sse\" or \"polling\" to its transformers"
    )]
    NoTransport,
    /// A module that the embedded client does not have.
    #[error(
        "the client has no module `{0}`, only `websocket`, `sse` and `polling`; return None from `client_module` and let your users load their own script"
    )]
    UnknownModule(String),
    /// A plugin's script has no expression in it.
    #[error("the client script of plugin number {0} is empty; return None from `client_script`")]
    EmptyPlugin(usize),
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// JSON that is JavaScript in every browser (U+2028, U+2029) and cannot leave a `<script>` of a
/// page that has the script inline. All three characters stand in strings only.
fn embeddable(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A script in parentheses; the new line ends a comment that may stand last in it.
fn plugin(index: usize, script: &str) -> Result<String, LibraryError> {
    let script = script.trim().trim_end_matches(';').trim_end();
    if script.is_empty() {
        return Err(LibraryError::EmptyPlugin(index + 1));
    }
    Ok(format!("({script}\n)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_has_every_field_in_order() {
        let mut config = LibraryConfig::new("/primus", ["sse", "websocket"]);
        config.version = "1.2.3".to_owned();
        config.options.insert("timeout".to_owned(), json!(false));
        config.plugins = vec!["function (primus) {};\n".to_owned(), "(p) => p // why".to_owned()];
        assert_eq!(
            config.literal().unwrap(),
            concat!(
                r#"{"path":"/primus","transports":["sse","websocket"],"global":"Primus","#,
                r#""parser":"json","ping":30000,"timeout":10000,"version":"1.2.3","#,
                r#""options":{"timeout":false},"plugins":["#,
                "(function (primus) {}\n),((p) => p // why\n)]}"
            )
        );
    }

    #[test]
    fn nothing_in_it_can_end_a_script_element_or_a_string() {
        let mut config = LibraryConfig::new("/</script><!--\u{2028}\u{2029}\"\\", ["sse"]);
        config.options.insert("</script>".to_owned(), json!({ "a": ["<"] }));
        let literal = config.literal().unwrap();
        assert!(!literal.contains(['<', '\u{2028}', '\u{2029}']), "{literal}");
        assert!(literal.starts_with(r#"{"path":"/\u003c/script>\u003c!--\u2028\u2029\"\\","#));
        let back: Value = serde_json::from_str(&literal).unwrap();
        assert_eq!(back["path"], json!(config.path));
        assert_eq!(back["options"], json!({ "</script>": { "a": ["<"] } }));
    }

    #[test]
    fn an_empty_plugin_is_named_by_its_number() {
        let mut config = LibraryConfig::new("/primus", ["sse"]);
        config.plugins = vec!["() => {}".to_owned(), " ;\n".to_owned()];
        assert_eq!(config.literal(), Err(LibraryError::EmptyPlugin(2)));
    }
}
