//! Connections that are slow, break, and lie about it.

use std::collections::VecDeque;

use serde::Deserialize;

use super::{
    faults::{Coverage, Fault},
    rng::Rng,
    server::End,
};
use crate::{message::Payload, native::ClientAttach};

/// Milliseconds of virtual time.
pub(super) type Ms = u64;

/// The three carriers, by their names.
pub(super) const WEBSOCKET: &str = "websocket";
pub(super) const SSE: &str = "sse";
pub(super) const POLLING: &str = "polling";

/// From the client: frames, or one request.
#[derive(Debug, Clone)]
pub(super) enum Up {
    Attach(Box<ClientAttach>),
    Data(Payload),
    Ack {
        recv: u64,
        next: Option<u64>,
    },
    Pong {
        recv: u64,
    },
    End,
    Post {
        token: String,
        batch: Vec<Self>,
    },
    Poll {
        token: String,
        recv: u64,
    },
    /// The connection is closed, or broken.
    Close,
}

/// From the server: frames, or one answer.
#[derive(Debug, Clone)]
pub(super) enum Down {
    Attach(Answer),
    Refuse(u16),
    Data(Payload),
    Ack(u64),
    Ping {
        recv: u64,
    },
    End {
        code: u16,
        recv: u64,
    },
    Batch(Vec<Self>),
    /// A status, and the `recv` of its body.
    Status(u16, Option<u64>),
    Close,
}

/// The server's attach frame.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) generation: u64,
    pub(super) epoch: String,
    pub(super) recv: u64,
    pub(super) next: u64,
    pub(super) resumed: bool,
    pub(super) reason: Option<String>,
    pub(super) ping: Ms,
    pub(super) timeout: Ms,
    pub(super) ack: (u64, usize),
    pub(super) token: Option<String>,
}

impl Up {
    fn acks(&self) -> u64 {
        match self {
            Self::Ack { .. } | Self::Pong { .. } | Self::Poll { .. } => 1,
            Self::Post { batch, .. } => batch.iter().map(Self::acks).sum(),
            _ => 0,
        }
    }

    pub(super) fn messages(&self) -> u64 {
        match self {
            Self::Data(_) => 1,
            Self::Post { batch, .. } => batch.iter().map(Self::messages).sum(),
            _ => 0,
        }
    }
}

impl Down {
    fn acks(&self) -> u64 {
        match self {
            Self::Ack(_) | Self::Ping { .. } | Self::Status(204, _) => 1,
            Self::Batch(batch) => batch.iter().map(Self::acks).sum(),
            _ => 0,
        }
    }

    fn answers_attach(&self) -> bool {
        match self {
            Self::Attach(_) => true,
            Self::Batch(batch) => matches!(batch.first(), Some(Self::Attach(_))),
            _ => false,
        }
    }
}

/// One direction of a connection; it keeps order.
#[derive(Debug)]
pub(super) struct Pipe<T> {
    queue: VecDeque<(Ms, T)>,
    /// Nothing arrives before what was sent before it, nor while the pipe stands still.
    not_before: Ms,
    /// What is put in is lost.
    silent: bool,
}

impl<T> Default for Pipe<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), not_before: 0, silent: false }
    }
}

impl<T> Pipe<T> {
    fn put(&mut self, at: Ms, item: T) {
        self.not_before = self.not_before.max(at);
        self.queue.push_back((self.not_before, item));
    }

    pub(super) fn arrived(&mut self, now: Ms) -> Option<T> {
        if self.queue.front()?.0 > now {
            return None;
        }
        self.queue.pop_front().map(|(_, item)| item)
    }

    pub(super) fn next_at(&self) -> Option<Ms> {
        self.queue.front().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// A connection: a WebSocket, or one HTTP request.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) transport: &'static str,
    /// Which client listens; none where it has given up, or the request was repeated by a proxy.
    pub(super) client: Option<usize>,
    pub(super) up: Pipe<Up>,
    pub(super) down: Pipe<Down>,
    /// The server's end.
    pub(super) end: End,
}

/// What all connections have in common: their speed, and what is about to go wrong.
pub(super) struct Air {
    pub(super) rng: Rng,
    pub(super) coverage: Coverage,
    latency: (Ms, Ms),
    pub(super) healed: bool,
    /// So many of the next poll answers, attach answers, events and POSTs go wrong.
    pub(super) lose_polls: u32,
    pub(super) lose_attaches: u32,
    pub(super) truncate_streams: u32,
    pub(super) replay_requests: u32,
    pub(super) overtake_posts: u32,
}

impl Air {
    fn arrival(&mut self, now: Ms) -> Ms {
        now + self.rng.between(self.latency.0, self.latency.1)
    }

    fn lose_up(&mut self, up: &Up) {
        self.coverage.lost_acks += up.acks();
    }

    fn lose_down(&mut self, down: &Down) {
        self.coverage.lost_acks += down.acks();
    }
}

fn goes_wrong(armed: &mut u32, healed: bool) -> bool {
    let wrong = *armed > 0 && !healed;
    *armed -= u32::from(wrong);
    wrong
}

impl Connection {
    pub(super) fn say_up(&mut self, air: &mut Air, now: Ms, up: Up) {
        if self.up.silent {
            return air.lose_up(&up);
        }
        let at = air.arrival(now);
        self.up.put(at, up);
    }

    pub(super) fn say_down(&mut self, air: &mut Air, now: Ms, down: Down) {
        if self.down.silent {
            return air.lose_down(&down);
        }
        let lost = if down.answers_attach() {
            let lost = goes_wrong(&mut air.lose_attaches, air.healed);
            lost.then_some(Fault::AttachLost)
        } else if matches!(down, Down::Batch(_)) {
            goes_wrong(&mut air.lose_polls, air.healed).then_some(Fault::PollLost)
        } else {
            None
        };
        let at = air.arrival(now);
        let is_event = self.transport == SSE && matches!(down, Down::Data(_));
        if is_event && goes_wrong(&mut air.truncate_streams, air.healed) {
            // What has left before it arrives; it does not.
            air.coverage.count(Fault::Truncated);
            let end = self.down.len();
            return self.break_behind(air, now, end);
        }
        let Some(fault) = lost else { return self.down.put(at, down) };
        air.coverage.count(fault);
        air.lose_down(&down);
        if air.rng.one_in(2) {
            self.half_open(air);
            self.down.silent = true;
        } else {
            self.cut(air, now);
        }
    }

    /// Breaks the connection: a part of what is in flight still arrives.
    pub(super) fn cut(&mut self, air: &mut Air, now: Ms) {
        let arrive = air.rng.between(0, self.down.len() as u64) as usize;
        self.break_behind(air, now, arrive);
    }

    /// Breaks the connection, of whose frames for the client so many still arrive.
    fn break_behind(&mut self, air: &mut Air, now: Ms, arrive: usize) {
        for (_, lost) in self.down.queue.drain(arrive..) {
            air.lose_down(&lost);
        }
        let arrive = air.rng.between(0, self.up.len() as u64) as usize;
        for (_, lost) in self.up.queue.drain(arrive..) {
            air.lose_up(&lost);
        }
        let (up, down) = (air.arrival(now), air.arrival(now));
        self.up.put(up, Up::Close);
        self.down.put(down, Down::Close);
        (self.up.silent, self.down.silent) = (true, true);
    }

    /// From now on nothing arrives, in one direction or both, and nobody is told.
    pub(super) fn half_open(&mut self, air: &mut Air) {
        let which = air.rng.between(1, 3);
        if which & 1 != 0 {
            self.up.silent = true;
            for (_, lost) in self.up.queue.drain(..) {
                air.lose_up(&lost);
            }
        }
        if which & 2 != 0 {
            self.down.silent = true;
            for (_, lost) in self.down.queue.drain(..) {
                air.lose_down(&lost);
            }
        }
    }

    /// Nothing arrives before `until`.
    pub(super) fn stall(&mut self, until: Ms) {
        fn hold<T>(pipe: &mut Pipe<T>, until: Ms) {
            pipe.not_before = pipe.not_before.max(until);
            for (at, _) in &mut pipe.queue {
                *at = until.max(*at);
            }
        }
        hold(&mut self.up, until);
        hold(&mut self.down, until);
    }

    /// The client is done with it.
    pub(super) fn leave(&mut self, air: &mut Air, now: Ms) {
        if self.client.take().is_some() {
            self.say_up(air, now, Up::Close);
        }
    }

    fn is_over(&self) -> bool {
        let served = match self.end {
            End::Over { .. } => true,
            End::Waiting => self.up.silent, // nothing will ever come
            _ => false,
        };
        served && self.up.is_empty() && (self.client.is_none() || self.down.is_empty())
    }
}

/// All connections.
pub(super) struct Network {
    pub(super) air: Air,
    pub(super) connections: Vec<Connection>,
    opened: u64,
}

impl Network {
    pub(super) fn new(mut rng: Rng) -> Self {
        let fastest = rng.between(1, 40);
        let latency = (fastest, fastest + rng.between(0, 40));
        let air = Air {
            rng,
            coverage: Coverage::default(),
            latency,
            healed: false,
            lose_polls: 0,
            lose_attaches: 0,
            truncate_streams: 0,
            replay_requests: 0,
            overtake_posts: 0,
        };
        Self { air, connections: Vec::new(), opened: 0 }
    }

    /// Opens a connection whose first frame, or whose request, is `first`.
    pub(super) fn open(
        &mut self,
        now: Ms,
        transport: &'static str,
        client: usize,
        first: Up,
    ) -> u64 {
        let is_post = matches!(first, Up::Post { .. });
        if is_post && goes_wrong(&mut self.air.overtake_posts, self.air.healed) {
            // It will arrive, but the client is told that it has failed, and goes on.
            self.air.coverage.count(Fault::Overtaken);
            let late = now + self.air.rng.between(100, 2500);
            self.send_again(late, transport, first);
            let id = self.connect(transport, Some(client));
            let failed = self.air.arrival(now);
            let connection = self.connections.last_mut().expect("just pushed");
            connection.end = End::Over { fenced: false };
            connection.down.put(failed, Down::Close);
            return id;
        }
        let is_request = transport != WEBSOCKET;
        if is_request && goes_wrong(&mut self.air.replay_requests, self.air.healed) {
            self.air.coverage.count(Fault::Replayed);
            let late = now + self.air.rng.between(0, 1500);
            self.send_again(late, transport, first.clone());
        }
        let id = self.connect(transport, Some(client));
        let connection = self.connections.last_mut().expect("just pushed");
        connection.say_up(&mut self.air, now, first);
        id
    }

    fn connect(&mut self, transport: &'static str, client: Option<usize>) -> u64 {
        self.opened += 1;
        self.connections.push(Connection {
            id: self.opened,
            transport,
            client,
            up: Pipe::default(),
            down: Pipe::default(),
            end: End::Waiting,
        });
        self.opened
    }

    /// A request that arrives at `late`, to whose answer nobody listens.
    fn send_again(&mut self, late: Ms, transport: &'static str, request: Up) {
        self.connect(transport, None);
        let at = self.air.arrival(late);
        self.connections.last_mut().expect("just pushed").up.put(at, request);
    }

    pub(super) fn get(&mut self, id: u64) -> Option<(&mut Connection, &mut Air)> {
        let connection = self.connections.iter_mut().find(|connection| connection.id == id)?;
        Some((connection, &mut self.air))
    }

    pub(super) fn say_up(&mut self, id: u64, now: Ms, up: Up) {
        if let Some((connection, air)) = self.get(id) {
            connection.say_up(air, now, up);
        }
    }

    pub(super) fn leave(&mut self, id: u64, now: Ms) {
        if let Some((connection, air)) = self.get(id) {
            connection.leave(air, now);
        }
    }

    pub(super) fn tidy(&mut self) {
        self.connections.retain(|connection| !connection.is_over());
    }
}
