//! One message to many: encoded once a parser, transformed once, framed once a wire form.

use std::{borrow::Borrow, sync::Arc};

use serde::Serialize;

use crate::{
    handle::Spark,
    id::SparkId,
    message::{Message, Payload},
    metrics,
    mount::Mount,
    packet::{Outgoing, Packet},
    parser::{self, EncodeError, Parser},
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
}

impl<'a> Audience<'a> {
    pub(crate) fn new<M: Borrow<Mount>>(mounts: &'a [M]) -> Self {
        Self { mounts: mounts.iter().map(Borrow::borrow).collect(), except: Vec::new() }
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
        let mut encoded: Vec<(&Arc<dyn Parser>, Payload)> = Vec::new();
        let mut reached = 0;
        for mount in &self.mounts {
            if mount.sessions() == 0 {
                continue;
            }
            let parser = &mount.settings().parser;
            let payload = match encoded.iter().find(|(other, _)| Arc::ptr_eq(other, parser)) {
                Some((_, payload)) => payload.clone(),
                None => {
                    let payload = parser::encode(&**parser, value)?;
                    mount.shared.counters.count_encoded();
                    encoded.push((parser, payload.clone()));
                    payload
                }
            };
            reached += self.send(mount, payload);
        }
        metrics::broadcast(reached);
        Ok(reached)
    }

    /// Writes a payload as it is. Returns how many sparks it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        let payload = payload.into();
        let reached = self.mounts.iter().map(|mount| self.send(mount, payload.clone())).sum();
        metrics::broadcast(reached);
        reached
    }

    fn send(&self, mount: &Mount, payload: Payload) -> usize {
        let transforms = &mount.shared.transforms;
        let mut message = Message::new(payload, Arc::clone(&mount.settings().parser));
        if transforms.run_shared(&mut message) == Flow::Drop {
            return 0;
        }
        let shared = transforms.shared_prefix();
        let counters = Arc::clone(&mount.shared.counters);
        let packet = Arc::new(Packet::new(message.payload().clone(), counters));
        let per_spark = shared < transforms.outgoing.len();
        let mut reached = 0;
        mount.registry.visit(|session| {
            if self.except.contains(&session.id()) {
                return true;
            }
            let outgoing = if per_spark {
                let mut own = message.clone();
                let spark = Spark::from_session(session);
                if transforms.run_for(shared, &spark, &mut own) == Flow::Drop {
                    return true;
                }
                Outgoing::Own(own.into())
            } else {
                Outgoing::Shared(Arc::clone(&packet))
            };
            reached += usize::from(session.push(outgoing).is_ok());
            true
        });
        if per_spark {
            metrics::per_spark(reached);
        }
        reached
    }
}
