//! What the handler of a session takes and writes in one turn, without a lock for each message.
//!
//! ```text
//! inbox ══ all at once ══▶ claimed ──next──▶ handler ──write──▶ written ══ all at once ══▶ outbox
//!                             ▲                                     ║
//! carrier ═════ brought ══════╝                                     ╚═ not touched ══▶ carrier
//! ```
//!
//! Both are the thread's that runs the turn. Whoever looks into the inbox or the outbox on that thread has
//! what is at hand put back first, so nothing is different for the handler; for others it is there when the
//! poll of the handler is over.
//!
//! Order is kept for them, too. A message is written at hand only while nobody has had the outbox since its
//! carrier found it empty. So what others push comes later than all that is at hand, which goes in front of
//! it; and what the handler writes once it may know of that goes behind it.
//!
//! Whoever wakes the handler on that thread leaves a note, which is taken when it is polled, or handed on when the turn
//! ends. What its own carrier brings also leaves its waker in the inbox. As long as nobody has had the inbox since
//! there was that waker and nothing else (`Brought`), the handler may wait for more without a look: who comes
//! afterwards resets that before he wakes the handler under the lock of its slot, so where it is not seen yet, the
//! handler is polled once more.
//!
//! Messages are claimed while the handler is polled, by one thread at a time, and are back before anybody else may poll
//! it. Until then the inbox says so (`Mail::claimed`): who reads beside the handler waits, for these come first.
//!
//! The messages of a client that does not count have no numbers to be checked under a lock. To a handler that waits
//! in that state such messages are brought without the inbox. Who has that meanwhile finds out (`Brought`) and
//! has the inbox say so, as if they had been claimed. And a carrier takes what was written at hand without the outbox, if
//! nobody has had that since its carrier left its waker there: who has it later wakes the carrier, also in its turn.

use std::{
    cell::{Cell, RefCell},
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use self::hand::Hand;
use super::{
    Batch, Carrier, Client, Lane, Resume, Session, Taken, inbox::Inbox, outbox::Outbox,
    sync::thread_local,
};
use crate::{envelope::Envelope, message::Payload, metrics::Meters, packet::Outgoing};

mod hand;
#[cfg(test)]
mod tests;

thread_local! {
    /// Whose turn it is.
    static SESSION: Cell<*const Session> = const { Cell::new(ptr::null()) };
    /// Its handler has been woken on this thread.
    static WOKEN: Cell<bool> = const { Cell::new(false) };
    static HAND: RefCell<Hand> = RefCell::default();
}

/// A turn of a carrier: it delivers what it has read, runs the handler and takes what that writes, without a wait
/// between. Made by [`Carrier::begin_turn`].
///
/// What wakes the handler meanwhile does not wake the carrier's task. Dropped, the turn ends without a run of the
/// handler. It stays on its thread, so a task that moves between threads cannot wait while it has one.
#[must_use = "a turn ends when it is dropped"]
pub struct Turn<'a> {
    carrier: &'a mut Carrier,
    /// Otherwise another session has a turn on this thread, and its handler drives this one.
    at_hand: bool,
    over: Cell<bool>,
    here: PhantomData<*const ()>,
}

impl<'a> Turn<'a> {
    #[inline]
    pub(super) fn begin(carrier: &'a mut Carrier) -> Self {
        let session = carrier.session();
        session.begin_turn();
        let at_hand =
            SESSION.get().is_null() && HAND.try_with(|it| it.borrow_mut().prepare()).is_ok();
        if at_hand {
            SESSION.set(Arc::as_ptr(session));
        }
        Self { carrier, at_hand, over: Cell::new(false), here: PhantomData }
    }

    /// Polls the handler if it has something to do, and ends the turn. Call [`Carrier::poll_take`] after it.
    pub fn run(self) {
        self.run_handler();
    }

    /// Polls the handler likewise, and then [takes](Carrier::poll_take) what is to be written, which costs less while this
    /// is there: what the handler writes goes straight to `each`. To be dropped then.
    pub fn run_and_take(
        &self,
        cx: &mut Context<'_>,
        budget: usize,
        mut each: impl FnMut(&Outgoing),
    ) -> Poll<Taken> {
        self.run_handler();
        if self.at_hand
            && let Some(taken) = self.take_at_hand(budget, &mut each)
        {
            return taken;
        }
        self.poll_take(cx, budget, each)
    }

    #[inline]
    fn run_handler(&self) {
        self.over.set(true);
        self.session().run_in(Some(self));
    }

    /// The handler is polled: it may claim.
    #[inline]
    pub(super) fn begin_poll(&self) {
        if self.at_hand {
            HAND.with_borrow_mut(|hand| hand.polls = true);
        }
    }

    /// The handler has been polled: what it has not read is there for others again. Returns who waits for that.
    #[inline]
    pub(super) fn end_poll(&self) -> Option<Waker> {
        if !self.at_hand {
            return None;
        }
        let left = HAND.with_borrow_mut(|hand| {
            hand.polls = false;
            if hand.claims || hand.left_reader || !hand.claimed.is_empty() {
                return true;
            }
            hand.brought = hand.brought && self.session().brought.finish();
            hand.brought
        });
        if left { self.leave_inbox() } else { None }
    }

    /// Ends it with something at hand, or a note that the handler has been woken.
    #[cold]
    fn end_with_rest(&self) {
        let (written, brought) = HAND.with_borrow(|hand| (hand.count > 0, hand.brought));
        if written {
            drop(self.session().outbox());
        }
        let waits = if brought { self.leave_inbox() } else { None };
        SESSION.set(ptr::null());
        waits.into_iter().for_each(Waker::wake);
        if WOKEN.take() {
            self.session().schedule();
        }
    }

    /// Also takes the handler's own waker away, if it does not wait for data, or need not: who brought some has woken it.
    fn leave_inbox(&self) -> Option<Waker> {
        let session = self.session();
        let mail = &mut session.inbox().mail; // into which what is left has been put back by this
        let left_reader = HAND.with_borrow_mut(|hand| {
            hand.claims = false;
            std::mem::take(&mut hand.left_reader)
        });
        let over = mail.has(Lane::Data) || mail.closed;
        if (left_reader || over) && session.is_own(mail.reader.as_ref()) {
            mail.reader = None;
        }
        if over { mail.reader.take() } else { None }
    }
}

impl Deref for Turn<'_> {
    type Target = Carrier;

    fn deref(&self) -> &Carrier {
        self.carrier
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Carrier {
        self.carrier
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.at_hand {
            let left = HAND.with_borrow_mut(|hand| {
                hand.left_reader = false; // where the handler has not been polled it waits still
                hand.count > 0 || hand.brought
            });
            if left || WOKEN.get() {
                self.end_with_rest();
            } else {
                SESSION.set(ptr::null());
            }
        }
        if !self.over.get() {
            self.session().end_turn();
        }
    }
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("session", self.session()).finish_non_exhaustive()
    }
}

impl Session {
    #[inline]
    pub(super) fn has_turn(&self) -> bool {
        ptr::eq(SESSION.get(), self)
    }

    /// In its turn, takes note that the handler is to be polled: no lock is needed for that. False: it is not its
    /// turn.
    #[inline]
    pub(super) fn wake_at_hand(&self) -> bool {
        let its = self.has_turn();
        if its {
            WOKEN.set(true);
        }
        its
    }

    /// Whether that was noted.
    #[inline]
    pub(super) fn is_woken_at_hand(&self) -> bool {
        self.has_turn() && WOKEN.get()
    }

    /// The same, and forgets it.
    #[inline]
    pub(super) fn take_woken(&self) -> bool {
        self.has_turn() && WOKEN.take()
    }

    /// Whether this waker is the handler's own.
    #[inline]
    fn is_own(&self, waker: Option<&Waker>) -> bool {
        waker.is_some_and(|waker| ptr::eq(waker.data().cast(), self))
    }

    /// In its turn, wakes the handler if it is the one who waits for data. Its waker stays in the inbox. False: somebody
    /// else may wait.
    #[inline]
    pub(super) fn wake_reader_at_hand(&self, inbox: &Inbox) -> bool {
        let wakes = self.has_turn() && self.is_own(inbox.mail.reader.as_ref());
        if wakes {
            HAND.with_borrow_mut(|hand| hand.left_reader = true);
            WOKEN.set(true);
        }
        wakes
    }

    /// In its turn, whether the handler may wait for data without a look into the inbox.
    #[inline]
    pub(super) fn wait_at_hand(&self, cx: &Context<'_>) -> bool {
        self.has_turn()
            && self.is_own(Some(cx.waker()))
            && self.brought.is_watched()
            && HAND.with_borrow_mut(|hand| {
                let waits = hand.claimed.is_empty();
                if waits {
                    hand.left_reader = false;
                }
                waits
            })
    }

    /// In its turn, takes note that the handler waits for data as its waker in the inbox says.
    #[inline]
    pub(super) fn wait_in_inbox(&self) {
        if self.has_turn() {
            HAND.with_borrow_mut(|hand| hand.left_reader = false);
        }
    }

    /// In its turn, whether what has come from a client whose messages have no numbers may be handed over without the
    /// inbox: the handler waits for data there, and nothing else is there. Only by the first carrier, of generation 1:
    /// where there is another one, the inbox judges which is heard.
    #[inline]
    fn may_bring(&self, generation: u64, messages: usize, bytes: usize) -> bool {
        generation == 1
            && !self.client.is(Client::COUNTS)
            && self.has_turn()
            && self.brought.is_watched()
            && HAND.with_borrow(|hand| hand.may_bring(messages, bytes, self.limits()))
    }

    /// Hands over a message likewise, or gives it back.
    #[inline]
    pub(super) fn bring_one(&self, generation: u64, message: Envelope) -> Result<(), Envelope> {
        if !message.is_bare() || !self.may_bring(generation, 1, message.len()) {
            return Err(message);
        }
        HAND.with_borrow_mut(|hand| hand.bring_one(message));
        self.wake_for_brought();
        Ok(())
    }

    /// Hands over a batch likewise. False: it is left as it was.
    pub(super) fn bring(&self, generation: u64, batch: &mut Batch, meters: &Meters) -> bool {
        let may = !batch.headed && self.may_bring(generation, batch.len(), batch.bytes);
        if may {
            // Before anything is borrowed: a recorder of metrics is not ours.
            batch.iter().for_each(|message| meters.received(message.len()));
            HAND.with_borrow_mut(|hand| hand.bring(batch));
            self.wake_for_brought();
        }
        may
    }

    #[inline]
    fn wake_for_brought(&self) {
        self.brought.bring();
        WOKEN.set(true);
    }

    /// The next message, if it is claimed and has no head.
    #[inline]
    pub(super) fn next_claimed(&self) -> Option<Payload> {
        if !self.has_turn() {
            return None;
        }
        let next = HAND.try_with(|hand| {
            let mut hand = hand.try_borrow_mut().ok()?;
            if !hand.claimed.front()?.is_bare() {
                return None;
            }
            let payload = hand.claimed.pop_front()?.into_frame();
            hand.claimed_bytes -= payload.len();
            Some(payload)
        });
        next.ok().flatten()
    }

    /// While its handler is polled in its turn, takes what waits for who reads messages one by one.
    #[inline]
    pub(super) fn claim(&self, inbox: &mut Inbox) {
        if !self.has_turn() || !HAND.with_borrow(|hand| hand.polls) {
            return;
        }
        if let Some((claimed, bytes)) = inbox.mail.claim() {
            HAND.with_borrow_mut(|hand| {
                hand.claimed = claimed; // there was nothing: who has the inbox has had that put back
                (hand.claimed_bytes, hand.claims) = (bytes, true);
            });
        }
        // Nor does anybody wait for room.
        let watched = self.is_own(inbox.mail.reader.as_ref())
            && inbox.is_empty()
            && !inbox.mail.closed
            && inbox.room.is_empty()
            && !self.paused.load(Ordering::Relaxed);
        self.brought.watch(watched);
    }

    /// Who looks into the inbox in that turn finds all that has not been read.
    #[inline]
    pub(super) fn put_back_claimed(&self, inbox: &mut Inbox) {
        HAND.with(|hand| {
            // While it is borrowed the handler is not polled, and nothing is claimed.
            if let Ok(mut hand) = hand.try_borrow_mut() {
                if hand.brought {
                    self.brought.put_back();
                }
                hand.put_back(&mut inbox.mail);
            }
        });
    }

    /// Whether a message of this size may be written at hand: it is its turn, and order and limits allow it.
    #[inline]
    pub(crate) fn writes_at_hand(&self, size: usize) -> bool {
        let fits = |hand: &Hand| hand.has_place(size, self.limits().pressure);
        self.has_turn()
            && self.untouched.load(Ordering::Relaxed)
            && HAND.try_with(|hand| hand.try_borrow().is_ok_and(|hand| fits(&hand))) == Ok(true)
    }

    /// Writes at hand, where that [may be](Self::writes_at_hand).
    #[inline]
    pub(crate) fn write_at_hand(envelope: Envelope) {
        // Not by what may panic: then a message had to be where it can be dropped, and is moved once more.
        let _ = HAND.try_with(|hand| {
            if let Ok(mut hand) = hand.try_borrow_mut() {
                hand.put(envelope);
            }
        });
    }

    /// Who looks into the outbox finds all that has been written.
    #[inline]
    pub(super) fn put_down_written(&self, outbox: &mut Outbox) {
        if self.has_turn() {
            HAND.with_borrow_mut(|hand| hand.put_down(outbox));
        }
    }

    /// For the carrier, which writes at once what is at hand, if it is within the budget: it need not lie in the
    /// outbox for that. Returns how many messages, and their bytes.
    #[inline]
    pub(super) fn drain_written(
        &self,
        outbox: &mut Outbox,
        budget: usize,
        each: impl FnMut(&Outgoing),
    ) -> (u64, usize) {
        if self.has_turn() {
            if outbox.ring.len() == 0
                && let Some(drained) = HAND.with_borrow_mut(|hand| hand.drain(budget, each))
            {
                outbox.ring.pass(drained.0);
                return drained;
            }
            self.put_down_written(outbox);
        }
        (0, 0)
    }

    /// The same for a carrier who found the outbox empty before, while nobody has had it since. `None`: there may be
    /// something in it.
    #[inline]
    pub(super) fn drain_untouched(
        &self,
        budget: usize,
        each: impl FnMut(&Outgoing),
    ) -> Option<(u64, usize)> {
        if self.client.is(Client::COUNTS) || !self.untouched.load(Ordering::Relaxed) {
            return None; // what such a client is sent has to be counted
        }
        HAND.with_borrow_mut(|hand| hand.drain(budget, each))
    }

    /// Its carrier, of this generation, has found the outbox empty, and has it locked still. Where there may be another
    /// carrier, neither knows of what the other found.
    #[inline]
    pub(super) fn leave_untouched(&self, generation: u64) {
        let alone = self.resume == Resume::Never && generation == 1;
        self.untouched.store(alone, Ordering::Relaxed);
    }
}
