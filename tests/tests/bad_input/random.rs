//! Random input.

use std::time::Duration;

use http::StatusCode;
use primus::{Mount, Primus};
use primus_tests::{
    http::get,
    server::{Server, until},
    ws::{Client, Raw, frame, opcode},
};

use super::{GOOD, websocket};

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    /// Something like a frame: often good, sometimes with a fault.
    fn frame(&mut self) -> Vec<u8> {
        let first = match self.below(4) {
            0 => self.next() as u8,
            1 => [0x01, 0x02, 0x00, 0x80][self.below(4) as usize],
            _ => [opcode::TEXT, opcode::BINARY, opcode::PING, opcode::PONG, opcode::CLOSE]
                [self.below(5) as usize],
        };
        let payload = match self.below(4) {
            0 => self.bytes(200),
            1 => b"primus::".iter().copied().chain(self.bytes(8)).collect(),
            2 => {
                let length = self.below(70_000) as usize;
                vec![b'x'; length]
            }
            _ => Vec::new(),
        };
        let mut frame = frame(first, payload);
        if self.below(8) == 0 {
            let at = self.below(frame.len() as u64) as usize;
            frame[at] ^= 1 << self.below(8);
        }
        frame
    }
}

#[tokio::test]
async fn random_bytes_never_harm_the_server_or_anyone_else() {
    let mount = Mount::new().max_message(10_000).max_fragments(4);
    // Those of ours that are lost wait for their clients, which do not come back.
    let builder = websocket().resume_window(Duration::from_millis(100)).mount("/small", mount);
    let server = Server::echo(builder).await;
    let mut bystander = Client::resumable(server.address()).await;
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut raw = match seed % 4 {
            0 => Raw::resumable(server.address()).await,
            1 => Raw::open(server.address(), "/small").await,
            2 => Raw::open(server.address(), "/primus?_primuscb=1").await,
            _ => {
                Raw::open_as(server.address(), "/primus", "sec-websocket-protocol: primus.2\r\n")
                    .await
            }
        };
        for _ in 0..random.below(12) + 1 {
            let bytes = if random.below(3) == 0 { random.bytes(100) } else { random.frame() };
            raw.send(bytes).await;
        }
        // Half of them wait for what the server makes of it, half are gone at once.
        if seed % 2 == 0 {
            raw.send(frame(opcode::CLOSE, "")).await;
            raw.send([0xff; 16]).await;
        }
        drop(raw);
        if seed % 10 == 0 {
            bystander.echoes(&seed.to_string()).await;
        }
    }
    bystander.echoes("still here").await;
    until("the end of the others", || server.sessions() == 1).await;
    assert_eq!(server.connected(), 1);
    assert_eq!(get("/primus/spec").send(server.address()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn random_requests_never_harm_the_server_or_anyone_else() {
    let server = Server::echo(Primus::builder()).await;
    let mut bystander = Client::plain(server.address()).await;
    let good = format!("GET /primus HTTP/1.1\r\nhost: x\r\n{GOOD}\r\n").into_bytes();
    for seed in 0..200 {
        let mut random = Random(1_000 + seed);
        let mut request = good.clone();
        for _ in 0..random.below(4) + 1 {
            let at = random.below(request.len() as u64) as usize;
            match random.below(3) {
                0 => request[at] = random.next() as u8,
                1 => drop(request.remove(at)),
                _ => request.insert(at, random.next() as u8),
            }
        }
        let mut raw = Raw::connect(server.address()).await;
        raw.send(&request).await;
        raw.send(random.frame()).await;
        drop(raw);
        if seed % 10 == 0 {
            bystander.echoes(&seed.to_string()).await;
        }
    }
    bystander.echoes("still here").await;
    until("the end of the others", || server.sessions() == 1).await;
}
