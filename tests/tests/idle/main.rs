//! What a client costs that is there and says nothing: bytes on the server's heap and tasks of its runtime, where
//! the server is a process of its own, `weigh`.

mod dialects;
mod requests;
mod websockets;
mod wire;

use std::net::{SocketAddr, TcpStream};

use primus_tests::weighed::{PAUSE, Weighed};

/// No kind may be allowed more than this on the heap, what TLS wants aside.
const MOST: usize = 4096;
/// Clients that come before those that are weighed, for what is allocated once.
const BEFORE: usize = 64;
/// Clients that are weighed, of the kinds that most are of.
const MANY: usize = 1000;
/// The same of others.
const SOME: usize = 200;

/// A kind of client: what it is, the bytes that one may cost, and how it comes. The bytes are what it cost when
/// this was written, and 5 percent; a handler's future, which is the application's, is in them.
type Kind = (&'static str, usize, fn(SocketAddr) -> TcpStream);

/// Weighs so many of each of these, each on a server of its own with this configuration.
async fn cheap(config: &str, count: usize, kinds: &[Kind]) {
    for (what, most, open) in kinds {
        assert!(*most <= MOST, "{what} may cost too much");
        let server = Weighed::start(env!("CARGO_BIN_EXE_weigh"), config);
        weigh(server, count, what, *most, open).await;
    }
}

/// Each of them costs no more than `most` bytes, has a session, and one task.
async fn weigh<C>(
    mut server: Weighed,
    count: usize,
    what: &str,
    most: usize,
    open: impl Fn(SocketAddr) -> C,
) {
    let to = server.address();
    let mut clients: Vec<_> = (0..BEFORE).map(|_| open(to)).collect();
    let before = server.at_rest(PAUSE).await;
    assert_eq!(before.sessions, BEFORE, "sessions of {what}");
    clients.extend((0..count).map(|_| open(to)));
    let after = server.at_rest(PAUSE).await;
    assert_eq!(after.sessions, BEFORE + count, "sessions of {what}");
    assert_eq!(after.tasks, before.tasks + count, "tasks of {what}");
    let each = after.heap.checked_sub(before.heap).expect("more than before") / count;
    println!("{what}: {each} bytes");
    assert!(each <= most, "{what} costs {each} bytes of heap, more than {most}");
    drop(clients);
}
