//! What the handler of a session takes and writes in one turn, without a lock for each message.
//!
//! ```text
//! inbox ══ all at once ══▶ claimed ──next──▶ handler ──write──▶ written ══ all at once ══▶ outbox
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
//! there was that waker and nothing else (`Session::watched`), the handler may wait for more without a look: who comes
//! afterwards resets that before he wakes the handler under the lock of its slot, so where it is not seen yet, the
//! handler is polled once more.
//!
//! Messages are claimed while the handler is polled, by one thread at a time, and are back before anybody else may poll
//! it. Until then the inbox says so (`Mail::claimed`): who reads beside the handler waits, for these come first.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{Carrier, Lane, Resume, Session, Taken, inbox::Inbox, outbox::Outbox};
use crate::{envelope::Envelope, message::Payload, packet::Outgoing};

thread_local! {
    /// Whose turn it is.
    static SESSION: Cell<*const Session> = const { Cell::new(ptr::null()) };
    /// Its handler has been woken on this thread.
    static WOKEN: Cell<bool> = const { Cell::new(false) };
    static HAND: RefCell<Hand> = RefCell::default();
}

/// So many messages are written at hand; the others go to the outbox one by one.
const MOST: usize = 256;

/// What is at hand.
#[derive(Default)]
struct Hand {
    claimed: VecDeque<Envelope>,
    claimed_bytes: usize,
    /// The handler is being polled.
    polls: bool,
    /// Since then something has been claimed.
    claims: bool,
    /// The handler's own waker was left in the inbox when it was woken, and it has not waited for more since.
    left_reader: bool,
    /// Places, of which the first `count` are taken. A message that is put into one is moved once; a list
    /// that may have to grow would have it moved three times.
    written: Vec<Option<Outgoing>>,
    count: usize,
    written_bytes: usize,
}

impl Hand {
    /// Makes places. A turn leaves nothing in them, unless its session was exchanged under it.
    #[inline]
    fn prepare(&mut self) {
        if self.count > 0 {
            self.written.clear();
            (self.count, self.written_bytes) = (0, 0);
        }
        self.written.resize_with(MOST, || None);
    }

    #[inline]
    fn put(&mut self, envelope: Envelope) {
        let size = envelope.len();
        if let Some(place) = self.written.get_mut(self.count) {
            // Nothing is in it that would have to be dropped.
            std::mem::forget(place.replace(Outgoing::Own(envelope)));
            self.count += 1;
            self.written_bytes += size;
        }
    }
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
        each: impl FnMut(&Outgoing),
    ) -> Poll<Taken> {
        self.run_handler();
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
            hand.claims || hand.left_reader
        });
        if left { self.leave_inbox() } else { None }
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
    fn drop(&mut self) {
        if self.at_hand {
            let written = HAND.with_borrow_mut(|hand| {
                hand.left_reader = false; // where the handler has not been polled it waits still
                hand.count > 0
            });
            if written {
                drop(self.session().outbox());
            }
            SESSION.set(ptr::null());
            if WOKEN.take() {
                self.session().schedule();
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
    fn has_turn(&self) -> bool {
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
            && self.watched.load(Ordering::Relaxed)
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
            && !inbox.mail.has(Lane::Data)
            && !inbox.mail.closed
            && inbox.room.is_empty()
            && !self.paused.load(Ordering::Relaxed);
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Who looks into the inbox in that turn finds all that has not been read.
    #[inline]
    pub(super) fn put_back_claimed(&self, inbox: &mut Inbox) {
        if inbox.mail.claimed && self.has_turn() {
            HAND.with_borrow_mut(|hand| {
                if hand.claims {
                    let bytes = std::mem::take(&mut hand.claimed_bytes);
                    inbox.mail.put_back(std::mem::take(&mut hand.claimed), bytes);
                }
            });
        }
    }

    /// Whether a message of this size may be written at hand: it is its turn, and order and limits allow it.
    #[inline]
    pub(crate) fn writes_at_hand(&self, size: usize) -> bool {
        let fits = |hand: &Hand| {
            hand.count < hand.written.len() && hand.written_bytes + size <= self.limits().pressure
        };
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
            HAND.with_borrow_mut(|hand| {
                if hand.count > 0 {
                    outbox.prepend(hand.written[..hand.count].iter_mut().filter_map(Option::take));
                    (hand.count, hand.written_bytes) = (0, 0);
                }
            });
        }
    }

    /// For the carrier, which writes at once what is at hand, if it is within the budget: it need not lie in the
    /// outbox for that. Returns how many messages, and their bytes.
    #[inline]
    pub(super) fn drain_written(
        &self,
        outbox: &mut Outbox,
        budget: usize,
        mut each: impl FnMut(&Outgoing),
    ) -> (u64, usize) {
        if !self.has_turn() {
            return (0, 0);
        }
        if outbox.ring.len() > 0 || HAND.with_borrow(|it| it.written_bytes + it.count > budget) {
            self.put_down_written(outbox);
            return (0, 0);
        }
        HAND.with_borrow_mut(|hand| {
            let written = &mut hand.written[..hand.count];
            written.iter().flatten().for_each(&mut each); // which may panic
            written.fill_with(|| None);
            let drained = (hand.count as u64, hand.written_bytes);
            (hand.count, hand.written_bytes) = (0, 0);
            outbox.ring.pass(drained.0);
            drained
        })
    }

    /// Its carrier has found the outbox empty, and has it locked still.
    #[inline]
    pub(super) fn leave_untouched(&self) {
        self.untouched.store(self.resume == Resume::Never, Ordering::Relaxed);
    }
}
