//! The resume layer: what makes a session outlive its carriers (docs/protocol.md §4 and §5).
//!
//! No I/O, no clock, no lock: values that the session keeps under its own locks, that a client uses
//! for its half, and that property tests and a simulated network drive.
//!
//! - [`Ring`]: what one side sends. One deque with a cursor: before it written and not yet
//!   acknowledged, behind it unsent.
//! - [`Intake`]: what one side receives: which number is the next, and whose carrier may bring it.
//! - [`Claim`]: who may attach to a session.

mod claim;
#[cfg(test)]
mod conversation;
mod defects;
mod entries;
mod graves;
mod intake;
mod ring;
#[cfg(test)]
mod vectors;

#[cfg(test)]
pub(crate) use self::defects::{DEFECTS, with_defect};
pub(crate) use self::{
    claim::{Claim, Denied},
    defects::{Defect, is},
    graves::{Grave, Graves},
    intake::{Intake, Receipt},
    ring::{Beyond, Caps, Entry, Gone, Ring},
};
