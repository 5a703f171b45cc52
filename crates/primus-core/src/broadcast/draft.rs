//! A message that has no head as yet, because that depends on where it goes.

use std::convert::Infallible;

use crate::{
    envelope::{Envelope, Head},
    message::Payload,
    parser::{EncodeError, Parser},
};

/// What it will be.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    Data,
    Event(&'a str),
    Request(u64, &'a str),
}

impl What<'_> {
    pub(super) fn head(self, head: &Head<'_>) -> Vec<u8> {
        match self {
            Self::Data => head.data(),
            Self::Event(name) => head.event(name),
            Self::Request(id, name) => head.request(id, name),
        }
    }
}

/// What it says.
pub(super) trait Body {
    type Error;

    /// Encodes it behind a head.
    fn encode(&self, head: Vec<u8>, parser: &dyn Parser) -> Result<Envelope, Self::Error>;

    /// Whether it takes work that is counted.
    fn is_value(&self) -> bool;
}

pub(super) struct Value<'a>(&'a dyn erased_serde::Serialize);

impl Body for Value<'_> {
    type Error = EncodeError;

    fn encode(&self, head: Vec<u8>, parser: &dyn Parser) -> Result<Envelope, EncodeError> {
        if head.is_empty() {
            return parser.encode(self.0).map(Envelope::from);
        }
        Envelope::encode(head, parser, self.0)
    }

    fn is_value(&self) -> bool {
        true
    }
}

pub(super) struct AsItIs<'a>(&'a Payload);

impl Body for AsItIs<'_> {
    type Error = Infallible;

    fn encode(&self, head: Vec<u8>, _: &dyn Parser) -> Result<Envelope, Infallible> {
        Ok(if head.is_empty() { self.0.clone().into() } else { Envelope::join(&head, self.0) })
    }

    fn is_value(&self) -> bool {
        false
    }
}

pub(super) struct Draft<'a, B> {
    pub(super) what: What<'a>,
    pub(super) body: B,
}

impl<'a> Draft<'a, Value<'a>> {
    pub(super) fn value(what: What<'a>, value: &'a dyn erased_serde::Serialize) -> Self {
        Self { what, body: Value(value) }
    }
}

impl<'a> Draft<'a, AsItIs<'a>> {
    pub(super) fn payload(what: What<'a>, payload: &'a Payload) -> Self {
        Self { what, body: AsItIs(payload) }
    }
}
