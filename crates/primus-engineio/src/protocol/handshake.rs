//! What the server says first.

use std::time::Duration;

use super::Packet;

/// What an open packet tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// By which the client's requests find their connection.
    pub sid: &'a str,
    /// Whether a WebSocket may take over.
    pub upgrades: bool,
    /// How often a sign of life is asked for; zero: never.
    pub ping_interval: Duration,
    /// How long one may take.
    pub ping_timeout: Duration,
    /// Bytes that a message, and a POST, may have.
    pub max_payload: usize,
}

/// Stands for never: some 23 days, near to the longest time that a client's timers know.
const NEVER: u64 = 2_000_000_000;

impl Handshake<'_> {
    /// The open packet.
    pub fn packet(&self) -> Packet {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(NEVER).min(NEVER);
        let interval = millis(self.ping_interval);
        let json = format!(
            r#"{{"sid":"{}","upgrades":[{}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            self.sid,
            if self.upgrades { r#""websocket""# } else { "" },
            if interval == 0 { NEVER } else { interval },
            millis(self.ping_timeout).min(NEVER / 20),
            self.max_payload,
        );
        Packet::Open(json.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_packet_to_the_byte() {
        let mut handshake = Handshake {
            sid: "L8N3nDxK1qro0x8BAAAA",
            upgrades: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
        };
        let json = r#"{"sid":"L8N3nDxK1qro0x8BAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(handshake.packet(), Packet::Open(json.into()));
        handshake.upgrades = false;
        handshake.ping_interval = Duration::ZERO;
        let Packet::Open(json) = handshake.packet() else { panic!() };
        assert!(json.contains(r#""upgrades":[],"pingInterval":2000000000,"#), "{json}");
    }
}
