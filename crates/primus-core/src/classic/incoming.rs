//! What a client says, once it has been understood.

use crate::{Envelope, Payload};

/// What a message from the client turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// This is for the application.
    Message(Envelope),
    /// The client asked for something, and gets this.
    Answer(Payload),
    /// It gets several.
    Answers(Vec<Payload>),
    /// The client ends the session.
    End,
    /// It has been served, and there is nothing more to do.
    Nothing,
}
