//! From messages of Engine.IO to packets: a text begins one, and the attachments that it announces follow.

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Arguments, Packet, PacketError, Said, Value,
    arguments::fill,
    packet::{Head, Kind, checked, said},
};

/// Which protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Socket.IO 3 and 4, over Engine.IO 4.
    Five,
    /// Socket.IO 1 and 2, over Engine.IO 3.
    Four,
}

/// A packet whose attachments have not all come.
#[derive(Debug)]
struct Waiting {
    head: Head,
    text: ByteString,
    attachments: Vec<Bytes>,
    bytes: usize,
}

/// Puts the packets of one client together.
#[derive(Debug)]
pub struct Reader {
    version: Version,
    /// Bytes of one packet with its attachments.
    longest: usize,
    waiting: Option<Box<Waiting>>,
}

impl Reader {
    /// Of a client that speaks this version. `longest`: bytes of a packet with all its attachments.
    pub fn new(version: Version, longest: usize) -> Self {
        Self { version, longest, waiting: None }
    }

    /// A text message. `None`: attachments of the packet are still to come.
    ///
    /// # Errors
    /// When it is no packet, or an attachment is due.
    pub fn text(&mut self, text: ByteString) -> Result<Option<Packet>, PacketError> {
        if self.waiting.is_some() {
            return Err(PacketError("a text where an attachment is due"));
        }
        let head = Head::read(&text, self.version == Version::Four)?;
        if head.attachments > 0 {
            let bytes = text.len();
            self.waiting = Some(Box::new(Waiting { head, text, attachments: Vec::new(), bytes }));
            return Ok(None);
        }
        let said = said(&head, &text)?;
        Ok(Some(Packet { namespace: head.namespace, query: head.query, said }))
    }

    /// A binary message. `None`: more attachments are to come.
    ///
    /// # Errors
    /// When none is due, or the packet is not what it should be.
    pub fn binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, PacketError> {
        let Some(waiting) = &mut self.waiting else {
            return Err(PacketError("an attachment of nothing"));
        };
        waiting.bytes = waiting.bytes.saturating_add(bytes.len());
        if waiting.bytes > self.longest {
            return Err(PacketError("it is too long with its attachments"));
        }
        waiting.attachments.push(bytes);
        if waiting.attachments.len() < waiting.head.attachments {
            return Ok(None);
        }
        self.waiting.take().map(|waiting| waiting.complete()).transpose()
    }

    /// Whether attachments are still to come.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

impl Waiting {
    fn complete(self) -> Result<Packet, PacketError> {
        let Self { head, text, attachments, .. } = self;
        // serde_json refuses what is nested deeper than 127 itself.
        let json = serde_json::from_str(&text[head.end..]);
        let mut json: Value = json.map_err(|_| PacketError("it carries no JSON"))?;
        fill(&mut json, &attachments)?;
        let Value::Array(values) = json else {
            return Err(PacketError("it carries no array"));
        };
        let said = binary(head.kind, head.id, values)?;
        Ok(Packet { namespace: head.namespace, query: head.query, said })
    }
}

/// What a packet says whose values are there.
pub(super) fn binary(
    kind: Kind,
    id: Option<u64>,
    mut values: Vec<Value>,
) -> Result<Said, PacketError> {
    if kind == Kind::Ack {
        return Ok(Said::Ack { id, args: Arguments::Values(values) });
    }
    if values.is_empty() {
        return Err(PacketError("an event without a name"));
    }
    let name = match values.remove(0) {
        Value::Text(name) => checked(name)?,
        Value::Number(number) => number.to_string(),
        _ => return Err(PacketError("the name of an event is a string")),
    };
    Ok(Said::Event { id, name, args: Arguments::Values(values) })
}
