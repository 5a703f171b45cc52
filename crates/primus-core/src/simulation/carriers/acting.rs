//! What a client does by itself: gives up what takes too long, comes back, sends what there is.

use super::{
    super::{
        client::Numbers,
        network::{Air, Down, Ms, Network, POLLING, SSE, Up, WEBSOCKET},
    },
    BATCH, Carrier, Client, PATIENCE, Poll, Post,
};
use crate::message::Payload;

impl Client {
    /// Gives up what takes too long, comes back, sends what there is.
    pub(in super::super) fn act(&mut self, net: &mut Network, now: Ms) {
        if self.over {
            return;
        }
        self.give_up(net, now);
        if self.carrier.is_none() {
            if self.attaching.is_empty() && now >= self.retry_at {
                self.attach(net, now, false);
            }
            return;
        }
        if now < self.reads_at {
            return; // it is not slow at reading only
        }
        let Some(carrier) = &self.carrier else { return };
        match carrier.connection.filter(|_| carrier.transport == WEBSOCKET) {
            Some(connection) => self.talk(connection, net, now),
            None => self.post(net, now),
        }
        self.poll(net, now);
    }

    fn give_up(&mut self, net: &mut Network, now: Ms) {
        while let Some(at) = self.attaching.iter().position(|attaching| now >= attaching.until) {
            let attaching = self.attaching.remove(at);
            net.leave(attaching.connection, now);
        }
        let Some(carrier) = &mut self.carrier else { return };
        if now < self.reads_at {
            carrier.heard = now;
        }
        if carrier.connection.is_some() && now >= carrier.heard + carrier.silence {
            return self.detached(net, now);
        }
        if carrier.post.as_ref().is_some_and(|post| now >= post.until) {
            return self.posted(Down::Close, net, now);
        }
        if carrier.poll.as_ref().is_some_and(|poll| now >= poll.until) {
            self.polled(Down::Close, net, now);
        }
    }

    fn talk(&mut self, connection: u64, net: &mut Network, now: Ms) {
        let (still, recv) = (self.is_still(), self.may_ack());
        let Some(carrier) = &mut self.carrier else { return };
        carrier.next = carrier.next.max(self.numbers.acked + 1);
        while let Some(payload) = take(carrier, &mut self.numbers, still, &mut net.air) {
            net.say_up(connection, now, Up::Data(payload));
        }
        if std::mem::take(&mut carrier.pong) {
            net.say_up(connection, now, Up::Pong { recv });
            self.numbers.told();
        }
        if self.numbers.owes_ack(carrier.ack) && !still {
            net.say_up(connection, now, Up::Ack { recv, next: None });
            self.numbers.told();
        }
        if self.ends && self.numbers.waiting.is_empty() {
            net.say_up(connection, now, Up::End);
            self.over = true;
            self.drop_carrier(net, now);
        }
    }

    fn post(&mut self, net: &mut Network, now: Ms) {
        let (still, recv) = (self.is_still(), self.may_ack());
        let Some(carrier) = &mut self.carrier else { return };
        if carrier.post.is_some() || now < carrier.not_before {
            return;
        }
        carrier.next = carrier.next.max(self.numbers.acked + 1);
        let mut batch = Vec::new();
        if carrier.next > self.numbers.sent() && (still || self.numbers.waiting.is_empty()) {
            carrier.next = self.numbers.acked + 1; // what it has passed over may be missing
        }
        let first = carrier.next;
        while batch.len() < BATCH
            && let Some(payload) = take(carrier, &mut self.numbers, still, &mut net.air)
        {
            batch.push(Up::Data(payload));
        }
        if !batch.is_empty() {
            batch.insert(0, Up::Ack { recv, next: Some(first) });
        }
        if std::mem::take(&mut carrier.pong) {
            batch.push(Up::Pong { recv });
        } else if batch.is_empty()
            && carrier.transport == SSE
            && !still
            && self.numbers.owes_ack(carrier.ack)
        {
            batch.push(Up::Ack { recv, next: None });
        }
        let ends = self.ends && self.numbers.waiting.is_empty();
        if ends {
            batch.push(Up::End);
        }
        if batch.is_empty() {
            return;
        }
        self.numbers.told();
        let (token, last) = (carrier.token.clone(), carrier.next - 1);
        let post = Up::Post { token, batch };
        let connection = net.open(now, carrier.transport, self.index, post);
        carrier.post = Some(Post { connection, first, last, until: now + PATIENCE });
        if ends {
            self.over = true;
            self.drop_carrier(net, now);
        }
    }

    fn poll(&mut self, net: &mut Network, now: Ms) {
        let recv = self.may_ack();
        let Some(carrier) = &mut self.carrier else { return };
        if carrier.transport != POLLING || carrier.poll.is_some() {
            return;
        }
        let token = carrier.token.clone();
        let connection = net.open(now, POLLING, self.index, Up::Poll { token, recv });
        carrier.poll = Some(Poll { connection, first: recv + 1, until: now + 2 * PATIENCE });
        self.numbers.told();
    }
}

/// The next message for this carrier.
fn take(
    carrier: &mut Carrier,
    numbers: &mut Numbers,
    still: bool,
    air: &mut Air,
) -> Option<Payload> {
    let again = carrier.next <= numbers.sent();
    let payload = numbers.take(carrier.next, !still)?;
    air.coverage.replays += u64::from(again);
    carrier.next += 1;
    Some(payload)
}
