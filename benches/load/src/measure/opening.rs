//! Opens the connections of a run.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::engine::{Engine, Mode, Next};

/// So many at one time, which is below any sensible backlog.
const AT_A_TIME: usize = 256;
const LIMIT: Duration = Duration::from_secs(120);
/// After so long without an event, those that do not read have sent all, or what the server and the sockets take.
const QUIET: Duration = Duration::from_millis(if cfg!(test) { 2000 } else { 500 });

#[derive(Default)]
struct Opening {
    ready: usize,
    lost: usize,
    why: &'static str,
}

impl Mode for Opening {
    fn ready(&mut self, _: usize) -> Next {
        self.ready += 1;
        Next::Wait
    }

    fn messages(&mut self, _: usize, _: u32, _: Instant) -> Next {
        Next::Wait
    }

    fn closed(&mut self, _: usize, why: &'static str, _: bool) {
        self.lost += 1;
        self.why = why;
    }
}

/// So many, of which the last do not read.
pub(super) fn open(engine: &mut Engine, hearing: usize, deaf: usize) -> io::Result<()> {
    let connections = hearing + deaf;
    let mut opening = Opening::default();
    let (mut begun, end) = (0, Instant::now() + LIMIT);
    while opening.ready < connections {
        while begun < connections && begun - opening.ready < AT_A_TIME {
            if begun < hearing {
                engine.connect()?
            } else {
                engine.connect_deaf()?
            }
            begun += 1;
        }
        engine.step(&mut opening)?;
        let why = match opening.lost {
            0 if Instant::now() < end => continue,
            0 => "it takes too long",
            _ => opening.why,
        };
        let ready = opening.ready;
        return Err(io::Error::other(format!("{ready} of {connections} connections, then: {why}")));
    }
    if deaf > 0 { settle(engine, &mut opening, end) } else { Ok(()) }
}

/// Waits until those that do not read can send no more, so that this is not measured with the rest.
fn settle(engine: &mut Engine, opening: &mut Opening, end: Instant) -> io::Result<()> {
    let (mut events, mut since) = (engine.deaf_events, Instant::now());
    while since.elapsed() < QUIET {
        engine.step(opening)?;
        if engine.deaf_events != events {
            (events, since) = (engine.deaf_events, Instant::now());
        }
        if opening.lost > 0 {
            return Err(io::Error::other(opening.why));
        }
        if Instant::now() > end {
            return Err(io::Error::other("it takes too long"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read as _, Write as _},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;
    use crate::dialect::{Dialect, Script};

    fn accept(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
        stream
    }

    #[test]
    fn it_is_measured_only_when_those_that_do_not_read_have_sent_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut hearing, mut deaf) = (accept(&listener), accept(&listener));
            let (mut buffer, mut read) = ([0; 64 << 10], 0);
            let mut read_to = |end| {
                while read < end {
                    read += deaf.read(&mut buffer).unwrap();
                }
            };
            read_to(3 << 20);
            hearing.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let early = hearing.read(&mut [0]).map_err(|error| error.kind());
            read_to(6 << 20);
            hearing.set_read_timeout(None).unwrap();
            (early, hearing.read(&mut [0]).unwrap())
        });
        let script = Script::new(Dialect::Plain, "e", 1);
        let mut engine = Engine::new(address, "/", script).unwrap();
        open(&mut engine, 1, 1).unwrap();
        engine.send(engine.live()[0], 1);
        assert_eq!(server.join().unwrap(), (Err(ErrorKind::WouldBlock), 1));
    }
}
