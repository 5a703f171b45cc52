//! What the driver does with what it reads.
//!
//! ```text
//! one read ─▶ frames ─┬─ data ─────────▶ batch ──▶ inbox, when all is read
//!                     └─ anything else ─▶ the batch, then this: dialect, pongs, close
//! ```

use bytes::{Buf as _, BytesMut};
use primus_core::{
    Batch, Carrier, CloseReason, DeliverError, Envelope, Payload, classic::Incoming,
};

use super::{Context, Dialect, Driver, Fate, HIGH, Poll, Progress, Stage};
use crate::{
    connection::{SCRATCH, Scratch},
    frames::Received,
};

/// What a client sent, or did wrong.
type Next = Result<Received, CloseReason>;

/// Messages that found the inbox full, and what came behind them in the same read.
pub(super) struct Held {
    batch: Batch,
    behind: Option<Next>,
}

impl<D: Dialect> Driver<D> {
    /// Reads what there is and handles every complete frame of it.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Progress {
        if self.is_gone() {
            return Progress::Waiting;
        }
        if self.connection.out.len() >= HIGH {
            return Progress::Blocked;
        }
        if self.broken || matches!(self.stage, Stage::Failing | Stage::Shut) {
            return match self.connection.poll_discard(cx) {
                Poll::Pending => Progress::Waiting,
                Poll::Ready(Ok(true)) => Progress::More,
                Poll::Ready(_) => {
                    self.lost();
                    Progress::Waiting
                }
            };
        }
        if let Some(progress) = self.go_on_with_held(carrier, cx) {
            return progress;
        }
        if self.dialect.is_full(carrier.session()) {
            // It is us who do not read.
            carrier.session().seen();
            return Progress::Waiting;
        }
        if let Some(progress) = self.read_backlog(cx, carrier) {
            return progress;
        }
        let mut scratch = Scratch::take();
        // A socket wakes us for more once it has said that there is nothing: a turn only to hear that would cost as much
        // as the message.
        for _ in 0..2 {
            match self.read_socket(cx, carrier, &mut scratch) {
                Progress::Drained => {}
                progress => return progress,
            }
            if self.connection.io.poll_readable(cx).is_pending() {
                return Progress::Waiting;
            }
        }
        Progress::More
    }

    /// Goes on with what was read before. `None`: there is nothing.
    fn read_backlog(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Option<Progress> {
        let mut backlog = self.connection.take_back()?;
        let mut input = &mut backlog[..];
        let progress = self.read_frames(&mut input, carrier, cx).unwrap_or(Progress::More);
        let left = input.len();
        if left > 0 && !self.has_failed() {
            backlog.advance(backlog.len() - left);
            self.connection.put_back(*backlog);
        }
        Some(progress)
    }

    #[inline]
    fn read_socket(
        &mut self,
        cx: &mut Context<'_>,
        carrier: &mut Carrier,
        scratch: &mut Scratch,
    ) -> Progress {
        let mut input = match self.connection.io.poll_read(cx, scratch.room()) {
            Poll::Pending => return Progress::Waiting,
            Poll::Ready(Ok(read)) if read > 0 => &mut scratch.room()[..read],
            Poll::Ready(_) => {
                self.lost();
                return Progress::Waiting;
            }
        };
        carrier.session().seen();
        let all = if input.len() < SCRATCH { Progress::Drained } else { Progress::More };
        let progress = self.read_frames(&mut input, carrier, cx).unwrap_or(all);
        if !input.is_empty() && !self.has_failed() {
            self.connection.put_back(BytesMut::from(&*input));
        }
        progress
    }

    /// Handles the frames of `input`. `None`: all of them.
    fn read_frames(
        &mut self,
        input: &mut &mut [u8],
        carrier: &mut Carrier,
        cx: &mut Context<'_>,
    ) -> Option<Progress> {
        let mut batch = Batch::default();
        loop {
            let next = match self.connection.frames.next_plain(input) {
                Some(data) if !self.dialect.is_data(&data) => Some(Ok(Received::Message(data))),
                // Alone, as most are, it needs no batch.
                Some(data) if input.is_empty() && batch.is_empty() => {
                    return (!self.deliver(data.into(), carrier, cx)).then_some(Progress::Waiting);
                }
                Some(data) => {
                    if batch.push(data) {
                        continue;
                    }
                    None
                }
                None if input.is_empty() => None,
                // Nothing else waits with others: what is behind a large message is read once that has room.
                None => self.connection.frames.next(input, &mut self.connection.out).transpose(),
            };
            if !carrier.deliver_all(&mut batch) {
                self.hold(batch, next, carrier, cx);
                return Some(Progress::Waiting);
            }
            match next {
                Some(next) => {
                    if let Some(progress) = self.handle(next, carrier, cx) {
                        return Some(progress);
                    }
                }
                None if input.is_empty() => return None,
                None => {}
            }
        }
    }

    /// Goes on with what found the inbox full, and with what the dialect has read before. `None`: nothing is
    /// left of it.
    fn go_on_with_held(&mut self, carrier: &mut Carrier, cx: &mut Context<'_>) -> Option<Progress> {
        if let Some(held) = self.held.take() {
            let Held { mut batch, behind } = *held;
            if !carrier.deliver_all(&mut batch) {
                self.hold(batch, behind, carrier, cx);
                return Some(Progress::Waiting);
            }
            if let Some(progress) = behind.and_then(|next| self.handle(next, carrier, cx)) {
                return Some(progress);
            }
        }
        (!self.deliver_ready(carrier, cx)).then_some(Progress::Waiting)
    }

    /// The peer broke the protocol.
    fn fail(&mut self, reason: CloseReason) {
        self.fate = Some(Box::new(Fate::Failed(reason)));
        self.broken = true;
        if self.stage == Stage::Closing {
            self.stage = Stage::Failing;
        }
    }

    /// What is behind a fault is for nobody.
    fn drop_rest(&mut self) -> Progress {
        self.connection.put_back(BytesMut::new());
        Progress::More
    }

    /// Handles what is not simply data. `None`: go on with the next.
    fn handle(
        &mut self,
        next: Next,
        carrier: &mut Carrier,
        cx: &mut Context<'_>,
    ) -> Option<Progress> {
        let on = match next {
            Ok(received) => self.serve(received, carrier, cx) && self.deliver_ready(carrier, cx),
            Err(reason) => {
                self.fail(reason);
                return Some(self.drop_rest());
            }
        };
        if !on || self.is_gone() {
            Some(Progress::Waiting)
        } else if self.has_failed() {
            Some(self.drop_rest())
        } else if self.connection.out.len() >= HIGH {
            Some(Progress::Blocked)
        } else {
            self.dialect.is_full(carrier.session()).then_some(Progress::Waiting)
        }
    }

    /// Handles one message. False: wait before the next.
    fn serve(&mut self, received: Received, carrier: &mut Carrier, cx: &mut Context<'_>) -> bool {
        let message = match received {
            Received::Message(message) => message,
            Received::Pong => {
                carrier.session().ponged();
                return true;
            }
            Received::Close(reason) => {
                self.answered = true;
                let unusual = reason.filter(|reason| reason.code() != 1000);
                let reason = unusual.unwrap_or(CloseReason::NORMAL);
                self.fate = Some(Box::new(Fate::Gone(reason)));
                return true;
            }
        };
        match self.dialect.read(message, carrier) {
            Ok(Incoming::Message(message)) => return self.deliver(message, carrier, cx),
            Ok(Incoming::Answer(answer)) => self.answer(&answer),
            Ok(Incoming::Answers(answers)) => answers.iter().for_each(|it| self.answer(it)),
            Ok(Incoming::End) => {
                self.ended = true;
                carrier.end(CloseReason::NORMAL);
                // What follows is not for this session.
                return !self.dialect.stays(&CloseReason::NORMAL);
            }
            Ok(Incoming::Nothing) => {}
            Err(reason) => self.fate = Some(Box::new(Fate::Failed(reason))),
        }
        true
    }

    fn answer(&mut self, answer: &Payload) {
        // Nothing follows a close.
        if self.stage == Stage::Open {
            self.connection.out.push_message(answer);
        }
    }

    /// Hands over what the dialect has read before. False: something is held.
    fn deliver_ready(&mut self, carrier: &mut Carrier, cx: &mut Context<'_>) -> bool {
        while let Some(ready) = self.dialect.pop_ready() {
            if !self.deliver(ready, carrier, cx) {
                return false;
            }
        }
        true
    }

    /// Hands a message to the session, or holds it until there is room. False: it is held.
    #[inline]
    fn deliver(&mut self, message: Envelope, carrier: &mut Carrier, cx: &mut Context<'_>) -> bool {
        match carrier.deliver(message) {
            Ok(()) => true,
            Err(DeliverError::Full(message)) => {
                self.hold(Batch::from(message), None, carrier, cx);
                false
            }
            // It is over, or goes on elsewhere, which taking tells.
            Err(_) => true,
        }
    }

    #[cold]
    fn hold(
        &mut self,
        batch: Batch,
        behind: Option<Next>,
        carrier: &Carrier,
        cx: &mut Context<'_>,
    ) {
        self.held = Some(Box::new(Held { batch, behind }));
        // Room may have come up just now: then wake for another turn.
        if carrier.session().poll_room(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
