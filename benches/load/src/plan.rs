//! What is to be measured.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use crate::Dialect;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Each connection has so many messages in flight, and sends another for each that comes back.
    Echo,
    /// The first connection sends, everybody receives; so many broadcasts in flight.
    Broadcast,
    /// Connections are opened and held, then each gets one echo.
    Idle,
    /// Connect, one echo, close, and again.
    Churn,
}

impl Scenario {
    const ALL: [Self; 4] = [Self::Echo, Self::Broadcast, Self::Idle, Self::Churn];

    const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Broadcast => "broadcast",
            Self::Idle => "idle",
            Self::Churn => "churn",
        }
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Echo => "message",
            Self::Broadcast => "delivery",
            Self::Idle | Self::Churn => "connection",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no scenario `{name}`; there are {names}")
        })
    }
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server's.
    pub address: SocketAddr,
    /// What the clients are.
    pub dialect: Dialect,
    /// In place of the dialect's usual one.
    pub path: Option<String>,
    /// What is asked.
    pub scenario: Scenario,
    /// So many clients; of churn, at one time.
    pub connections: usize,
    /// So many messages in flight: of echo on each connection, of broadcast in all.
    pub window: u32,
    /// Bytes of a message's text.
    pub size: usize,
    /// So many clients more, in a broadcast, that never read.
    pub deaf: usize,
    /// Run before it is measured.
    pub warmup: Duration,
    /// Measured; of idle, held.
    pub time: Duration,
    /// The process whose CPU time and memory are told.
    pub server: Option<u32>,
}

impl Plan {
    /// An echo of 64 bytes over 100 connections, one in flight on each.
    #[must_use]
    pub fn new(address: SocketAddr, dialect: Dialect, scenario: Scenario) -> Self {
        Self {
            address,
            dialect,
            path: None,
            scenario,
            connections: 100,
            window: 1,
            size: 64,
            deaf: 0,
            warmup: Duration::from_millis(700),
            time: Duration::from_secs(3),
            server: None,
        }
    }

    /// The text of a message: servers broadcast what begins with `b`.
    pub(crate) fn text(&self) -> String {
        let first = if self.scenario == Scenario::Broadcast { "b" } else { "e" };
        first.to_owned() + &"x".repeat(self.size.saturating_sub(1))
    }
}
