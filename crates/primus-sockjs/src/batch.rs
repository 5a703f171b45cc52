//! Messages on their way into one frame.

use bytes::Bytes;
use primus_core::{Envelope, Outgoing, Payload, WireForm};
use primus_websocket::{Rendering, Sink};

use crate::{
    face::quoted,
    protocol::frame::{Wrapping, messages},
};

/// What was taken together, for one frame. A broadcast that goes alone is framed once for all who get it alone.
pub(crate) struct Batch<'a> {
    wrapping: &'a Wrapping,
    alone: bool,
    whole: Bytes,
    quoted: Vec<Bytes>,
}

/// A message alone, quoted.
const QUOTED: [WireForm; 3] =
    [WireForm("sockjs.0"), WireForm("sockjs.0.plain"), WireForm("sockjs.0.emitted")];

impl<'a> Batch<'a> {
    pub(crate) fn new(wrapping: &'a Wrapping, alone: bool) -> Self {
        Self { wrapping, alone, whole: Bytes::new(), quoted: Vec::new() }
    }

    /// The frame, if there is anything in it.
    pub(crate) fn into_frame(self) -> Option<Bytes> {
        if self.quoted.is_empty() {
            return Some(self.whole).filter(|frame| !frame.is_empty());
        }
        // They were strings.
        let texts = self.quoted.iter().filter_map(|text| std::str::from_utf8(text).ok());
        Some(self.wrapping.wrap(&messages(texts)))
    }
}

impl Sink for Batch<'_> {
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    ) {
        let quote = |envelope: &Envelope| make(envelope).map(|payload| quoted(&payload));
        if self.alone
            && let Some(forms) = self.wrapping.forms()
        {
            let wrap = |quoted: String| self.wrapping.wrap(&messages([&*quoted]));
            self.whole = outgoing.frame(rendering.of(forms), |envelope| {
                quote(envelope).map(wrap).unwrap_or_default()
            });
            return;
        }
        let quoted = outgoing.frame(rendering.of(QUOTED), |envelope| {
            quote(envelope).map(Bytes::from).unwrap_or_default()
        });
        self.quoted.extend(Some(quoted).filter(|quoted| !quoted.is_empty()));
    }

    fn push(&mut self, message: &Payload) {
        self.quoted.push(quoted(message).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(batch: &mut Batch<'_>, text: &str) {
        let outgoing = Outgoing::Own(text.into());
        batch.put(&outgoing, Rendering::AsItIs, |envelope| Some(envelope.body()));
    }

    #[test]
    fn messages_that_go_together_are_one_frame() {
        let wrapping = Wrapping::Line;
        let mut alone = Batch::new(&wrapping, true);
        put(&mut alone, "x");
        assert_eq!(alone.into_frame().unwrap(), "a[\"x\"]\n");
        let mut many = Batch::new(&wrapping, false);
        put(&mut many, "x");
        many.push(&Bytes::from_static(b"\0").into());
        put(&mut many, "y");
        assert_eq!(many.into_frame().unwrap(), "a[\"x\",\"AA==\",\"y\"]\n");
    }

    #[test]
    fn what_is_nothing_to_a_client_is_no_frame() {
        let wrapping = Wrapping::Line;
        for alone in [true, false] {
            let mut batch = Batch::new(&wrapping, alone);
            batch.put(&Outgoing::Own("x".into()), Rendering::AsItIs, |_| None);
            assert_eq!(batch.into_frame(), None);
        }
    }
}
