//! Channels: named sub-applications that share the sessions of a server. The root is one of them.

mod pattern;
mod rooms;
mod rules;
mod seat;
mod setting;
mod sparks;
mod visit;

use std::{
    collections::HashMap,
    sync::{Arc, RwLock, Weak, atomic::AtomicUsize},
};

pub(crate) use self::{pattern::Pattern, rules::Rules, seat::Seat, visit::Visit};
pub use self::{rules::ChannelRequest, setting::ChannelRules};
use crate::{handle::Spark, id::SparkId, rooms::Rooms, shared::Shared};

/// A sub-application with handlers, rooms and sparks of its own, over the sessions that are there. A
/// cheap clone. Made by [`Primus::channel`](crate::Primus::channel).
///
/// ```
/// # fn f(primus: &primus_core::Primus) -> Result<(), primus_core::NameError> {
/// use primus_core::{ChannelRequest, Rejection, handle::Spark};
/// let admin = primus.channel("/admin")?;
/// admin.authorize(async |request: ChannelRequest| match request.auth["secret"].as_str() {
///     Some("xyzzy") => Ok("root".to_owned()),
///     _ => Err(Rejection::forbidden("who are you?")),
/// });
/// admin.on("shutdown", async |spark: Spark, (): ()| {
///     println!("{:?} wants to go home", spark.user::<String>());
/// })?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    /// Empty: the root.
    name: Box<str>,
    /// Whether it is one of those that a pattern stands for.
    dynamic: bool,
    rules: ChannelRules,
    rooms: Rooms,
    /// Of every channel but the root, whose sparks the mounts know.
    sparks: RwLock<HashMap<SparkId, Spark>>,
    /// Sessions that are in it, or about to enter.
    visits: AtomicUsize,
    shared: Weak<Shared>,
}
