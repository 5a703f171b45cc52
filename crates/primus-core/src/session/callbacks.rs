//! Callbacks of one spark, in the Primus manner: `on_data`, `on_end`, `on_error`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{close::CloseReason, handle::Spark, message::Message};

pub(crate) type OnData = Arc<dyn Fn(&Spark, Message) + Send + Sync>;
pub(crate) type OnEnd = Box<dyn FnOnce(&Spark, &CloseReason) + Send>;

/// Nothing is allocated until one is set.
#[derive(Default)]
pub struct Callbacks(Option<Box<Set>>);

#[derive(Default)]
struct Set {
    data: Option<OnData>,
    end: Option<OnEnd>,
    error: Option<OnEnd>,
}

impl Callbacks {
    pub(crate) fn data(&self) -> Option<OnData> {
        self.0.as_ref()?.data.clone()
    }

    pub(crate) fn set_data(&mut self, data: OnData) {
        self.0.get_or_insert_default().data = Some(data);
    }

    pub(crate) fn set_end(&mut self, end: OnEnd) {
        self.0.get_or_insert_default().end = Some(end);
    }

    pub(crate) fn set_error(&mut self, error: OnEnd) {
        self.0.get_or_insert_default().error = Some(error);
    }

    /// Tells the end: first as an error if it was one, then as the end.
    pub(crate) fn announce(self, spark: &Spark, reason: &CloseReason) {
        let failed = !matches!(reason.code(), 1000 | 1001 | 4000..=4003);
        let Some(set) = self.0 else { return };
        for callback in [set.error.filter(|_| failed), set.end].into_iter().flatten() {
            // One that panics does not keep the others from hearing it.
            if catch_unwind(AssertUnwindSafe(|| callback(spark, reason))).is_err() {
                tracing::error!(spark = %spark.id(), "a callback of the end panicked");
            }
        }
    }
}
