//! Options that are baked into `primus.js`.

use serde_json::{Map, Value as Json};

use super::{
    amounts::{Bytes, Time, TimeOrOff},
    tables::optional,
    units::{Count, Factor, Flag, Text, Unit},
    words::{Credentials, SomeOf, Strategy, Word},
};

optional! {
    /// Defaults for the clients that load `primus.js`; what a page gives to `new Primus` still
    /// wins. What is left out has the client's own default.
    pub struct ClientOptions {
        /// How long the first connect may take. Zero (`false`): as long as it likes.
        timeout: TimeOrOff,
        /// After how long without traffic the client asks for a sign of life. Zero (`false`):
        /// never.
        ping: TimeOrOff,
        /// How long it waits for that sign. Zero (`false`): for ever.
        ping_timeout: TimeOrOff,
        /// When the client comes back by itself. Nothing (`false`): never.
        strategy: SomeOf<Strategy>,
        /// Whether the client waits for `open()` before it connects.
        manual: Flag,
        /// Whether `open` is emitted at every connect, as Primus did, also when the session was
        /// resumed.
        open_on_reconnect: Flag,
        /// Bytes that a client queues while it has no connection.
        queue_size: Bytes,
        /// Whether the HTTP transports send cookies.
        credentials: Word<Credentials>,
        /// Added to the query of the URL.
        query: Text,
    }
    tables {
        /// How the client comes back after a lost connection.
        reconnect: ReconnectOptions,
    }
    aliases {
        "pingTimeout" = ping_timeout,
        "openOnReconnect" = open_on_reconnect,
        "queueSize" = queue_size,
    }
}

optional! {
    /// How a client comes back after a lost connection.
    pub struct ReconnectOptions {
        /// The longest first delay.
        min: Time,
        /// The longest delay of all.
        max: Time,
        /// By how much the longest delay grows from one attempt to the next.
        factor: Factor,
        /// After how many failed attempts it gives up.
        retries: Count,
        /// How long one attempt may take.
        reconnect_timeout: Time,
    }
    tables {}
    aliases { "reconnect timeout" = reconnect_timeout, }
}

/// Adds an option if it is set.
fn put<U: Unit>(map: &mut Map<String, Json>, name: &str, value: &Option<U::Value>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), U::json(value));
    }
}

impl ClientOptions {
    /// As the client has them.
    pub(crate) fn to_json(&self) -> Map<String, Json> {
        let mut map = Map::new();
        put::<TimeOrOff>(&mut map, "timeout", &self.timeout);
        put::<TimeOrOff>(&mut map, "ping", &self.ping);
        put::<TimeOrOff>(&mut map, "pingTimeout", &self.ping_timeout);
        put::<SomeOf<Strategy>>(&mut map, "strategy", &self.strategy);
        put::<Flag>(&mut map, "manual", &self.manual);
        put::<Flag>(&mut map, "openOnReconnect", &self.open_on_reconnect);
        put::<Bytes>(&mut map, "queueSize", &self.queue_size);
        put::<Word<Credentials>>(&mut map, "credentials", &self.credentials);
        put::<Text>(&mut map, "query", &self.query);
        let reconnect = self.reconnect.to_json();
        if !reconnect.is_empty() {
            map.insert("reconnect".to_owned(), reconnect.into());
        }
        map
    }
}

impl ReconnectOptions {
    fn to_json(&self) -> Map<String, Json> {
        let mut map = Map::new();
        put::<Time>(&mut map, "min", &self.min);
        put::<Time>(&mut map, "max", &self.max);
        put::<Factor>(&mut map, "factor", &self.factor);
        put::<Count>(&mut map, "retries", &self.retries);
        put::<Time>(&mut map, "reconnect timeout", &self.reconnect_timeout);
        map
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::options::Options as _;

    #[test]
    fn the_client_gets_its_own_names_and_units() {
        let options = ClientOptions::new()
            .timeout(Duration::from_secs(5))
            .ping(Duration::ZERO)
            .ping_timeout(Duration::from_millis(1500))
            .strategy([Strategy::Online])
            .manual(true)
            .open_on_reconnect(true)
            .queue_size(4096)
            .credentials(Credentials::Include)
            .query("a=1")
            .reconnect(
                ReconnectOptions::new()
                    .min(Duration::from_millis(100))
                    .max(Duration::from_secs(1))
                    .factor(1.5)
                    .retries(3)
                    .reconnect_timeout(Duration::from_secs(2)),
            );
        let json = options.to_json();
        assert_eq!(
            Json::from(json.clone()),
            serde_json::json!({
                "timeout": 5000, "ping": false, "pingTimeout": 1500, "strategy": ["online"],
                "manual": true, "openOnReconnect": true, "queueSize": 4096,
                "credentials": "include", "query": "a=1",
                "reconnect": {
                    "min": 100, "max": 1000, "factor": 1.5, "retries": 3, "reconnect timeout": 2000
                }
            })
        );
        // None is forgotten.
        assert_eq!(json.len(), options.keys().len());
        assert_eq!(options.reconnect.to_json().len(), options.reconnect.keys().len());
        assert_eq!(ClientOptions::new().to_json(), Map::new());
    }
}
