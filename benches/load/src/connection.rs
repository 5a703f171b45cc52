//! One socket: what was read and is not understood yet, and what the socket has not taken.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use crate::{
    conversation::{Conversation, Heard},
    dialect::Script,
};

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) id: u64,
    pub(crate) connected: bool,
    pub(crate) ready: bool,
    pub(crate) closing: bool,
    /// It does not read once it is ready.
    pub(crate) deaf: bool,
    conversation: Conversation,
    /// Both are empty as a rule, and hold nothing then.
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

impl Connection {
    /// Begins to connect. With a `source` it comes from that address: one has 28,000 ports.
    pub(crate) fn begin(
        address: SocketAddr,
        source: Option<Ipv4Addr>,
        id: u64,
        deaf: bool,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if deaf {
            // As small as the system allows, so that it is full soon.
            socket.set_recv_buffer_size(1)?;
        }
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((IpAddr::V4(source), 0)).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error)
                if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
            {
                return Err(error);
            }
            _ => {}
        }
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            id,
            connected: false,
            ready: false,
            closing: false,
            deaf,
            conversation: Conversation::default(),
            unread: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Reads once into `buffer` and understands what came. Returns how many bytes that were, none
    /// when nothing is there.
    pub(crate) fn read(
        &mut self,
        script: &Script,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> Result<usize, &'static str> {
        let length = loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("the connection ended"),
                Ok(length) => break length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err("it cannot be read from"),
            }
        };
        let new = &buffer[..length];
        if self.unread.is_empty() {
            let done = self.conversation.read(script, self.id, new, out, heard);
            self.unread.extend_from_slice(&new[done..]);
        } else {
            self.unread.extend_from_slice(new);
            let done = self.conversation.read(script, self.id, &self.unread, out, heard);
            self.unread.drain(..done);
            if self.unread.is_empty() {
                self.unread = Vec::new();
            }
        }
        Ok(length)
    }

    /// Writes, and keeps what the socket does not take.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(rest);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err("it cannot be written to"),
            }
        }
        Ok(())
    }

    /// Tries again with what was kept.
    pub(crate) fn flush(&mut self) -> Result<(), &'static str> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)
    }
}
