//! Shows the round trip. Both halves speak to each other by messages of their own, which pass
//! through the same connection as the application's and which the application never sees.

use primus::{Flow, Message, Plugin, Spark};
use serde_json::{Value, json};

/// What its messages begin with, in either direction.
const MARK: &str = r#"{"$latency":"#;

pub(crate) struct Latency {
    /// Milliseconds from one measurement to the next.
    pub(crate) every: u32,
}

impl Plugin for Latency {
    fn name(&self) -> &str {
        "latency"
    }

    /// Sends a measurement back, and keeps it from the handler.
    fn incoming(&self, spark: &Spark, message: &mut Message) -> Flow {
        if !message.as_text().is_some_and(|text| text.starts_with(MARK)) {
            return Flow::Pass;
        }
        // One that would have to wait measures nothing, and a spark that has ended needs none.
        let _ = spark.volatile().write_message(message.payload().clone());
        Flow::Drop
    }

    fn client_options(&self) -> Option<Value> {
        Some(json!({ "every": self.every }))
    }

    fn client_script(&self) -> Option<&str> {
        Some(CLIENT)
    }
}

/// Sets `primus.latency` to the last round trip in milliseconds, and emits 'latency' with it.
const CLIENT: &str = r"
function (primus, options, mine) {
  const tell = primus.emits('latency');
  const measure = () => primus.write({ $latency: performance.now() }, { volatile: true });
  let timer;

  primus.latency = undefined;
  primus.on('open', () => {
    clearInterval(timer);
    timer = setInterval(measure, mine.every);
    measure();
  });
  primus.on('end', () => clearInterval(timer));
  primus.transform('incoming', ({ data }) => {
    const sent = data && data.$latency;
    if (sent === undefined) return true;
    primus.latency = performance.now() - sent;
    tell(primus.latency);
    return false; // no 'data' for the application
  });
}
";
