//! What clients are answered.

use serde::Serialize;
use serde_json::{Value, json};

use super::message::Message;

/// How messages may travel.
pub const CONNECTION_TYPES: [&str; 5] =
    ["long-polling", "cross-origin-long-polling", "callback-polling", "websocket", "eventsource"];

/// What the client is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconnect {
    /// Connect again.
    Retry,
    /// Begin anew.
    Handshake,
    /// Nothing: it is over.
    None,
}

/// Advice of a reply. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What to do.
    pub reconnect: Reconnect,
    /// How long to wait before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// How long a connect may be held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

impl Advice {
    /// To connect again after `interval`, which is held for up to `timeout`.
    pub fn retry(interval: u64, timeout: u64) -> Self {
        Self { reconnect: Reconnect::Retry, interval: Some(interval), timeout: Some(timeout) }
    }

    /// Nothing but what to do.
    pub fn only(reconnect: Reconnect) -> Self {
        Self { reconnect, interval: None, timeout: None }
    }
}

/// The answer to one message.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Reply {
    #[serde(skip_serializing_if = "is_nothing")]
    id: Value,
    /// Who is answered.
    #[serde(skip_serializing_if = "is_nothing")]
    pub client_id: Value,
    #[serde(skip_serializing_if = "is_nothing")]
    channel: Value,
    successful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Of a handshake: the version of the protocol, and how messages may travel.
    #[serde(flatten)]
    pub offer: Option<Offer>,
    /// What was subscribed to, or not any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Value>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// What a handshake is answered by, whatever comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    version: &'static str,
    supported_connection_types: [&'static str; 5],
}

impl Default for Offer {
    fn default() -> Self {
        Self { version: "1.0", supported_connection_types: CONNECTION_TYPES }
    }
}

/// What JavaScript takes for false is not repeated.
fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
        || value.as_str() == Some("")
        || value.as_f64() == Some(0.0)
}

impl Reply {
    /// That all went well.
    pub fn to(message: &Message) -> Self {
        Self {
            id: message.id.clone(),
            client_id: message.client_id.clone(),
            channel: message.channel.clone(),
            successful: true,
            error: None,
            offer: None,
            subscription: None,
            advice: None,
        }
    }

    /// That it did not.
    #[must_use]
    pub fn fail(mut self, error: String) -> Self {
        self.successful = false;
        self.error = Some(error);
        self
    }

    /// Whether it did.
    pub fn is_successful(&self) -> bool {
        self.successful
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        json!(self).to_string()
    }
}
