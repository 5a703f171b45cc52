//! From bytes to messages (RFC 6455 §5).
//!
//! A data frame that is whole and unfragmented is read where it lies, which nearly all are. Everything
//! else goes to tungstenite, frame by frame, until a message is complete; then nothing of it is kept.
//! Both judge alike: a test compares them over random and hostile streams.
//!
//! ```text
//!          ┌── whole data frame ──▶ unmask, check UTF-8 ──▶ message
//! boundary ┤
//!          └── fragment, control, compressed, cut or wrong ──▶ its header ──▶ tungstenite ──▶ message complete ──▶ boundary
//! ```
//!
//! tungstenite knows no compression (RFC 7692): a compressed message is binary to it, and is inflated when
//! it is complete.

use primus_core::{CloseReason, Payload};

use crate::{deflate::Inflate, out::Out};

mod fragments;
mod slow;
mod whole;

use self::{fragments::Limits, slow::Slow};

/// In the first frame of a message: it is compressed (RFC 7692 §6).
const RSV1: u8 = 0x40;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Payload),
    Pong,
    /// It closes, and says why.
    Close(Option<CloseReason>),
}

/// Reads one connection's frames. Between two messages it holds no heap.
#[derive(Debug)]
pub(crate) struct Frames {
    max_message: usize,
    max_fragments: usize,
    /// What was agreed on in the handshake. `None`: nothing may be compressed.
    inflate: Option<Box<Inflate>>,
    /// In the midst of a message, or closing.
    slow: Option<Box<Slow>>,
}

impl Frames {
    pub(crate) fn new(max_message: usize, max_fragments: usize) -> Self {
        Self { max_message, max_fragments, inflate: None, slow: None }
    }

    /// Messages may be compressed from now on.
    pub(crate) fn inflating(self, inflate: Option<Inflate>) -> Self {
        Self { inflate: inflate.map(Box::new), ..self }
    }

    /// Bounds messages from the next frame on. Returns what bounded them.
    pub(crate) fn limit(&mut self, max_message: usize) -> usize {
        std::mem::replace(&mut self.max_message, max_message)
    }

    /// The next message of `input`, if it is one of those that nearly all are: whole, and not compressed.
    /// `None`: [`next`](Self::next) looks at everything else.
    #[inline(always)]
    pub(crate) fn next_plain(&mut self, input: &mut &mut [u8]) -> Option<Payload> {
        if self.slow.is_some() {
            return None;
        }
        whole::plain(input, self.max_message)
    }

    /// Reads the next message of `input`, where it lies, and takes from it what was used. `None`: more is
    /// needed.
    ///
    /// # Errors
    /// When the client breaks the protocol; nothing may be read after that.
    pub(crate) fn next(
        &mut self,
        input: &mut &mut [u8],
        out: &mut Out,
    ) -> Result<Option<Received>, CloseReason> {
        while !input.is_empty() {
            if let Some(message) = self.next_plain(input) {
                return Ok(Some(Received::Message(message)));
            }
            if let Some(received) = self.next_slowly(input, out)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Gives tungstenite the rest of the current frame, or what there is of it.
    fn next_slowly(
        &mut self,
        input: &mut &mut [u8],
        out: &mut Out,
    ) -> Result<Option<Received>, CloseReason> {
        let limits = Limits {
            message: self.max_message,
            fragments: self.max_fragments,
            compressed: self.inflate.is_some(),
        };
        let slow = self.slow.get_or_insert_default();
        let Some(piece) = slow.fragments.next(input, &limits)? else { return Ok(None) };
        let mut received = slow.read(&piece, out)?;
        if let Some(Received::Message(Payload::Binary(bytes))) = &received
            && let Some(text) = slow.fragments.compressed.take()
            && let Some(inflate) = &mut self.inflate
        {
            let message = inflate.message(limits.message, |inflating| inflating.push(bytes))?;
            received = Some(Received::Message(payload(text, message)?));
        }
        if slow.fragments.is_between_messages() && !slow.closing {
            // No buffer that grew stays grown, and none that did not either.
            self.slow = None;
        }
        Ok(received)
    }

    /// Queues our close frame. tungstenite does it, so that it knows the peer's as the answer.
    pub(crate) fn close(&mut self, reason: &CloseReason, out: &mut Out) {
        self.slow.get_or_insert_default().close(reason, out);
    }

    /// Queues the answer to the peer's close, behind everything else.
    pub(crate) fn answer_close(&mut self, out: &mut Out) {
        self.slow.get_or_insert_default().answer_close(out);
    }
}

fn payload(text: bool, message: Vec<u8>) -> Result<Payload, CloseReason> {
    if text {
        String::from_utf8(message).map(Payload::from).map_err(|_| CloseReason::INVALID_TEXT)
    } else {
        Ok(message.into())
    }
}

#[cfg(test)]
mod compressed;
#[cfg(test)]
mod tests;
