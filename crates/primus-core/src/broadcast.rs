//! One message to many: encoded once a parser, transformed once, framed once a wire form.

use std::{borrow::Borrow, convert::Infallible, sync::Arc};

use serde::Serialize;

use crate::{
    handle::Spark,
    id::SparkId,
    message::{Message, Payload},
    metrics,
    mount::Mount,
    packet::{Delivery, Outgoing, Packet},
    parser::{self, EncodeError, Parser},
    spark::Written,
    transform::Flow,
};

/// A selection of sparks to write to.
///
/// ```
/// # fn f(primus: &primus_core::Primus, spark: &primus_core::handle::Spark) -> Result<(), primus_core::EncodeError> {
/// let reached = primus.except(spark).write("everyone else reads this")?;
/// # Ok(()) }
/// ```
#[must_use = "a selection does nothing until something is written to it"]
pub struct Audience<'a> {
    mounts: Vec<&'a Mount>,
    except: Vec<SparkId>,
    delivery: Delivery,
}

impl<'a> Audience<'a> {
    pub(crate) fn new<M: Borrow<Mount>>(mounts: &'a [M]) -> Self {
        Self {
            mounts: mounts.iter().map(Borrow::borrow).collect(),
            except: Vec::new(),
            delivery: Delivery::Reliable,
        }
    }

    /// As [`Spark::volatile`]: who would have to wait for it does not get it.
    pub fn volatile(mut self) -> Self {
        self.delivery = Delivery::Volatile;
        self
    }

    /// As [`Spark::conflate`]: where an older message waits under this key, it makes room.
    pub fn conflate(mut self, key: impl Into<Arc<str>>) -> Self {
        self.delivery = Delivery::Latest(key.into());
        self
    }

    /// Leaves a spark out.
    pub fn except(mut self, spark: &Spark) -> Self {
        self.except.push(spark.id());
        self
    }

    /// Writes a value, encoded once for each parser in use. Returns how many sparks it was queued
    /// for. Never waits for any of them.
    ///
    /// # Errors
    /// When a parser cannot encode the value. Mounts with other parsers may have got it.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize, EncodeError> {
        self.send(|mount| {
            let payload = parser::encode(&*mount.settings().parser, value)?;
            mount.shared.counters.count_encoded();
            Ok(payload)
        })
    }

    /// Writes a payload as it is. Returns how many sparks it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        let payload = payload.into();
        let sent: Result<usize, Infallible> = self.send(|_| Ok(payload.clone()));
        sent.unwrap_or_else(|never| match never {})
    }

    fn send<E>(&self, encode: impl Fn(&Mount) -> Result<Payload, E>) -> Result<usize, E> {
        let mut prepared: Vec<(&Arc<dyn Parser>, Option<Prepared>)> = Vec::new();
        let mut reached = 0;
        for mount in &self.mounts {
            if mount.sessions() == 0 {
                continue;
            }
            let parser = &mount.settings().parser;
            let known = prepared.iter().position(|(other, _)| Arc::ptr_eq(other, parser));
            let index = match known {
                Some(index) => index,
                None => {
                    prepared.push((parser, Prepared::new(mount, encode(mount)?)));
                    prepared.len() - 1
                }
            };
            if let Some(prepared) = &prepared[index].1 {
                reached += self.push(mount, prepared);
            }
        }
        metrics::broadcast(reached);
        Ok(reached)
    }

    fn push(&self, mount: &Mount, prepared: &Prepared) -> usize {
        let transforms = &mount.shared.transforms;
        let shared = transforms.shared_prefix();
        let per_spark = shared < transforms.outgoing.len();
        let mut reached = 0;
        mount.registry.visit(|session| {
            if self.except.contains(&session.id()) {
                return true;
            }
            let outgoing = if per_spark {
                let mut own = prepared.message.clone();
                let spark = Spark::from_session(session);
                if transforms.run_for(shared, &spark, &mut own) == Flow::Drop {
                    return true;
                }
                Outgoing::Own(own.into())
            } else {
                Outgoing::Shared(Arc::clone(&prepared.packet))
            };
            let queued = matches!(
                session.push(outgoing, self.delivery.clone()),
                Ok(Written::Queued | Written::Pressured)
            );
            reached += usize::from(queued);
            true
        });
        if per_spark {
            metrics::per_spark(reached);
        }
        reached
    }
}

/// What all mounts with one parser share of a broadcast.
struct Prepared {
    message: Message,
    packet: Arc<Packet>,
}

impl Prepared {
    /// Runs the shared transforms; nothing is left if one of them drops the message.
    fn new(mount: &Mount, payload: Payload) -> Option<Self> {
        let shared = &mount.shared;
        let mut message = Message::new(payload, Arc::clone(&mount.settings().parser));
        if shared.transforms.run_shared(&mut message) == Flow::Drop {
            return None;
        }
        let packet = Packet::new(message.payload().clone(), Arc::clone(&shared.counters));
        Some(Self { message, packet: Arc::new(packet) })
    }
}
