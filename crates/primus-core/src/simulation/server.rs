//! The server's ends of connections: what the transformers do, without bytes.
//!
//! They use what transformers use: [`Mount::attach`], and the methods of [`Carrier`] and [`Session`].

mod requests;
mod websocket;

use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Uri};

use super::{
    application::Verdict,
    network::{Air, Answer, Connection, Down, Ms, SSE, Up, WEBSOCKET},
};
use crate::{
    authorize::Rejection,
    close::CloseReason,
    message::Payload,
    mount::{Attached, Mount},
    native::ClientAttach,
    packet::Outgoing,
    request::Head,
    session::{Carriage, Carrier, Session},
};

/// Frames in flight on one connection before the server waits.
const CAPACITY: usize = 48;
/// Bytes that are taken at a time.
const BUDGET: usize = 2048;

/// The server's end of one connection.
pub(super) enum End {
    /// Nothing has arrived.
    Waiting,
    Duplex {
        carrier: Carrier,
        held: Option<Payload>,
        ended: bool,
    },
    Stream(Carrier),
    /// A poll that is held.
    Held {
        carrier: Carrier,
        until: Ms,
    },
    Posting(Posting),
    /// `fenced`: another carrier has taken the session.
    Over {
        fenced: bool,
    },
}

/// A batch that waits for the handler.
pub(super) struct Posting {
    session: Arc<Session>,
    generation: u64,
    batch: VecDeque<Up>,
    number: u64,
    until: Ms,
}

impl End {
    pub(super) fn next_at(&self) -> Option<Ms> {
        match self {
            Self::Held { until, .. } | Self::Posting(Posting { until, .. }) => Some(*until),
            _ => None,
        }
    }
}

pub(super) struct Server {
    pub(super) mount: Arc<Mount>,
    pub(super) verdict: Verdict,
    /// Sessions with a POST under way: one at a time.
    posting: Vec<Arc<Session>>,
}

impl Server {
    pub(super) fn new(mount: Arc<Mount>, verdict: Verdict) -> Self {
        Self { mount, verdict, posting: Vec::new() }
    }

    /// Does what there is to do on one connection. True: something was.
    pub(super) fn serve(
        &mut self,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> bool {
        let end = std::mem::replace(&mut connection.end, End::Over { fenced: false });
        let (end, progress) = match end {
            End::Waiting => match connection.up.arrived(now) {
                Some(first) => (self.begin(first, connection, air, now, cx), true),
                None => (End::Waiting, false),
            },
            End::Duplex { carrier, held, ended } => {
                self.drive(carrier, held, ended, connection, air, now, cx)
            }
            End::Stream(carrier) => self.stream(carrier, connection, air, now, cx),
            End::Held { carrier, until } => self.hold(carrier, until, connection, air, now, cx),
            End::Posting(posting) => self.post(posting, connection, air, now, cx),
            End::Over { fenced } => {
                let late = connection.up.arrived(now);
                if fenced && let Some(late) = &late {
                    air.coverage.fenced += late.messages();
                }
                (End::Over { fenced }, late.is_some())
            }
        };
        connection.end = end;
        progress
    }

    /// The first frame, or the request.
    fn begin(
        &mut self,
        first: Up,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> End {
        match first {
            Up::Attach(asked) => self.attach(*asked, connection, air, now, cx),
            Up::Poll { token, recv } => self.poll(&token, recv, connection, air, now, cx),
            Up::Post { token, batch } => {
                let messages: u64 = batch.iter().map(Up::messages).sum();
                let Some((session, generation)) = self.mount.by_token(&token) else {
                    air.coverage.fenced += messages;
                    connection.say_down(air, now, Down::Status(404, None));
                    return End::Over { fenced: false };
                };
                if self.posting.iter().any(|other| Arc::ptr_eq(other, &session)) {
                    connection.say_down(air, now, Down::Status(409, None));
                    return End::Over { fenced: false };
                }
                session.seen();
                self.posting.push(Arc::clone(&session));
                let until = now + session.limits().body_timeout.as_millis() as u64;
                let (number, batch) = (session.recv() + 1, batch.into());
                let posting = Posting { session, generation, batch, number, until };
                self.post(posting, connection, air, now, cx).0
            }
            _ => End::Over { fenced: false },
        }
    }

    fn attach(
        &mut self,
        asked: ClientAttach,
        connection: &mut Connection,
        air: &mut Air,
        now: Ms,
        cx: &mut Context<'_>,
    ) -> End {
        let carriage = match connection.transport {
            WEBSOCKET => Carriage::DRIVER,
            SSE => Carriage::STREAM,
            _ => Carriage { drives: true, ..Carriage::SILENT },
        };
        let had = asked.session.as_ref().and_then(|had| self.find(&had.id));
        let before = had.as_ref().map(|had| had.generation());
        let is_carried = had.as_ref().is_some_and(|had| !had.is_detached());
        let Attached { carrier, answer } = match self.try_attach(&asked, carriage, connection, cx) {
            Ok(attached) => attached,
            Err(rejection) => {
                let status = rejection.status().as_u16();
                air.coverage.stragglers += u64::from(status == 409);
                connection.say_down(air, now, Down::Refuse(status));
                return End::Over { fenced: false };
            }
        };
        let frame = answer.to_frame();
        let json = frame.strip_prefix("primus::attach::").unwrap_or_default();
        let answer: Answer = serde_json::from_str(json).expect("an attach frame is JSON");
        if answer.resumed {
            air.coverage.resumes += 1;
            self.verdict.may_resume(&asked, before);
        }
        if is_carried && had.is_some_and(|had| had.is_ended()) && self.verdict.is_other(&asked) {
            self.verdict.fail("a copy of a tab has ended the session of the other".into());
        }
        self.verdict.attached(&answer, &asked, connection.transport);
        match connection.transport {
            WEBSOCKET => {
                connection.say_down(air, now, Down::Attach(answer));
                End::Duplex { carrier, held: None, ended: false }
            }
            SSE => {
                connection.say_down(air, now, Down::Attach(answer));
                End::Stream(carrier)
            }
            _ => {
                let mut batch = vec![Down::Attach(answer)];
                let mut carrier = carrier;
                carrier.run();
                let session = Arc::clone(carrier.session());
                match take(&mut carrier, BUDGET, cx, &mut batch, air) {
                    Took::End => carrier.finish(),
                    _ => park(carrier),
                }
                connection.say_down(air, now, Down::Batch(batch));
                session.run(); // what woke the handler while nobody drove it
                End::Over { fenced: false }
            }
        }
    }

    fn try_attach(
        &self,
        asked: &ClientAttach,
        carriage: Carriage,
        connection: &Connection,
        cx: &mut Context<'_>,
    ) -> Result<Attached, Rejection> {
        let head = Head::new(Method::GET, Uri::from_static("/primus"));
        let token = connection.transport != WEBSOCKET;
        let attach = self.mount.attach(connection.transport, &head, asked.clone(), carriage, token);
        match pin!(attach).poll(cx) {
            Poll::Ready(attached) => attached,
            Poll::Pending => unreachable!("without authorization an attach waits for nothing"),
        }
    }

    fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.mount.registry.get(id.parse().ok()?)
    }

    /// The model client makes no mistakes, so nothing that it says may be taken for one.
    fn must(&self, result: Result<(), CloseReason>, what: impl std::fmt::Debug, frame: &str) {
        if let Err(reason) = result {
            self.verdict.fail(format!("{frame} refused by {what:?}: {reason}"));
        }
    }
}

enum Took {
    Nothing,
    Some,
    End,
    Gone(CloseReason),
}

/// Takes what there is to say, as frames.
fn take(
    carrier: &mut Carrier,
    budget: usize,
    cx: &mut Context<'_>,
    frames: &mut Vec<Down>,
    air: &mut Air,
) -> Took {
    let mut messages = Vec::new();
    let each = |outgoing: &Outgoing| messages.push(outgoing.envelope().body());
    let Poll::Ready(taken) = carrier.poll_take(cx, budget, each) else { return Took::Nothing };
    let current = carrier.session().generation() == carrier.generation();
    assert!(current || messages.is_empty(), "a fenced carrier was given messages");
    air.coverage.down += messages.len() as u64;
    frames.extend(messages.into_iter().map(Down::Data));
    if let Some(reason) = taken.gone {
        return Took::Gone(*reason);
    }
    if taken.ping {
        frames.push(Down::Ping { recv: carrier.ack_now() });
    }
    if let Some(reason) = taken.end {
        frames.push(Down::End { code: reason.code(), recv: carrier.ack_now() });
        return Took::End;
    }
    Took::Some
}

fn park(carrier: Carrier) {
    let (_, timeout) = carrier.session().mount().heartbeat();
    carrier.park(timeout.max(Duration::from_millis(100)));
}
