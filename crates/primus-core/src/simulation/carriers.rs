//! A client and its carriers: attaches, repeats, acknowledges, gives up and comes back, over three
//! transports (docs/protocol.md §4 and §5).

mod acting;
mod hearing;

use super::{
    application::{Said, Verdict, size},
    client::Numbers,
    faults::Fault,
    network::{Ms, Network, POLLING, SSE, Up, WEBSOCKET},
    rng::Rng,
};
use crate::native::{self, ClientAttach};

/// How long a client waits for the answer to an attach or a POST.
const PATIENCE: Ms = 2500;
/// Messages in one batch.
const BATCH: usize = 24;

/// An attach that has no answer yet.
struct Attaching {
    connection: u64,
    transport: &'static str,
    /// The id of the session that it named.
    named: Option<String>,
    /// What it said that the client has: nothing beyond is acknowledged until it is answered.
    recv: u64,
    /// What was kept has been sent behind it, up to this number.
    repeated: Option<u64>,
    until: Ms,
}

struct Post {
    connection: u64,
    first: u64,
    last: u64,
    until: Ms,
}

struct Poll {
    connection: u64,
    /// The number that the answer begins with.
    first: u64,
    until: Ms,
}

/// What carries the session.
struct Carrier {
    transport: &'static str,
    generation: u64,
    /// The WebSocket or the event stream.
    connection: Option<u64>,
    token: String,
    /// The number of the next message to the server, and of the next from it.
    next: u64,
    expected: u64,
    heard: Ms,
    silence: Ms,
    ack: (u64, usize),
    /// A ping has to be answered.
    pong: bool,
    post: Option<Post>,
    poll: Option<Poll>,
    not_before: Ms,
}

/// One page.
pub(super) struct Client {
    index: usize,
    /// Its random number; also signs its messages.
    pub(super) author: u64,
    attempt: u64,
    pub(super) session: Option<native::Resume>,
    pub(super) numbers: Numbers,
    carrier: Option<Carrier>,
    attaching: Vec<Attaching>,
    /// It does not attach before.
    pub(super) retry_at: Ms,
    /// It reads nothing before.
    pub(super) reads_at: Ms,
    /// It sends `end` as soon as it can.
    pub(super) ends: bool,
    /// The other side ends it.
    pub(super) parted: bool,
    pub(super) over: bool,
    /// How many messages its application has written; what was handed back to it.
    pub(super) written: u64,
    pub(super) lost: Vec<Said>,
    /// It keeps to these transports.
    transports: Vec<&'static str>,
    rng: Rng,
    verdict: Verdict,
}

impl Client {
    pub(super) fn new(index: usize, mut rng: Rng, verdict: Verdict) -> Self {
        let transports: &[&str] = match rng.between(0, 7) {
            0 => &[WEBSOCKET],
            1 => &[SSE],
            2 | 3 => &[POLLING],
            4 => &[SSE, POLLING],
            _ => &[WEBSOCKET, SSE, POLLING],
        };
        Self {
            index,
            author: index as u64 + 1,
            attempt: 0,
            session: None,
            numbers: Numbers::default(),
            carrier: None,
            attaching: Vec::new(),
            retry_at: 0,
            reads_at: 0,
            ends: false,
            parted: false,
            over: false,
            written: 0,
            lost: Vec::new(),
            transports: transports.to_vec(),
            rng,
            verdict,
        }
    }

    /// A copy of this tab: it knows the session, and its application writes messages of its own.
    pub(super) fn duplicate(&mut self, index: usize, now: Ms) -> Self {
        let mut copy = Self::new(index, self.rng.fork(), self.verdict.clone());
        copy.session.clone_from(&self.session);
        copy.numbers = self.numbers.clone();
        copy.numbers.waiting.clear();
        copy.transports.clone_from(&self.transports);
        copy.retry_at = now + copy.rng.between(0, 400);
        copy
    }

    pub(super) fn is_attached(&self) -> bool {
        self.carrier.is_some()
    }

    pub(super) fn transport(&self) -> Option<&'static str> {
        self.carrier.as_ref().map(|carrier| carrier.transport)
    }

    /// Those of its carrier, and those on which it tries to attach.
    pub(super) fn connections(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.attaching.iter().map(|attaching| attaching.connection).collect();
        if let Some(carrier) = &self.carrier {
            all.extend(carrier.connection);
            all.extend(carrier.post.as_ref().map(|post| post.connection));
            all.extend(carrier.poll.as_ref().map(|poll| poll.connection));
        }
        all
    }

    /// The application writes a message.
    pub(super) fn write(&mut self, most: usize) {
        self.written += 1;
        let said = Said { author: self.author, number: self.written, droppable: false };
        self.numbers.waiting.push_back(said.payload(size(&mut self.rng, most)));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.numbers.waiting.is_empty() && self.numbers.kept.is_empty()
    }

    /// Nobody hears from it until then.
    pub(super) fn stay_away(&mut self, net: &mut Network, now: Ms, until: Ms) {
        self.drop_carrier(net, now);
        for attaching in std::mem::take(&mut self.attaching) {
            net.leave(attaching.connection, now);
        }
        self.retry_at = until;
    }

    pub(super) fn next_at(&self, now: Ms) -> Option<Ms> {
        if self.over {
            return None;
        }
        let mut times: Vec<Ms> = self.attaching.iter().map(|attaching| attaching.until).collect();
        match &self.carrier {
            Some(carrier) => {
                times.extend(carrier.post.as_ref().map(|post| post.until));
                times.extend(carrier.poll.as_ref().map(|poll| poll.until));
                times.extend(carrier.connection.map(|_| carrier.heard + carrier.silence));
                times.push(carrier.not_before);
            }
            None => times.push(self.retry_at),
        }
        times.push(self.reads_at);
        times.into_iter().filter(|at| *at > now).min()
    }

    /// The carrier is lost: it will come back, by and by.
    fn detached(&mut self, net: &mut Network, now: Ms) {
        self.drop_carrier(net, now);
        self.retry_at = now + self.rng.between(0, 250);
    }

    fn drop_carrier(&mut self, net: &mut Network, now: Ms) {
        let Some(carrier) = self.carrier.take() else { return };
        let post = carrier.post.map(|post| post.connection);
        let poll = carrier.poll.map(|poll| poll.connection);
        for id in carrier.connection.into_iter().chain(post).chain(poll) {
            net.leave(id, now);
        }
    }

    /// Tries to attach, by any transport or by another one than it has.
    pub(super) fn attach(&mut self, net: &mut Network, now: Ms, other: bool) {
        let mut transport = self.rng.pick(&self.transports);
        if other {
            let others =
                [WEBSOCKET, SSE, POLLING].map(|name| (name, Some(name) != self.transport()));
            let others: Vec<_> =
                others.into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
            transport = self.rng.pick(&others);
        }
        self.attempt += 1;
        let recv = self.numbers.recv;
        let (next, sent) = (self.numbers.acked + 1, self.numbers.sent());
        let asked = ClientAttach {
            recv,
            next: Some(next),
            sent: Some(sent),
            client: self.author,
            attempt: self.attempt,
            session: self.session.clone(),
            ..ClientAttach::default()
        };
        let connection = net.open(now, transport, self.index, Up::Attach(Box::new(asked)));
        let named = self.session.as_ref().map(|session| session.id.clone());
        // What was sent before may be repeated at once, without waiting for the answer.
        let mut repeated = None;
        if transport == WEBSOCKET && named.is_some() && self.rng.one_in(2) {
            for payload in &self.numbers.kept {
                net.air.coverage.replays += 1;
                net.say_up(connection, now, Up::Data(payload.clone()));
            }
            repeated = Some(sent);
        }
        let until = now + PATIENCE;
        self.attaching.push(Attaching { connection, transport, named, recv, repeated, until });
    }

    /// Two attaches at once, beside the carrier that there may be.
    pub(super) fn attach_twice(&mut self, net: &mut Network, now: Ms) {
        net.air.coverage.count(Fault::TwoAttaches);
        self.attach(net, now, false);
        self.attach(net, now, true);
    }

    pub(super) fn may_attach_beside(&self, now: Ms) -> bool {
        self.session.is_some() && self.attaching.is_empty() && !self.over && now >= self.retry_at
    }

    /// While an attach is on its way beside a living carrier nothing may overtake it: neither a new
    /// number nor an acknowledgement.
    fn is_still(&self) -> bool {
        self.attaching_again().next().is_some()
    }

    fn may_ack(&self) -> u64 {
        self.attaching_again().map(|attaching| attaching.recv).fold(self.numbers.recv, u64::min)
    }

    /// The attaches under way to the session that it has.
    fn attaching_again(&self) -> impl Iterator<Item = &Attaching> {
        let id = self.session.as_ref().map(|session| session.id.as_str());
        self.attaching.iter().filter(move |attaching| attaching.named.as_deref() == id)
    }
}
