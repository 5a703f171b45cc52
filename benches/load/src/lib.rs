//! Loads a realtime server, and says what that cost the server.
//!
//! A figure about a server is only as good as what drives it, so the generator has to cost less
//! than any server that is worth measuring: one thread, one epoll, one read buffer for all
//! connections, frames built once and masked ahead, and a message that comes back compared in one
//! stroke. What it reports first is CPU time a message, which says the same on a busy machine;
//! messages a second do not.
//!
//! It checks everything that comes: a message that is not what was sent, one too many, one too few
//! and a lost connection are [`Faults`], and a run that has any measures nothing.
//!
//! ```text
//!  measure/     what is asked of the server: echo, broadcast, idle, churn; answers by a Report
//!  engine       connections and their events; tells a Mode what happens
//!  connection   one socket: what was read and not understood, what the socket did not take
//!  conversation one connection's protocol, without I/O; what came, what has to be answered
//!  dialect      what clients of each kind ask for, send and get
//!  frame        WebSocket frames, the client's side
//!  process      CPU and memory of the server, from /proc
//! ```

mod connection;
mod conversation;
mod dialect;
mod engine;
mod frame;
mod measure;
mod plan;
mod process;
mod report;
mod system;

pub use dialect::Dialect;
pub use measure::run;
pub use plan::{Plan, Scenario};
pub use process::{Cpu, Sample};
pub use report::{Faults, Latency, Memory, Report};
pub use system::{cores, pin, raise_open_files};
