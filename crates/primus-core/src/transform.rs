//! Message transforms: hooks that change, pass or drop messages on their way in or out.
//!
//! They run in the order in which they were added, on every path: a redacting transform cannot be
//! bypassed by a broadcast. Control messages are not messages and do not pass through here.

use std::sync::Arc;

use crate::{handle::Spark, message::Message, plugins::Installed, request::BoxFuture};

/// What becomes of a message after a transform has seen (and perhaps changed) it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Pass,
    /// It is dropped silently.
    Drop,
}

type InSync = Box<dyn Fn(&Spark, &mut Message) -> Flow + Send + Sync>;
type InAsync = Box<dyn Fn(Spark, Message) -> BoxFuture<'static, Option<Message>> + Send + Sync>;
type OutShared = Box<dyn Fn(&mut Message) -> Flow + Send + Sync>;
type OutPerSpark = Box<dyn Fn(&Spark, &mut Message) -> Flow + Send + Sync>;

/// One incoming transform.
pub enum Incoming {
    /// Runs in place.
    Sync(InSync),
    /// May await; messages behind it wait, so order is kept.
    Async(InAsync),
}

/// One outgoing transform.
pub enum Outgoing {
    /// Sees the message only; a broadcast runs it once.
    Shared(OutShared),
    /// Looks at the spark; takes its sparks out of the shared frame of a broadcast, from here on.
    PerSpark(OutPerSpark),
}

/// All transforms of one Primus.
#[derive(Default)]
pub struct Transforms {
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) outgoing: Vec<Outgoing>,
    /// Plugins stand around the transforms: the first on the way in, the last on the way out.
    pub(crate) plugins: Arc<Installed>,
}

impl Transforms {
    /// Adds an incoming transform at the end.
    pub fn incoming(&mut self, transform: Incoming) {
        self.incoming.push(transform);
    }

    /// Adds an outgoing transform at the end.
    pub fn outgoing(&mut self, transform: Outgoing) {
        self.outgoing.push(transform);
    }

    /// How many outgoing transforms a broadcast can run once: those before the first that looks
    /// at the spark.
    pub(crate) fn shared_prefix(&self) -> usize {
        self.outgoing
            .iter()
            .position(|transform| matches!(transform, Outgoing::PerSpark(_)))
            .unwrap_or(self.outgoing.len())
    }

    /// Whether nothing looks at what comes in.
    #[inline]
    pub(crate) fn lets_in(&self) -> bool {
        self.incoming.is_empty() && self.plugins.is_empty()
    }

    /// Whether nothing looks at what goes out.
    #[inline]
    pub(crate) fn lets_out(&self) -> bool {
        self.outgoing.is_empty() && self.plugins.is_empty()
    }

    pub(crate) fn run_shared(&self, message: &mut Message) -> Flow {
        let shared = self.shared_prefix();
        for transform in &self.outgoing[..shared] {
            if let Outgoing::Shared(transform) = transform
                && transform(message) == Flow::Drop
            {
                return Flow::Drop;
            }
        }
        if shared == self.outgoing.len() { self.plugins.outgoing(message) } else { Flow::Pass }
    }

    pub(crate) fn run_for(&self, from: usize, spark: &Spark, message: &mut Message) -> Flow {
        for transform in &self.outgoing[from..] {
            let flow = match transform {
                Outgoing::Shared(transform) => transform(message),
                Outgoing::PerSpark(transform) => transform(spark, message),
            };
            if flow == Flow::Drop {
                return Flow::Drop;
            }
        }
        self.plugins.outgoing(message)
    }
}
