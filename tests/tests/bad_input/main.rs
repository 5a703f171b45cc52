//! Hostile and broken clients: each is told what was wrong, and nobody else notices.

mod control;
mod frames;
mod handshakes;
mod random;

use primus::{Builder, Primus};
use primus_tests::ws::opcode;
use serde_json::Value;

/// Headers of a handshake that is one.
const GOOD: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn websocket() -> Builder {
    Primus::builder().transformer("websocket").parser("raw")
}

/// A header that claims `length` bytes, in the long form, with a mask.
fn claim(length: u64) -> Vec<u8> {
    let mut header = vec![opcode::BINARY, 0xff];
    header.extend(length.to_be_bytes());
    header.extend([0; 4]);
    header
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../docs/protocol-vectors.json")).unwrap()
}
