//! An event stream, a poll, a POST.

use std::{sync::Arc, task::Context};

use super::{
    super::network::{Air, Connection, Down, Ms, Up},
    BUDGET, CAPACITY, End, Posting, Server, Took, park, take,
};
use crate::{
    close::CloseReason,
    session::{Carrier, DeliverError},
};

impl Server {
    pub(super) fn stream(
        &mut self,
        mut carrier: Carrier,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> (End, bool) {
        if let Some(Up::Close) = connection.up.arrived(now) {
            carrier.lost(CloseReason::GOING_AWAY);
            return (End::Over { fenced: false }, true);
        }
        let mut progress = false;
        loop {
            if connection.down.len() >= CAPACITY {
                carrier.blocked();
                return (End::Stream(carrier), progress);
            }
            let mut frames = Vec::new();
            let took = take(&mut carrier, BUDGET, cx, &mut frames, air);
            frames.into_iter().for_each(|down| connection.say_down(air, now, down));
            match took {
                Took::Nothing => return (End::Stream(carrier), progress),
                Took::Some => progress = true,
                Took::End => {
                    connection.say_down(air, now, Down::Close);
                    carrier.finish();
                    return (End::Over { fenced: false }, true);
                }
                Took::Gone(_) => {
                    connection.say_down(air, now, Down::Close);
                    return (End::Over { fenced: false }, true);
                }
            }
        }
    }

    pub(super) fn poll(
        &mut self,
        token: &str,
        recv: u64,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> End {
        let refuse = |connection: &mut Connection, air: &mut Air, status| {
            connection.say_down(air, now, Down::Status(status, None));
            End::Over { fenced: false }
        };
        let Some((session, generation)) = self.mount.by_token(token) else {
            air.coverage.fenced += 1;
            return refuse(connection, air, 404);
        };
        let Some(mut carrier) = session.unpark(generation) else {
            return refuse(connection, air, 409);
        };
        if !carrier.rewind(recv) {
            park(carrier);
            return refuse(connection, air, 404);
        }
        let until = now + session.limits().poll_timeout.as_millis() as u64;
        self.hold(carrier, until, connection, air, now, cx).0
    }

    pub(super) fn hold(
        &mut self,
        mut carrier: Carrier,
        until: Ms,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> (End, bool) {
        if let Some(Up::Close) = connection.up.arrived(now) {
            park(carrier);
            return (End::Over { fenced: false }, true);
        }
        let mut batch = Vec::new();
        match take(&mut carrier, BUDGET, cx, &mut batch, air) {
            Took::Nothing if now < until => return (End::Held { carrier, until }, false),
            Took::Nothing => {
                park(carrier);
                connection.say_down(air, now, Down::Status(204, None));
            }
            Took::Some => {
                park(carrier);
                connection.say_down(air, now, Down::Batch(batch));
            }
            Took::End => {
                connection.say_down(air, now, Down::Batch(batch));
                carrier.finish();
            }
            Took::Gone(_) => connection.say_down(air, now, Down::Status(409, None)),
        }
        (End::Over { fenced: false }, true)
    }

    pub(super) fn post(
        &mut self,
        mut posting: Posting,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> (End, bool) {
        let Posting { session, generation, batch, number, until } = &mut posting;
        let status = loop {
            let Some(up) = batch.pop_front() else { break (204, None) };
            match up {
                Up::Ack { recv, next } => {
                    let acked = session.acked_by(*generation, recv);
                    self.must(acked, &*session, "ack of a POST");
                    *number = next.unwrap_or(*number);
                }
                Up::Pong { recv } => {
                    session.ponged();
                    let acked = session.acked_by(*generation, recv);
                    self.must(acked, &*session, "pong of a POST");
                }
                Up::Data(payload) => {
                    let (recv, current) = (session.recv(), session.generation());
                    match session.receive(*generation, *number, payload) {
                        Ok(()) => {
                            *number += 1;
                            let delivered = session.recv() != recv;
                            if delivered && *generation != current {
                                self.verdict.fail("a fenced POST delivered".into());
                            }
                            air.coverage.duplicates += u64::from(!delivered);
                        }
                        Err(DeliverError::Full(payload)) => {
                            batch.push_front(Up::Data(payload.body()));
                            if session.poll_room(cx).is_ready() {
                                continue;
                            }
                            if now < *until {
                                return (End::Posting(posting), false);
                            }
                            break (429, Some(session.recv()));
                        }
                        Err(DeliverError::Gap { recv }) => {
                            air.coverage.gaps += 1;
                            break (409, Some(recv));
                        }
                        Err(DeliverError::Fenced) => {
                            let rest: u64 = batch.iter().map(Up::messages).sum();
                            air.coverage.fenced += 1 + rest;
                            break (404, None);
                        }
                        Err(DeliverError::Ended(_)) => break (404, None),
                    }
                }
                Up::End => session.left(*generation),
                Up::Attach(_) | Up::Post { .. } | Up::Poll { .. } | Up::Close => {
                    unreachable!("not in a batch")
                }
            }
        };
        self.posting.retain(|other| !Arc::ptr_eq(other, session));
        connection.say_down(air, now, Down::Status(status.0, status.1));
        (End::Over { fenced: false }, true)
    }
}
