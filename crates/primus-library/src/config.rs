//! What a script is made from, and the object literal that carries it into the script.

use serde_json::{Map, Value, json};

/// The parser `msgpack`. The other built-in ones are so small that every client has them.
const MSGPACK: &str = include_str!("../client/msgpack.js");

/// What a [`Library`](crate::Library) is made from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LibraryConfig {
    /// The path of the mount, such as `/primus`.
    pub path: String,
    /// The modules of the client, in the order in which it tries them; see
    /// [`MODULES`](crate::MODULES). Or one of [`DIALECTS`](crate::DIALECTS), alone.
    pub transports: Vec<String>,
    /// The name of the global that the script makes. Default `Primus`.
    pub global: String,
    /// The name of the mount's parser. Default `json`.
    pub parser: String,
    /// The parser as a JavaScript expression, for one that the client does not know by its name.
    /// It knows `json`, `msgpack` and `raw`. Default: none.
    pub parser_script: Option<String>,
    /// What `Primus.version` says. Default: the version of this crate.
    pub version: String,
    /// Default options of every client of this script, under the names that the client knows.
    pub options: Map<String, Value>,
    /// What is called for every client, in this order.
    pub plugins: Vec<PluginScript>,
}

/// The client's half of a plugin.
///
/// ```
/// use primus_library::{Library, LibraryConfig, PluginScript};
/// use serde_json::json;
///
/// let mut config = LibraryConfig::new("/primus", ["websocket"]);
/// config.plugins = vec![
///     PluginScript::from("(primus) => …"),
///     PluginScript { script: "(primus, options, mine) => …".into(), options: Some(json!({ "a": 1 })) },
/// ];
/// let script = Library::new(config)?;
/// assert!(script.script().contains("[((primus) => …\n),[((primus, options, mine) => …\n),{\"a\":1}]]"));
/// # Ok::<(), primus_library::LibraryError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PluginScript {
    /// A function expression.
    pub script: String,
    /// What it is given as its third argument.
    pub options: Option<Value>,
}

impl From<&str> for PluginScript {
    fn from(script: &str) -> Self {
        Self { script: script.to_owned(), options: None }
    }
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
            parser_script: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options: Map::new(),
            plugins: Vec::new(),
        }
    }

    /// The configuration as one JavaScript expression. What the client takes for granted is left
    /// out: every page would have to load it.
    pub(crate) fn literal(&self) -> Result<String, LibraryError> {
        let data = |value: Value| embeddable(&value.to_string());
        let mut fields = Vec::new();
        let mut add = |name, value: String| fields.push(format!("\"{name}\":{value}"));
        add("path", data(json!(self.path)));
        add("transports", data(json!(self.transports)));
        if self.global != "Primus" {
            add("global", data(json!(self.global)));
        }
        if self.parser_script.is_some() || self.parser != "json" {
            add("parser", self.parser()?);
        }
        add("version", data(json!(self.version)));
        if !self.options.is_empty() {
            add("options", data(Value::Object(self.options.clone())));
        }
        if !self.plugins.is_empty() {
            let plugins = self.plugins.iter().enumerate().map(|(index, one)| plugin(index, one));
            add("plugins", format!("[{}]", plugins.collect::<Result<Vec<_>, _>>()?.join(",")));
        }
        Ok(format!("{{{}}}", fields.join(",")))
    }

    /// The name of a parser that is in every client, or the parser itself.
    fn parser(&self) -> Result<String, LibraryError> {
        let script = match &self.parser_script {
            Some(script) => script,
            None if self.parser == "msgpack" => MSGPACK,
            None => return Ok(embeddable(&json!(self.parser).to_string())),
        };
        expression(script).ok_or_else(|| LibraryError::EmptyParser(self.parser.clone()))
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
    /// A parser's script has no expression in it.
    #[error("the client script of the parser `{0}` is empty; return None from `client_script`")]
    EmptyParser(String),
}

/// JSON that is JavaScript in every browser (U+2028, U+2029) and cannot leave a `<script>` of a
/// page that has the script inline. All three characters stand in strings only.
fn embeddable(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A script in parentheses; the new line ends a comment that may stand last in it.
fn expression(script: &str) -> Option<String> {
    let script = script.trim().trim_end_matches(';').trim_end();
    (!script.is_empty()).then(|| format!("({script}\n)"))
}

fn plugin(index: usize, plugin: &PluginScript) -> Result<String, LibraryError> {
    let script = expression(&plugin.script).ok_or(LibraryError::EmptyPlugin(index + 1))?;
    Ok(match &plugin.options {
        Some(options) => format!("[{script},{}]", embeddable(&options.to_string())),
        None => script,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_has_what_differs_from_what_the_client_takes_for_granted() {
        let mut config = LibraryConfig::new("/primus", ["sse", "websocket"]);
        config.version = "1.2.3".to_owned();
        assert_eq!(
            config.literal().unwrap(),
            r#"{"path":"/primus","transports":["sse","websocket"],"version":"1.2.3"}"#
        );
        config.global = "Live".to_owned();
        config.parser = "raw".to_owned();
        config.options.insert("timeout".to_owned(), json!(false));
        config.plugins = ["function (primus) {};\n", "(p) => p // why"].map(Into::into).to_vec();
        assert_eq!(
            config.literal().unwrap(),
            concat!(
                r#"{"path":"/primus","transports":["sse","websocket"],"global":"Live","#,
                r#""parser":"raw","version":"1.2.3","options":{"timeout":false},"plugins":["#,
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
        config.plugins = ["() => {}", " ;\n"].map(Into::into).to_vec();
        assert_eq!(config.literal(), Err(LibraryError::EmptyPlugin(2)));
    }

    #[test]
    fn a_plugin_with_options_is_a_pair() {
        let mut config = LibraryConfig::new("/primus", ["sse"]);
        let options = Some(json!({ "</script>": ["\u{2028}"] }));
        config.plugins = vec![PluginScript { script: "f;".to_owned(), options }, "g".into()];
        let literal = config.literal().unwrap();
        let plugins = literal.split_once(r#","plugins":"#).unwrap().1;
        assert_eq!(plugins, "[[(f\n),{\"\\u003c/script>\":[\"\\u2028\"]}],(g\n)]}");
    }

    #[test]
    fn a_parser_is_its_name_or_an_expression() {
        let literal = |name: &str, script: Option<&str>| {
            let mut config = LibraryConfig::new("/primus", ["sse"]);
            config.parser = name.to_owned();
            config.parser_script = script.map(str::to_owned);
            let literal = config.literal()?;
            let (_, parser) = literal.split_once(r#","parser":"#).unwrap_or_default();
            Ok(parser.split(r#","version":"#).next().unwrap_or_default().to_owned())
        };
        assert_eq!(literal("json", None).unwrap(), "");
        assert_eq!(literal("raw", None).unwrap(), r#""raw""#);
        assert_eq!(literal("<ini>", None).unwrap(), r#""\u003cini>""#);
        assert_eq!(literal("ini", Some("{ a: 1 }; // x\n")).unwrap(), "({ a: 1 }; // x\n)");
        let msgpack = literal("msgpack", None).unwrap();
        assert_eq!(msgpack, format!("({}\n)", MSGPACK.trim().trim_end_matches(';')));
        assert_eq!(literal("msgpack", Some("mine;")).unwrap(), "(mine\n)");
        let empty = literal("ini", Some(";"));
        assert_eq!(empty, Err(LibraryError::EmptyParser("ini".to_owned())));
    }
}
