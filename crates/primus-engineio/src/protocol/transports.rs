//! Which requests and sockets a connection has, and which it may have: the rules of polling and of the upgrade.
//!
//! ```text
//!          GET, POST: one of each at a time
//!            ┌─────┐
//!            ▼     │
//! open ──▶ polling ──socket──▶ probing ──"2probe"──▶ probed ──"5"──▶ upgraded
//!            ▲                    │                    │
//!            └────── anything else, or no more time ───┘
//! ```

use super::{Packet, RequestError};

/// The word of a probe.
pub const PROBE: &str = "probe";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Polling,
    /// A socket is open beside.
    Probing,
    /// It was probed: polls are to come to an end.
    Probed,
    Upgraded,
    Closed,
}

/// The state of a connection that began with polling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transports {
    stage: Stage,
    getting: bool,
    posting: bool,
}

/// What a request may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It gets this for an answer, and nothing changes.
    Refused(RequestError),
    /// There is such a request already. The connection is closed.
    Overlap,
}

/// What is to be done with what a probing socket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Answer `3probe`, and bring polls to an end.
    Answer,
    /// The socket takes over.
    Upgrade,
    /// Close the socket; the connection stays with polling.
    Close,
}

impl Default for Transports {
    fn default() -> Self {
        Self { stage: Stage::Polling, getting: false, posting: false }
    }
}

impl Transports {
    fn check(&self) -> Result<(), Denied> {
        match self.stage {
            Stage::Polling | Stage::Probing | Stage::Probed => Ok(()),
            Stage::Upgraded => Err(Denied::Refused(RequestError::BadRequest)),
            Stage::Closed => Err(Denied::Refused(RequestError::UnknownSid)),
        }
    }

    /// A poll begins.
    ///
    /// # Errors
    /// When there is one, or polling is over.
    pub fn get(&mut self) -> Result<(), Denied> {
        self.check()?;
        if std::mem::replace(&mut self.getting, true) { Err(Denied::Overlap) } else { Ok(()) }
    }

    /// The poll has its answer.
    pub fn got(&mut self) {
        self.getting = false;
    }

    /// A POST begins.
    ///
    /// # Errors
    /// When there is one, or polling is over.
    pub fn post(&mut self) -> Result<(), Denied> {
        self.check()?;
        if std::mem::replace(&mut self.posting, true) { Err(Denied::Overlap) } else { Ok(()) }
    }

    /// The POST has been taken in.
    pub fn posted(&mut self) {
        self.posting = false;
    }

    /// A socket opens beside. False: it has to go.
    pub fn socket(&mut self) -> bool {
        let free = self.stage == Stage::Polling;
        if free {
            self.stage = Stage::Probing;
        }
        free
    }

    /// The socket beside said something; `None`: it is no packet.
    pub fn probe(&mut self, packet: Option<&Packet>) -> Probe {
        match (self.stage, packet) {
            (Stage::Probing | Stage::Probed, Some(Packet::Ping(word))) if *word == *PROBE => {
                self.stage = Stage::Probed;
                Probe::Answer
            }
            // Whoever is still posting is not done with polling, whatever it says.
            (Stage::Probed, Some(Packet::Upgrade)) if !self.posting => {
                self.stage = Stage::Upgraded;
                Probe::Upgrade
            }
            _ => Probe::Close,
        }
    }

    /// The socket beside is gone. The connection stays with polling.
    pub fn gave_up(&mut self) {
        if matches!(self.stage, Stage::Probing | Stage::Probed) {
            self.stage = Stage::Polling;
        }
    }

    /// The connection is over. False: it was before.
    pub fn close(&mut self) -> bool {
        std::mem::replace(&mut self.stage, Stage::Closed) != Stage::Closed
    }

    /// Whether a poll waits.
    pub fn is_getting(&self) -> bool {
        self.getting
    }

    /// Whether polls are to come to an end.
    pub fn is_probed(&self) -> bool {
        self.stage == Stage::Probed
    }

    /// Whether the socket has taken over.
    pub fn is_upgraded(&self) -> bool {
        self.stage == Stage::Upgraded
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Packet = Packet::Ping(bytestring::ByteString::from_static(PROBE));

    #[test]
    fn one_request_of_a_kind_at_a_time() {
        let mut it = Transports::default();
        assert_eq!((it.get(), it.post()), (Ok(()), Ok(())));
        assert_eq!((it.get(), it.post()), (Err(Denied::Overlap), Err(Denied::Overlap)));
        it.got();
        it.posted();
        assert_eq!((it.get(), it.post()), (Ok(()), Ok(())));
        assert!(it.close() && !it.close());
        assert_eq!(it.get(), Err(Denied::Refused(RequestError::UnknownSid)));
    }

    #[test]
    fn an_upgrade_is_probed_first() {
        let mut it = Transports::default();
        assert!(it.socket() && !it.socket());
        assert_eq!(it.probe(Some(&Packet::Upgrade)), Probe::Close);
        assert_eq!(it.probe(Some(&PING)), Probe::Answer);
        assert!(it.is_probed());
        assert_eq!(it.probe(Some(&PING)), Probe::Answer);
        assert_eq!(it.get(), Ok(()));
        it.got();
        assert_eq!(it.probe(Some(&Packet::Upgrade)), Probe::Upgrade);
        assert!(it.is_upgraded() && !it.socket());
        assert_eq!(it.get(), Err(Denied::Refused(RequestError::BadRequest)));
        assert_eq!(it.probe(Some(&Packet::Upgrade)), Probe::Close);
    }

    #[test]
    fn a_probe_that_fails_leaves_polling_as_it_was() {
        let mut it = Transports::default();
        assert!(it.socket());
        assert_eq!(it.probe(None), Probe::Close);
        it.gave_up();
        assert_eq!(it, Transports::default());
        assert!(it.socket());
        assert_eq!(it.probe(Some(&PING)), Probe::Answer);
        assert_eq!(it.post(), Ok(()));
        assert_eq!(it.probe(Some(&Packet::Upgrade)), Probe::Close);
    }
}
