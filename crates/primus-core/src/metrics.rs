//! Metrics through the `metrics` facade. Label sets are small and closed: never a room, a user or an id.

#[cfg(feature = "metrics")]
pub(crate) use on::*;

#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;

#[cfg(feature = "metrics")]
mod on {
    use std::time::Duration;

    use metrics::{Counter, Histogram, counter, gauge, histogram};

    use crate::close::CloseReason;

    /// Handles of one transformer's message counters, looked up once.
    #[derive(Debug)]
    pub(crate) struct Meters {
        transport: &'static str,
        messages_in: Counter,
        messages_out: Counter,
        bytes_in: Counter,
        bytes_out: Counter,
        message_bytes: Histogram,
    }

    impl Meters {
        pub(crate) fn new(transport: &'static str) -> Self {
            Self {
                transport,
                messages_in: counter!("primus_messages_in_total", "transport" => transport),
                messages_out: counter!("primus_messages_out_total", "transport" => transport),
                bytes_in: counter!("primus_bytes_in_total", "transport" => transport),
                bytes_out: counter!("primus_bytes_out_total", "transport" => transport),
                message_bytes: histogram!("primus_message_bytes", "transport" => transport),
            }
        }

        pub(crate) fn transport(&self) -> &'static str {
            self.transport
        }

        pub(crate) fn received(&self, bytes: usize) {
            self.messages_in.increment(1);
            self.bytes_in.increment(bytes as u64);
            self.message_bytes.record(bytes as f64);
        }

        pub(crate) fn sent(&self, messages: u64, bytes: usize) {
            if messages > 0 {
                self.messages_out.increment(messages);
                self.bytes_out.increment(bytes as u64);
            }
        }

        pub(crate) fn dropped(&self, policy: &'static str) {
            counter!("primus_send_queue_dropped_total", "policy" => policy).increment(1);
            if policy == "disconnect" {
                counter!("primus_slow_consumers_total").increment(1);
            }
        }
    }

    pub(crate) fn connections(transport: &'static str, change: i8) {
        gauge!("primus_connections", "transport" => transport).increment(f64::from(change));
    }

    pub(crate) fn connect(result: &'static str) {
        counter!("primus_connects_total", "result" => result).increment(1);
    }

    pub(crate) fn auth_failure(status: u16) {
        counter!("primus_auth_failures_total", "reason" => status.to_string()).increment(1);
    }

    pub(crate) fn disconnect(reason: &CloseReason) {
        // The code, not the text: an application's text is not a closed set.
        let code = match reason.code() {
            code @ (1000..=1015 | 4000..=4006 | 4400) => code.to_string(),
            _ => "other".to_owned(),
        };
        counter!("primus_disconnects_total", "reason" => code).increment(1);
        match reason.code() {
            1008 => limit("max_fragments"),
            1009 => limit("max_message"),
            4005 => limit("max_queued"),
            _ => {}
        }
    }

    pub(crate) fn sessions(change: i8) {
        gauge!("primus_sessions", "state" => "open").increment(f64::from(change));
    }

    pub(crate) fn handshake(took: Duration) {
        histogram!("primus_handshake_seconds").record(took.as_secs_f64());
    }

    pub(crate) fn limit(limit: &'static str) {
        counter!("primus_limit_hits_total", "limit" => limit).increment(1);
    }

    pub(crate) fn broadcast(reached: usize) {
        histogram!("primus_broadcast_fanout").record(reached as f64);
    }

    pub(crate) fn per_spark(reached: usize) {
        counter!("primus_broadcast_per_spark_total").increment(reached as u64);
    }

    pub(crate) fn resume(result: &'static str) {
        counter!("primus_resumes_total", "result" => result).increment(1);
    }

    pub(crate) fn replayed(messages: u64) {
        if messages > 0 {
            counter!("primus_replayed_messages_total").increment(messages);
        }
    }

    pub(crate) fn duplicate() {
        counter!("primus_duplicates_discarded_total").increment(1);
    }

    pub(crate) fn switch(from: &'static str, to: &'static str) {
        counter!("primus_transport_switch_total", "from" => from, "to" => to).increment(1);
    }

    pub(crate) fn kept(bytes: usize) {
        gauge!("primus_replay_buffer_bytes").set(bytes as f64);
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use crate::close::CloseReason;

    #[derive(Debug)]
    pub(crate) struct Meters(&'static str);

    impl Meters {
        pub(crate) fn new(transport: &'static str) -> Self {
            Self(transport)
        }

        pub(crate) fn transport(&self) -> &'static str {
            self.0
        }

        pub(crate) fn received(&self, _: usize) {}

        pub(crate) fn sent(&self, _: u64, _: usize) {}

        pub(crate) fn dropped(&self, _: &'static str) {}
    }

    pub(crate) fn connections(_: &'static str, _: i8) {}

    pub(crate) fn connect(_: &'static str) {}

    pub(crate) fn auth_failure(_: u16) {}

    pub(crate) fn disconnect(_: &CloseReason) {}

    pub(crate) fn sessions(_: i8) {}

    pub(crate) fn handshake(_: Duration) {}

    pub(crate) fn limit(_: &'static str) {}

    pub(crate) fn broadcast(_: usize) {}

    pub(crate) fn per_spark(_: usize) {}

    pub(crate) fn resume(_: &'static str) {}

    pub(crate) fn replayed(_: u64) {}

    pub(crate) fn duplicate() {}

    pub(crate) fn switch(_: &'static str, _: &'static str) {}

    pub(crate) fn kept(_: usize) {}
}
