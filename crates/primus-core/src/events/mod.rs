//! Events: named messages with arguments, their listeners, and requests, which are events that want
//! an answer.

mod belongings;
mod listener;
mod listeners;
mod pending;
mod request;
mod serving;
mod spark;

pub(crate) use self::{
    belongings::Belongings,
    listener::{Erased, Failure, erase},
    listeners::{Listeners, OnAny},
    pending::{Collector, Pending},
    serving::{Serve, Served, reply, serve},
};
pub use self::{
    listener::{Listener, Outcome},
    request::{Answer, Answers, RequestError, Requesting},
};
