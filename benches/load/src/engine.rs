//! The loop: one thread, one epoll, one read buffer for everybody.

use std::{
    io::{self, ErrorKind},
    mem::replace,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Interest, Poll, Token, event::Event};
use slab::Slab;

use crate::{
    connection::Connection,
    conversation::{Conversation, Heard},
    dialect::Script,
    frame,
};

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Send(u32),
    Wait,
    /// Politely, by a close frame.
    Close,
}

/// Who is told what happens, and says what happens next.
pub(crate) trait Mode {
    fn ready(&mut self, id: usize) -> Next {
        let _ = id;
        Next::Wait
    }

    fn messages(&mut self, id: usize, count: u32, now: Instant) -> Next;

    /// `asked`: the close was ours.
    fn closed(&mut self, id: usize, why: &'static str, asked: bool);
}

pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    connections: Slab<Connection>,
    script: Script,
    /// What those send who do not read: its echo fills whatever lies between the server and them.
    filling: Option<Script>,
    address: SocketAddr,
    host: String,
    path: String,
    sources: u32,
    serial: u64,
    buffer: Vec<u8>,
    out: Vec<u8>,
    over: Vec<(usize, &'static str)>,
    pub(crate) mismatched: u64,
    pub(crate) deaf_ended: usize,
    /// What happened to those that do not read, which is mostly that they could send more.
    pub(crate) deaf_events: u64,
}

/// Well below the ports of one address: to find a free one gets slow as they fill.
const OF_ONE_SOURCE: usize = 8_000;
/// Connections that come and go leave their ports behind for a minute.
const SOURCES_OF_CHURN: u32 = 64;
/// The system holds up to 4 MiB for a socket that is not read.
const FILLING: (usize, u32) = (64 << 10, 96);

impl Engine {
    pub(crate) fn new(address: SocketAddr, path: &str, script: Script) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            connections: Slab::new(),
            script,
            filling: None,
            address,
            host: address.to_string(),
            path: path.to_owned(),
            sources: 1,
            // Other runs against the same server have other numbers.
            serial: since.as_secs() << 24 | u64::from(since.subsec_micros()),
            buffer: vec![0; 256 << 10],
            out: Vec::with_capacity(1 << 20),
            over: Vec::new(),
            mismatched: 0,
            deaf_ended: 0,
            deaf_events: 0,
        })
    }

    /// How many connections there will be, and whether they come and go.
    pub(crate) fn expect(&mut self, connections: usize, churning: bool) {
        let enough = u32::try_from(1 + connections / OF_ONE_SOURCE).unwrap_or(u32::MAX);
        self.sources = if churning { SOURCES_OF_CHURN } else { enough.min(250) };
    }

    /// Begins a connection; the mode will hear that it is ready, or closed.
    pub(crate) fn connect(&mut self) -> io::Result<()> {
        self.begin(false)
    }

    /// Begins a connection that stops to read as soon as it is ready, and asks for more than fits between.
    pub(crate) fn connect_deaf(&mut self) -> io::Result<()> {
        let (size, count) = FILLING;
        let dialect = self.script.dialect;
        self.filling.get_or_insert_with(|| Script::new(dialect, &"e".repeat(size), count));
        self.begin(true)
    }

    fn begin(&mut self, deaf: bool) -> io::Result<()> {
        self.serial += 1;
        let spread = self.sources > 1 && self.address.ip().is_loopback() && self.address.is_ipv4();
        let source = u8::try_from(self.serial % u64::from(self.sources)).unwrap_or_default();
        let source = spread.then(|| Ipv4Addr::new(127, 0, 0, 2 + source));
        let mut connection = Connection::begin(self.address, source, self.serial, deaf)?;
        let slot = self.connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut connection.stream, Token(slot.key()), both)?;
        slot.insert(connection);
        Ok(())
    }

    /// Sends so many messages.
    pub(crate) fn send(&mut self, id: usize, count: u32) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.out.clear();
        self.script.send(&mut self.out, count);
        if let Err(why) = connection.write(&self.out) {
            self.over.push((id, why));
        }
    }

    /// Those that are ready and read.
    pub(crate) fn live(&self) -> Vec<usize> {
        let live =
            self.connections.iter().filter(|(_, one)| one.ready && !one.closing && !one.deaf);
        live.map(|(id, _)| id).collect()
    }

    /// Drops all connections without a word.
    pub(crate) fn drop_all(&mut self) {
        self.connections.clear();
    }

    /// Waits for events, a moment at most, and handles all that came.
    pub(crate) fn step(&mut self, mode: &mut impl Mode) -> io::Result<()> {
        const MOMENT: Duration = Duration::from_millis(20);
        match self.poll.poll(&mut self.events, Some(MOMENT)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let events = replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let id = event.token().0;
            if let Err(why) = self.event(id, event, mode) {
                self.over.push((id, why));
            }
        }
        self.events = events;
        // Only now, so that no event of this step meets another connection in the same slot.
        while let Some((id, why)) = self.over.pop() {
            if let Some(connection) = self.connections.try_remove(id) {
                mode.closed(id, why, connection.closing);
            }
        }
        Ok(())
    }

    fn event(
        &mut self,
        id: usize,
        event: &Event,
        mode: &mut impl Mode,
    ) -> Result<(), &'static str> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        if !connection.connected {
            let failed = !matches!(connection.stream.take_error(), Ok(None));
            if failed || connection.stream.peer_addr().is_err() {
                return Err("it cannot be connected to");
            }
            connection.connected = true;
            let dialect = self.script.dialect;
            let request = Conversation::request(dialect, &self.host, &self.path, connection.id);
            connection.write(&request)?;
        }
        if connection.deaf && connection.ready {
            self.deaf_events += 1;
            if !connection.closing {
                let gone = event.is_read_closed() || event.is_error();
                connection.closing = gone || connection.flush().is_err();
                self.deaf_ended += usize::from(connection.closing);
            }
            return Ok(());
        }
        connection.flush()?;
        if !event.is_readable() && !event.is_read_closed() {
            return Ok(());
        }
        loop {
            self.out.clear();
            let mut heard = Heard::default();
            let read =
                connection.read(&self.script, &mut self.buffer, &mut self.out, &mut heard)?;
            self.mismatched += u64::from(heard.mismatched);
            if heard.ready && !connection.ready {
                connection.ready = true;
                Self::act(mode.ready(id), connection, &self.script, &mut self.out);
                if let (true, Some(filling)) = (connection.deaf, &self.filling) {
                    filling.send(&mut self.out, FILLING.1);
                }
            }
            if heard.messages > 0 {
                let next = mode.messages(id, heard.messages, Instant::now());
                Self::act(next, connection, &self.script, &mut self.out);
            }
            connection.write(&self.out)?;
            if let Some(why) = heard.closed {
                return Err(why);
            }
            // Edge-triggered; but a stream that gave less than there is room for has no more.
            if read < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn act(next: Next, connection: &mut Connection, script: &Script, out: &mut Vec<u8>) {
        match next {
            Next::Wait => {}
            Next::Send(count) => script.send(out, count),
            Next::Close => {
                if !replace(&mut connection.closing, true) {
                    frame::masked(out, frame::CLOSE, &1000u16.to_be_bytes());
                }
            }
        }
    }
}
