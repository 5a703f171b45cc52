//! The function of the page that an answer calls.

use primus_core::request::in_script;

/// The name of a function, put into scripts as it is: identifiers with dots between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback(Box<str>);

/// Longer ones are programs for something else.
const LONGEST: usize = 128;

impl Callback {
    /// Reads a name; nothing if it is none.
    ///
    /// ```
    /// use primus_bayeux::protocol::callback::Callback;
    /// assert!(Callback::read("__jsonp1__").is_some() && Callback::read("a.$b").is_some());
    /// assert!(Callback::read("alert(1)").is_none() && Callback::read("a..b").is_none());
    /// ```
    pub fn read(name: &str) -> Option<Self> {
        let first = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
        let identifier = |part: &str| {
            part.bytes().next().is_some_and(first)
                && part.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
        };
        (name.len() <= LONGEST && name.split('.').all(identifier)).then(|| Self(name.into()))
    }

    /// The script that calls it with this JSON.
    pub fn call(&self, json: &str) -> String {
        format!("/**/{}({});", self.0, in_script(json))
    }
}

impl Default for Callback {
    fn default() -> Self {
        Self("jsonpcallback".into())
    }
}
