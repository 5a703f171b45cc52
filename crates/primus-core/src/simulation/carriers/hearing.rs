//! What a client does with what arrives.

use super::{
    super::{
        application::Said,
        client,
        network::{Answer, Down, Ms, Network, POLLING, Up, WEBSOCKET},
    },
    Attaching, Carrier, Client,
};

impl Client {
    /// Handles what has arrived on its connections. True: something has.
    pub(in super::super) fn read(&mut self, net: &mut Network, now: Ms) -> bool {
        let mut progress = false;
        for at in 0..net.connections.len() {
            let connection = &mut net.connections[at];
            if connection.client != Some(self.index) || now < self.reads_at {
                continue;
            }
            let id = connection.id;
            while let Some(connection) = net.connections.get_mut(at)
                && connection.client == Some(self.index)
                && let Some(down) = connection.down.arrived(now)
            {
                progress = true;
                self.arrived(id, down, net, now);
            }
        }
        progress
    }

    fn arrived(&mut self, id: u64, down: Down, net: &mut Network, now: Ms) {
        if self.over {
            return net.leave(id, now);
        }
        if let Some(at) = self.attaching.iter().position(|attaching| attaching.connection == id) {
            return self.attach_answered(at, down, net, now);
        }
        let Some(carrier) = &mut self.carrier else { return net.leave(id, now) };
        carrier.heard = now;
        if carrier.connection == Some(id) {
            match down {
                Down::Close => self.detached(net, now),
                down => self.frame(down, net, now),
            }
        } else if carrier.post.as_ref().is_some_and(|post| post.connection == id) {
            self.posted(down, net, now);
        } else if carrier.poll.as_ref().is_some_and(|poll| poll.connection == id) {
            self.polled(down, net, now);
        } else {
            net.leave(id, now);
        }
    }

    fn attach_answered(&mut self, at: usize, down: Down, net: &mut Network, now: Ms) {
        let attaching = self.attaching.remove(at);
        let (answer, rest) = match down {
            Down::Attach(answer) => (answer, Vec::new()),
            Down::Batch(mut batch) => match batch.remove(0) {
                Down::Attach(answer) => (answer, batch),
                other => return self.verdict.fail(format!("{other:?} answers an attach")),
            },
            Down::Refuse(410) if self.verdict.rules().ending => {
                // A copy of this tab has the session, and has ended it.
                self.over = true;
                return;
            }
            Down::Refuse(409) | Down::Close => {
                net.leave(attaching.connection, now);
                self.retry_at = now + self.rng.between(1, 300);
                return;
            }
            other => return self.verdict.fail(format!("{other:?} answers an attach")),
        };
        let had = self.session.as_ref();
        let same = attaching.named.as_deref() == had.map(|had| had.id.as_str());
        let newer =
            self.carrier.as_ref().is_none_or(|carrier| answer.generation > carrier.generation);
        if !same || answer.resumed && !newer {
            // Overtaken by another attach.
            return net.leave(attaching.connection, now);
        }
        self.adopt(attaching, answer, net, now);
        for down in rest {
            self.frame(down, net, now);
        }
    }

    fn adopt(&mut self, attaching: Attaching, answer: Answer, net: &mut Network, now: Ms) {
        self.drop_carrier(net, now);
        if answer.resumed {
            self.numbers.ack(answer.recv, &self.verdict);
            if answer.next > self.numbers.recv + 1 {
                self.verdict.fail(format!("{answer:?}, but {} was received", self.numbers.recv));
            }
        } else if attaching.named.is_some() {
            // One that was to be ended by the other side has gone to a copy of this tab.
            self.ends |= self.parted;
            self.lose_session();
        }
        self.session = Some(client::name(&answer));
        let repeated = attaching.repeated.filter(|_| answer.resumed);
        let next = repeated.unwrap_or(answer.recv) + 1;
        let polls = attaching.transport == POLLING;
        if polls {
            net.leave(attaching.connection, now);
        }
        self.carrier = Some(Carrier {
            transport: attaching.transport,
            generation: answer.generation,
            connection: (!polls).then_some(attaching.connection),
            token: answer.token.unwrap_or_default(),
            next,
            expected: answer.next,
            heard: now,
            silence: answer.ping + answer.timeout,
            ack: answer.ack,
            pong: false,
            post: None,
            poll: None,
            not_before: now,
        });
        if attaching.transport == WEBSOCKET && attaching.named.is_some() {
            let recv = self.may_ack();
            net.say_up(attaching.connection, now, Up::Ack { recv, next: Some(next) });
        }
    }

    fn lose_session(&mut self) {
        let lost = self.numbers.renew();
        self.lost.extend(lost.iter().filter_map(Said::read));
        self.session = None;
    }

    /// A frame of the server, on a stream or in the answer to a poll.
    fn frame(&mut self, down: Down, net: &mut Network, now: Ms) {
        let Some(carrier) = &mut self.carrier else { return };
        match down {
            Down::Data(payload) => {
                let number = carrier.expected;
                carrier.expected += 1;
                if !self.numbers.receive(number, &payload, &self.verdict) {
                    net.air.coverage.duplicates += 1;
                }
            }
            Down::Ack(recv) => self.numbers.ack(recv, &self.verdict),
            Down::Ping { recv } => {
                carrier.pong = true;
                self.numbers.ack(recv, &self.verdict);
            }
            Down::End { code, recv } => {
                self.numbers.ack(recv, &self.verdict);
                let transport = carrier.transport;
                self.drop_carrier(net, now);
                match code {
                    4000 => return self.told_the_end(),
                    4005 => self.verdict.lost_for("overflow", transport),
                    _ => self.verdict.fail(format!("the session ended with {code}")),
                }
                self.lose_session();
                self.retry_at = now + 1;
            }
            other => self.verdict.fail(format!("the server said {other:?}")),
        }
    }

    /// The application has ended the session: everything that it said has come before.
    fn told_the_end(&mut self) {
        self.over = true;
        let id = self.session.as_ref().map_or("", |session| &session.id);
        let (read, written) = (self.numbers.read, self.verdict.book(id, |book| book.written));
        if read != written {
            self.verdict.fail(format!("the end came after {read} of {written} messages"));
        }
    }

    pub(super) fn posted(&mut self, down: Down, net: &mut Network, now: Ms) {
        let Some(carrier) = &mut self.carrier else { return };
        let Some(post) = carrier.post.take() else { return };
        net.leave(post.connection, now);
        carrier.next = post.first;
        match down {
            Down::Status(204, _) => {
                self.numbers.ack(post.last, &self.verdict);
                carrier.next = post.last + 1;
            }
            Down::Status(409 | 429, Some(recv)) => {
                self.numbers.ack(recv, &self.verdict);
                carrier.next = recv + 1;
                carrier.not_before = now + 50;
            }
            Down::Status(409, None) => carrier.not_before = now + 50,
            Down::Status(404, _) => self.detached(net, now),
            // It failed. Whoever goes on is told where he should have gone on.
            Down::Close if self.rng.one_in(3) => carrier.next = post.last + 1,
            Down::Close => {}
            other => self.verdict.fail(format!("{other:?} answers a POST")),
        }
    }

    pub(super) fn polled(&mut self, down: Down, net: &mut Network, now: Ms) {
        let Some(carrier) = &mut self.carrier else { return };
        let Some(poll) = carrier.poll.take() else { return };
        net.leave(poll.connection, now);
        carrier.expected = poll.first;
        match down {
            Down::Batch(batch) => {
                for down in batch {
                    self.frame(down, net, now);
                }
            }
            Down::Status(204, _) | Down::Close => {}
            Down::Status(404 | 409, _) => self.detached(net, now),
            other => self.verdict.fail(format!("{other:?} answers a poll")),
        }
    }
}
