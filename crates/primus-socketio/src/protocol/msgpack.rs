//! Packets of `socket.io-msgpack-parser`: each is one value `{type, nsp, data, id}`, bytes and all.

use bytes::Bytes;
use primus_core::parser::{self, Msgpack};

use super::{Arguments, Packet, PacketError, Reader, Said, Value, packet::Kind, reader::binary};

impl Reader {
    /// A binary message that is a whole packet.
    ///
    /// # Errors
    /// When it is none.
    pub fn whole(&mut self, bytes: &Bytes) -> Result<Packet, PacketError> {
        let packet: Value = parser::decode(&Msgpack, &bytes.clone().into())
            .map_err(|_| PacketError("it is no MessagePack"))?;
        let Some(Value::Text(namespace)) = packet.get("nsp") else {
            return Err(PacketError("it is in no namespace"));
        };
        let number = |name: &str| match packet.get(name) {
            Some(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        let (id, data) = (number("id"), packet.get("data"));
        let said = match (number("type"), data) {
            (Some(0), None | Some(Value::Null)) => Said::Connect(None),
            (Some(0), Some(auth @ Value::Object(_))) => {
                let json = serde_json::to_string(auth);
                Said::Connect(Some(json.map_err(|_| PacketError("its auth is no JSON"))?.into()))
            }
            (Some(1), None | Some(Value::Null)) => Said::Disconnect,
            (Some(2), Some(Value::Array(values))) => binary(Kind::Event, id, values.clone())?,
            (Some(3), Some(Value::Array(values))) => {
                Said::Ack { id, args: Arguments::Values(values.clone()) }
            }
            (Some(4), _) => return Err(PacketError("only a server refuses a connection")),
            (Some(0..=3), _) => return Err(PacketError("its data are not what its type has")),
            _ => return Err(PacketError("unknown type")),
        };
        Ok(Packet { namespace: namespace.clone().into(), query: None, said })
    }
}
