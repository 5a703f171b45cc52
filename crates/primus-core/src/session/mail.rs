//! What has been received and waits for a spark: messages for who reads them one by one, and events
//! for their listeners.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::Batch;
use crate::{
    envelope::Envelope,
    handle::Spark,
    message::{Message, Payload},
    mount::Mount,
    request::BoxFuture,
    transform::{Flow, Incoming},
};

/// What a message that waits costs beside its bytes.
pub(crate) const OVERHEAD: usize = 64;

/// Who takes a message out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The handler, by `next`, or `on_data`.
    Data,
    /// Listeners.
    Events,
}

type Transforming = BoxFuture<'static, Option<Message>>;

/// Messages of one kind, in order.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Envelope>,
    /// An incoming transform that awaits; what is behind it waits, so order is kept.
    transforming: Option<Box<Transforming>>,
}

/// Events, and how many messages of data came before each.
#[derive(Default)]
struct Events {
    queue: Queue,
    behind: VecDeque<u64>,
}

/// The two lanes of a spark. Empty, they hold no heap.
#[derive(Default)]
pub(crate) struct Mail {
    data: Queue,
    /// Made with the first event.
    events: Option<Box<Events>>,
    /// How many messages of data have come.
    count: u64,
    bytes: usize,
    /// The handler has taken data that it may put back, which comes first.
    pub(super) claimed: bool,
    /// No more will come.
    pub(crate) closed: bool,
    /// The handler, waiting in `next`.
    pub(crate) reader: Option<Waker>,
    /// Who waits for the end.
    closing: Option<Box<Waker>>,
}

thread_local! {
    /// A queue that is empty has no buffer: this thread's is used again, and does not grow anew.
    static SPARE: Cell<Vec<Envelope>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps no buffer for more messages than this.
pub(super) const LARGEST: usize = 64;

/// A buffer, for who will be empty again soon.
pub(super) fn borrow() -> Vec<Envelope> {
    SPARE.try_with(Cell::take).unwrap_or_default()
}

/// Gives one back.
#[inline]
pub(super) fn give_back(mut buffer: Vec<Envelope>) {
    if (1..=LARGEST).contains(&buffer.capacity()) {
        buffer.clear();
        let _ = SPARE.try_with(|spare| spare.set(buffer));
    }
}

impl Queue {
    #[inline]
    fn push(&mut self, envelope: Envelope) {
        if self.waiting.capacity() == 0 {
            self.waiting = borrow().into();
        }
        self.waiting.push_back(envelope);
    }

    /// The next, unless one before it is on its way still.
    #[inline]
    fn pop(&mut self) -> Option<Envelope> {
        if self.transforming.is_some() {
            return None;
        }
        let envelope = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            give_back(std::mem::take(&mut self.waiting).into());
        }
        Some(envelope)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.transforming.is_none()
    }
}

impl Events {
    fn pop(&mut self) -> Option<Envelope> {
        let envelope = self.queue.pop()?;
        self.behind.pop_front();
        if self.behind.is_empty() {
            self.behind = VecDeque::new();
        }
        Some(envelope)
    }
}

impl Mail {
    #[inline]
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Data => &mut self.data,
            Lane::Events => &mut self.events.get_or_insert_default().queue,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, lane: Lane, envelope: Envelope) {
        self.bytes += envelope.len();
        match lane {
            Lane::Data => {
                self.count += 1;
                self.data.push(envelope);
            }
            Lane::Events => {
                let events = self.events.get_or_insert_default();
                events.behind.push_back(self.count);
                events.queue.push(envelope);
            }
        }
    }

    /// Takes all messages of a batch, which are data.
    pub(super) fn append(&mut self, batch: &mut Batch) {
        self.bytes += batch.bytes;
        self.count += batch.len() as u64;
        match batch.take() {
            Ok(one) => self.data.push(one),
            // Which is the thread's buffer, as its own is.
            Err(many) if self.data.waiting.is_empty() => self.data.waiting = many.into(),
            Err(mut many) => {
                self.data.waiting.extend(many.drain(..));
                give_back(many);
            }
        }
    }

    /// Takes all data that waits, and its bytes, if no event may have to be served between.
    pub(super) fn claim(&mut self) -> Option<(VecDeque<Envelope>, usize)> {
        let alone = self.data.transforming.is_none()
            && self.events.as_deref().is_none_or(|events| events.behind.is_empty());
        self.claimed = alone && !self.data.waiting.is_empty();
        self.claimed
            .then(|| (std::mem::take(&mut self.data.waiting), std::mem::take(&mut self.bytes)))
    }

    /// Puts back what was claimed: it is before all that waits. `brought`: it has never been here.
    pub(super) fn put_back(
        &mut self,
        mut claimed: VecDeque<Envelope>,
        bytes: usize,
        brought: bool,
    ) {
        self.claimed = false;
        if brought {
            self.count += claimed.len() as u64;
        }
        self.bytes += bytes;
        if claimed.is_empty() {
            return give_back(claimed.into());
        }
        claimed.append(&mut self.data.waiting);
        self.data.waiting = claimed;
    }

    /// The next of a lane, unless one before it is on its way still.
    #[inline(always)]
    fn pop(&mut self, lane: Lane) -> Option<Envelope> {
        let envelope = match lane {
            Lane::Data if self.claimed => return None,
            Lane::Data => self.data.pop()?,
            Lane::Events => self.events.as_mut()?.pop()?,
        };
        self.bytes -= envelope.len();
        Some(envelope)
    }

    /// No more will come. Who waited for more, or for this, has to be woken.
    pub(crate) fn close(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.closed = true;
        let closing = self.closing.take().map(|waker| *waker);
        self.reader.take().into_iter().chain(closing)
    }

    pub(crate) fn wait_for_close(&mut self, cx: &Context<'_>) {
        self.closing = Some(Box::new(cx.waker().clone()));
    }

    /// Forgets what waits: so many messages, and their bytes.
    pub(crate) fn clear(&mut self) -> (usize, usize) {
        let size = self.size();
        (self.data.waiting, self.bytes) = Default::default();
        if let Some(events) = &mut self.events {
            events.queue.waiting = VecDeque::new();
            events.behind = VecDeque::new();
        }
        size
    }

    /// Messages, and their bytes.
    #[inline]
    pub(crate) fn size(&self) -> (usize, usize) {
        let events = self.events.as_ref().map_or(0, |events| events.behind.len());
        (self.data.waiting.len() + events, self.bytes)
    }

    /// Which lane is the next, where both are served by one. One that is under way comes first.
    pub(crate) fn next_lane(&self) -> Option<Lane> {
        if self.data.transforming.is_some() {
            return Some(Lane::Data);
        }
        let taken = self.count - self.data.waiting.len() as u64;
        let event = self.events.as_deref().is_some_and(|Events { queue, behind }| {
            queue.transforming.is_some() || behind.front().is_some_and(|behind| *behind <= taken)
        });
        if event {
            return Some(Lane::Events);
        }
        (!self.data.waiting.is_empty()).then_some(Lane::Data)
    }

    pub(crate) fn has(&self, lane: Lane) -> bool {
        match lane {
            Lane::Data => !self.data.is_empty(),
            Lane::Events => self.events.as_deref().is_some_and(|events| !events.queue.is_empty()),
        }
    }

    /// Takes away what awaits: it may hold the spark that this belongs to.
    pub(crate) fn take_transforming(&mut self) -> impl Sized + use<> {
        let events = self.events.as_mut().and_then(|events| events.queue.transforming.take());
        (self.data.transforming.take(), events)
    }
}

/// Where mail lies.
pub(crate) trait MailBox {
    /// Works on it, under its lock.
    fn mail<R>(&self, work: impl FnOnce(&mut Mail) -> R) -> R;
    /// The next message of a lane, where it can be had without the lock and has no head.
    #[inline]
    fn at_hand(&self, _: Lane) -> Option<Payload> {
        None
    }
    /// Where there is none at hand, whether who waits for one is woken by it without a look under the lock.
    #[inline]
    fn wait_at_hand(&self, _: Lane, _: &Context<'_>) -> bool {
        false
    }
    /// Takes a message of a lane out, under its lock. That makes room for who waits to deliver one.
    fn take<R>(
        &self,
        lane: Lane,
        take: impl FnOnce(&mut Mail) -> Result<Envelope, R>,
    ) -> Result<Envelope, R>;
    /// Whose parser and transforms it passes.
    fn mount(&self) -> &Arc<Mount>;
}

/// What became of a message on its way in: `Err`, it awaits.
type Passing = Result<Option<Message>, Transforming>;

/// Runs the incoming transforms: at once as long as they are synchronous, else as a future.
fn pass(mount: &Arc<Mount>, spark: &Spark, mut message: Message) -> Passing {
    let transforms = &mount.shared.transforms;
    if transforms.plugins.incoming(spark, &mut message) == Flow::Drop {
        return Ok(None);
    }
    for (index, transform) in transforms.incoming.iter().enumerate() {
        match transform {
            Incoming::Sync(transform) => {
                if transform(spark, &mut message) == Flow::Drop {
                    return Ok(None);
                }
            }
            Incoming::Async(_) => {
                let (mount, spark) = (Arc::clone(mount), spark.clone());
                return Err(Box::pin(async move {
                    for transform in &mount.shared.transforms.incoming[index..] {
                        match transform {
                            Incoming::Sync(transform) => {
                                if transform(&spark, &mut message) == Flow::Drop {
                                    return None;
                                }
                            }
                            Incoming::Async(transform) => {
                                message = transform(spark.clone(), message).await?;
                            }
                        }
                    }
                    Some(message)
                }));
            }
        }
    }
    Ok(Some(message))
}

/// What there is in a lane where no message can be taken out.
enum Rest {
    /// One that is on its way.
    Transforming(Box<Transforming>),
    /// No more will come.
    Over,
    /// Who reads will be woken.
    Later,
}

impl Mail {
    fn rest(&mut self, lane: Lane, cx: &Context<'_>) -> Rest {
        if let Some(transforming) = self.queue(lane).transforming.take() {
            return Rest::Transforming(transforming);
        }
        if self.closed && !(lane == Lane::Data && self.claimed) {
            return Rest::Over;
        }
        if lane == Lane::Data {
            match &mut self.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                None => self.reader = Some(cx.waker().clone()),
            }
        }
        Rest::Later
    }
}

/// The next message of a lane, behind the transforms. `None` when no more will come.
#[inline]
pub(crate) fn poll_mail(
    mailbox: &impl MailBox,
    lane: Lane,
    spark: &Spark,
    cx: &mut Context<'_>,
) -> Poll<Option<Message>> {
    let mount = mailbox.mount();
    if mount.shared.transforms.lets_in() {
        if let Some(payload) = mailbox.at_hand(lane) {
            return Poll::Ready(Some(Message::bare(payload, mount.format())));
        }
        if mailbox.wait_at_hand(lane, cx) {
            return Poll::Pending;
        }
    }
    poll_mail_box(mailbox, lane, spark, cx)
}

/// The same, where it is not simply at hand.
#[inline(never)]
fn poll_mail_box(
    mailbox: &impl MailBox,
    lane: Lane,
    spark: &Spark,
    cx: &mut Context<'_>,
) -> Poll<Option<Message>> {
    let mount = mailbox.mount();
    loop {
        let taken = mailbox.take(lane, |mail| mail.pop(lane).ok_or_else(|| mail.rest(lane, cx)));
        let mut transforming = match taken {
            Ok(envelope) => {
                let message = Message::unpack(envelope, mount.format());
                if mount.shared.transforms.lets_in() {
                    return Poll::Ready(Some(message));
                }
                match pass(mount, spark, message) {
                    Ok(Some(message)) => return Poll::Ready(Some(message)),
                    Ok(None) => continue,
                    Err(future) => Box::new(future),
                }
            }
            Err(Rest::Transforming(transforming)) => transforming,
            Err(Rest::Over) => return Poll::Ready(None),
            Err(Rest::Later) => return Poll::Pending,
        };
        match transforming.as_mut().as_mut().poll(cx) {
            Poll::Ready(Some(message)) => return Poll::Ready(Some(message)),
            Poll::Ready(None) => {}
            Poll::Pending => {
                mailbox.mail(|mail| mail.queue(lane).transforming = Some(transforming));
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for text in texts {
            assert!(batch.push(*text));
        }
        batch
    }

    #[test]
    fn both_lanes_are_served_in_the_order_in_which_they_came_and_keep_no_buffer() {
        let message = |text: &str| Envelope::from(text);
        for whole in [false, true] {
            let mut mail = Mail::default();
            if !whole {
                mail.push(Lane::Data, message("d0"));
                mail.push(Lane::Events, message("e1"));
            }
            mail.append(&mut batch(&["d2", "d3"]));
            mail.push(Lane::Events, message("e4"));
            mail.push(Lane::Events, message("e5"));
            mail.push(Lane::Data, message("d6"));
            let all = ["d0", "e1", "d2", "d3", "e4", "e5", "d6"];
            let expected = if whole { &all[2..] } else { &all };
            assert_eq!(mail.size(), (expected.len(), 2 * expected.len()));
            let mut served = Vec::new();
            while let Some(lane) = mail.next_lane() {
                let envelope = mail.pop(lane).unwrap();
                served.push(envelope.body().as_text().unwrap().to_owned());
            }
            assert_eq!(served, expected);
            assert_eq!(mail.size(), (0, 0));
            let Events { queue, behind } = mail.events.as_deref().unwrap();
            let kept = [&mail.data.waiting, &queue.waiting].map(VecDeque::capacity);
            assert_eq!((kept, behind.capacity()), ([0, 0], 0));
        }
    }
    #[test]
    fn while_some_is_claimed_nothing_behind_it_is_taken_and_nothing_is_over() {
        let cx = Context::from_waker(Waker::noop());
        let mut mail = Mail::default();
        mail.append(&mut batch(&["a", "b"]));
        assert!(mail.pop(Lane::Data).is_some());
        let (claimed, bytes) = mail.claim().unwrap();
        mail.push(Lane::Data, "c".into());
        mail.close().for_each(drop);
        assert!(mail.pop(Lane::Data).is_none());
        assert!(matches!(mail.rest(Lane::Data, &cx), Rest::Later) && mail.reader.is_some());
        assert!(matches!(mail.rest(Lane::Events, &cx), Rest::Over));
        mail.put_back(claimed, bytes, false);
        assert_eq!(mail.size(), (2, 2));
        for text in ["b", "c"] {
            assert_eq!(mail.pop(Lane::Data).unwrap().body().as_text(), Some(text));
        }
        assert!(matches!(mail.rest(Lane::Data, &cx), Rest::Over));

        // What was put back when nothing was left of it leaves no buffer.
        let mut mail = Mail::default();
        mail.append(&mut batch(&["a"]));
        let (mut claimed, _) = mail.claim().unwrap();
        claimed.clear();
        mail.put_back(claimed, 0, false);
        assert_eq!((mail.claimed, mail.data.waiting.capacity()), (false, 0));
    }
}
