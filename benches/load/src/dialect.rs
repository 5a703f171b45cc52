//! What clients of each kind ask for, send and get.

use std::{fmt, str::FromStr};

/// A kind of client, all over WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A bare WebSocket: what is sent is the text.
    Plain,
    /// The stock client of Primus 8: JSON strings, `primus::ping::` and its answer.
    Classic,
    /// The client of this project: attach, acknowledgements, pongs.
    Resumable,
    /// Socket.IO 5: the event `m` with a string.
    SocketIo,
    /// SockJS with its framing.
    SockJs,
}

impl Dialect {
    /// All, for help.
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::Classic, Self::Resumable, Self::SocketIo, Self::SockJs];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Classic => "classic",
            Self::Resumable => "resumable",
            Self::SocketIo => "socket.io",
            Self::SockJs => "sockjs",
        }
    }

    /// Where its servers usually are. `{id}` stands for a number of the connection's own.
    #[must_use]
    pub const fn usual_path(self) -> &'static str {
        match self {
            Self::Plain => "/",
            Self::Classic => "/primus/?_primuscb={id}",
            Self::Resumable => "/primus",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Self::SockJs => "/echo/000/{id}/websocket",
        }
    }

    pub(crate) const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Resumable => Some("primus.2"),
            _ => None,
        }
    }

    /// What a client sends as soon as it is connected.
    pub(crate) fn hello(self, id: u64) -> Option<String> {
        // A client has a random number of 53 bits of its own.
        let client = id & ((1 << 53) - 1);
        match self {
            Self::Resumable => {
                Some(format!("primus::attach::{{\"client\":{client},\"attempt\":1}}"))
            }
            _ => None,
        }
    }

    /// Whether messages may be sent as soon as the upgrade is answered.
    pub(crate) const fn is_ready_at_once(self) -> bool {
        matches!(self, Self::Plain | Self::Classic)
    }

    /// A message as the client sends it; its text has nothing that JSON escapes.
    fn sent(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Classic | Self::Resumable => format!("\"{text}\""),
            Self::SocketIo => format!("42[\"m\",\"{text}\"]"),
            Self::SockJs => format!("[\"{text}\"]"),
        }
    }

    /// The same message as the server sends it.
    fn received(self, text: &str) -> String {
        match self {
            Self::SockJs => format!("a[\"{text}\"]"),
            _ => self.sent(text),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no dialect `{name}`; there are {names}")
        })
    }
}

/// The one message that a run sends, in every form that is needed of it, built ahead.
pub(crate) struct Script {
    pub(crate) dialect: Dialect,
    /// As it should come back: its text, and the frame of a server that does not fragment.
    pub(crate) expected: Vec<u8>,
    pub(crate) expected_frame: Vec<u8>,
    /// Copies of the frame to send, and the length of one.
    copies: Vec<u8>,
    one: usize,
}

/// More copies than this many bytes are not built ahead.
const MOST_COPIES: usize = 1 << 20;

impl Script {
    pub(crate) fn new(dialect: Dialect, text: &str, window: u32) -> Self {
        let expected = dialect.received(text).into_bytes();
        let expected_frame = crate::frame::from_server(&expected);
        let mut frame = Vec::new();
        crate::frame::masked(&mut frame, crate::frame::TEXT, dialect.sent(text).as_bytes());
        let copies = (window.max(1) as usize).min(1 + MOST_COPIES / frame.len());
        Self { dialect, expected, expected_frame, one: frame.len(), copies: frame.repeat(copies) }
    }

    /// Appends so many messages.
    pub(crate) fn send(&self, out: &mut Vec<u8>, count: u32) {
        let mut left = count as usize * self.one;
        while left > 0 {
            let some = left.min(self.copies.len());
            out.extend_from_slice(&self.copies[..some]);
            left -= some;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.to_string().parse(), Ok(dialect));
        }
        assert!("telnet".parse::<Dialect>().unwrap_err().contains("socket.io"));
    }

    #[test]
    fn a_window_is_sent_at_once_whatever_its_size() {
        for (text, window) in [("exx", 32), (&*"x".repeat(1 << 20), 3)] {
            let script = Script::new(Dialect::Classic, text, window);
            let mut out = Vec::new();
            script.send(&mut out, window);
            assert_eq!(out.len(), script.one * window as usize);
            assert_eq!(out[..script.one], out[out.len() - script.one..]);
        }
    }
}
