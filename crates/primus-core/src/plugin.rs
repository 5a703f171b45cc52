//! Plugins: a bundle of server hooks and a piece of client script.

use crate::primus::Primus;

/// Adds something to a server and to its generated client.
pub trait Plugin: Send + Sync + 'static {
    /// A unique name.
    fn name(&self) -> &str;

    /// Hangs hooks into the server; called once, when it is built.
    fn install(&self, primus: &Primus) {
        let _ = primus;
    }

    /// A JavaScript function expression, `function (primus, options) { … }`, that the generated
    /// client calls for every connection object it makes.
    fn client_script(&self) -> Option<&str> {
        None
    }
}
