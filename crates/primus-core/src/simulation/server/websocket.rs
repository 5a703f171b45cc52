//! A WebSocket: read, run the handler, write, as its driver does.

use std::task::Context;

use super::{
    super::network::{Air, Connection, Down, Ms, Up},
    BUDGET, CAPACITY, End, Server, Took, take,
};
use crate::{
    close::CloseReason,
    message::Payload,
    session::{Batch, Carrier, DeliverError},
};

impl Server {
    /// A WebSocket's turn: read, run the handler, write.
    #[expect(clippy::too_many_arguments, reason = "the parts of an end, and the world around it")]
    pub(super) fn drive(
        &mut self,
        mut carrier: Carrier,
        mut held: Option<Payload>,
        mut ended: bool,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> (End, bool) {
        let mut turn = carrier.begin_turn();
        let mut progress = false;
        let mut closed = false;
        loop {
            let payload = match held.take() {
                Some(payload) => payload,
                None => match connection.up.arrived(now) {
                    None => break,
                    Some(up) => {
                        progress = true;
                        turn.session().seen();
                        match up {
                            Up::Data(payload) => payload,
                            Up::Ack { recv, next } => {
                                let acked = turn.acked(recv, next);
                                self.must(acked, &turn, "ack");
                                continue;
                            }
                            Up::Pong { recv } => {
                                turn.session().ponged();
                                let acked = turn.acked(recv, None);
                                self.must(acked, &turn, "pong");
                                continue;
                            }
                            Up::End => {
                                ended = true;
                                turn.session().end(CloseReason::NORMAL);
                                continue;
                            }
                            Up::Close => {
                                closed = true;
                                break;
                            }
                            Up::Attach(_) | Up::Post { .. } | Up::Poll { .. } => {
                                unreachable!("not on a WebSocket")
                            }
                        }
                    }
                },
            };
            let (recv, generation) = (turn.session().recv(), turn.session().generation());
            // One after the other, or as what a driver reads at once.
            let alone = now.is_multiple_of(2);
            let delivered =
                if alone { turn.deliver(payload) } else { together(&mut turn, payload) };
            match delivered {
                Ok(()) => {
                    let delivered = turn.session().recv() != recv;
                    if delivered && turn.generation() != generation {
                        self.verdict.fail("a fenced carrier delivered".into());
                    }
                    air.coverage.duplicates += u64::from(alone && !delivered);
                }
                Err(DeliverError::Full(payload)) => {
                    held = Some(payload.body());
                    if turn.session().poll_room(cx).is_ready() {
                        continue;
                    }
                    break;
                }
                Err(DeliverError::Fenced) => air.coverage.fenced += 1,
                Err(DeliverError::Ended(_)) => {}
                Err(DeliverError::Gap { recv }) => {
                    self.verdict.fail(format!("a gap behind {recv} on an ordered carrier"));
                }
            }
        }
        turn.run();
        let mut wrote = false;
        loop {
            if connection.down.len() >= CAPACITY {
                carrier.blocked();
                break;
            }
            let mut frames = Vec::new();
            let took = take(&mut carrier, BUDGET, cx, &mut frames, air);
            wrote |= !frames.is_empty();
            match took {
                Took::Nothing => break,
                Took::Some => {
                    frames.into_iter().for_each(|down| connection.say_down(air, now, down))
                }
                Took::End => {
                    let frames = frames.into_iter().filter(|frame| {
                        !ended || !matches!(frame, Down::End { .. }) // it knows
                    });
                    frames.for_each(|down| connection.say_down(air, now, down));
                    connection.say_down(air, now, Down::Close);
                    carrier.finish();
                    return (End::Over { fenced: false }, true);
                }
                Took::Gone(reason) => {
                    connection.say_down(air, now, Down::Close);
                    return (End::Over { fenced: reason == CloseReason::REPLACED }, true);
                }
            }
        }
        if closed {
            carrier.lost(CloseReason::GOING_AWAY);
            return (End::Over { fenced: false }, true);
        }
        if let Some(recv) = carrier.ack(wrote) {
            connection.say_down(air, now, Down::Ack(recv));
        }
        (End::Duplex { carrier, held, ended }, progress || wrote)
    }
}

fn together(carrier: &mut Carrier, payload: Payload) -> Result<(), DeliverError> {
    let mut batch = Batch::default();
    batch.push(payload.clone());
    if carrier.deliver_all(&mut batch) { Ok(()) } else { Err(DeliverError::Full(payload.into())) }
}
