//! Plugins: a bundle of server hooks and a piece of client script.

use std::sync::Arc;

use serde_json::Value;

use crate::{close::CloseReason, handle::Spark, message::Message, primus::Primus, transform::Flow};

/// Adds something to a server and to its generated client, as long as it is installed.
///
/// ```
/// use primus_core::{Flow, Message, Plugin, handle::Spark};
///
/// /// Drops what is empty, and says in the page's console that it is there.
/// struct Tidy;
///
/// impl Plugin for Tidy {
///     fn name(&self) -> &str {
///         "tidy"
///     }
///
///     fn incoming(&self, _: &Spark, message: &mut Message) -> Flow {
///         if message.payload().is_empty() { Flow::Drop } else { Flow::Pass }
///     }
///
///     fn client_script(&self) -> Option<&str> {
///         Some("() => console.log('tidy')")
///     }
/// }
/// # fn f(primus: &primus_core::Primus) -> Result<(), primus_core::PluginError> {
/// primus.plugins().add(Tidy)?;
/// assert!(primus.plugins().remove("tidy"));
/// # Ok(()) }
/// ```
///
/// Plugins are called in the order in which they were added. Each hook is called where its
/// message or spark is served, so it must not block.
pub trait Plugin: Send + Sync + 'static {
    /// A unique name.
    fn name(&self) -> &str;

    /// Called once when it is added, before its other hooks: the place for middleware and the
    /// like.
    fn install(&self, primus: &Primus) {
        let _ = primus;
    }

    /// Called once when it has been removed; takes back what [`install`](Self::install) did.
    fn uninstall(&self, primus: &Primus) {
        let _ = primus;
    }

    /// A JavaScript function expression, `function (primus, options, mine) { … }`, that the
    /// generated client calls for every connection object it makes: with that object, with the
    /// options it was made with, and with [`client_options`](Self::client_options). Asked once,
    /// when the plugin is added.
    fn client_script(&self) -> Option<&str> {
        None
    }

    /// What the client's function gets as its third argument. It is for everybody to read. Asked
    /// once, when the plugin is added.
    fn client_options(&self) -> Option<Value> {
        None
    }

    /// A new spark, before the connection handler. A panic ends the spark, as one of the handler.
    fn on_connection(&self, spark: &Spark) {
        let _ = spark;
    }

    /// A spark is over, before the application's `on_disconnection`. It may have come before the
    /// plugin did.
    fn on_disconnection(&self, spark: &Spark, reason: &CloseReason) {
        let _ = (spark, reason);
    }

    /// A message from a client, before the application's transforms. A panic is one of the
    /// handler.
    fn incoming(&self, spark: &Spark, message: &mut Message) -> Flow {
        let _ = (spark, message);
        Flow::Pass
    }

    /// A message on its way out, after the application's transforms. A broadcast passes it once,
    /// unless one of them looks at the spark; then it passes once for each receiver. A panic
    /// drops the message: what a plugin could not look at does not go out.
    fn outgoing(&self, message: &mut Message) -> Flow {
        let _ = message;
        Flow::Pass
    }
}

/// What is shared can be added, removed and added again.
impl<P: Plugin + ?Sized> Plugin for Arc<P> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn install(&self, primus: &Primus) {
        (**self).install(primus);
    }

    fn uninstall(&self, primus: &Primus) {
        (**self).uninstall(primus);
    }

    fn client_script(&self) -> Option<&str> {
        (**self).client_script()
    }

    fn client_options(&self) -> Option<Value> {
        (**self).client_options()
    }

    fn on_connection(&self, spark: &Spark) {
        (**self).on_connection(spark);
    }

    fn on_disconnection(&self, spark: &Spark, reason: &CloseReason) {
        (**self).on_disconnection(spark, reason);
    }

    fn incoming(&self, spark: &Spark, message: &mut Message) -> Flow {
        (**self).incoming(spark, message)
    }

    fn outgoing(&self, message: &mut Message) -> Flow {
        (**self).outgoing(message)
    }
}
