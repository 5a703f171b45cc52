//! What has been received and waits for a spark: messages for who reads them one by one, and events
//! for their listeners.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    envelope::Envelope,
    handle::Spark,
    message::Message,
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
    /// No more will come.
    pub(crate) closed: bool,
    /// The handler, waiting in `next`.
    pub(crate) reader: Option<Waker>,
    /// Who waits for the end.
    closing: Option<Box<Waker>>,
}

thread_local! {
    /// A queue that is empty has no buffer: this thread's is used again, and does not grow anew.
    static SPARE: Cell<VecDeque<Envelope>> = const { Cell::new(VecDeque::new()) };
}

/// A thread keeps no buffer for more messages than this.
const LARGEST: usize = 64;

/// An empty queue for who will be empty again soon.
pub(super) fn borrow() -> VecDeque<Envelope> {
    SPARE.try_with(Cell::take).unwrap_or_default()
}

/// Gives one back that is empty.
pub(super) fn give_back(buffer: VecDeque<Envelope>) {
    if (1..=LARGEST).contains(&buffer.capacity()) {
        let _ = SPARE.try_with(|spare| spare.set(buffer));
    }
}

impl Queue {
    #[inline]
    fn push(&mut self, envelope: Envelope) {
        if self.waiting.capacity() == 0 {
            self.waiting = borrow();
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
            give_back(std::mem::take(&mut self.waiting));
        }
        Some(envelope)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.transforming.is_none()
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
    pub(super) fn append(&mut self, batch: &mut VecDeque<Envelope>, bytes: usize) {
        self.bytes += bytes;
        self.count += batch.len() as u64;
        if self.data.waiting.is_empty() {
            // What it has is the thread's, as the batch's is.
            std::mem::swap(&mut self.data.waiting, batch);
        } else {
            self.data.waiting.append(batch);
        }
    }

    /// The next of a lane, unless one before it is on its way still.
    #[inline]
    pub(crate) fn pop(&mut self, lane: Lane) -> Option<Envelope> {
        let envelope = match lane {
            Lane::Data => self.data.pop()?,
            Lane::Events => {
                let events = self.events.as_mut()?;
                let envelope = events.queue.pop()?;
                events.behind.pop_front();
                envelope
            }
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
        match event {
            true => Some(Lane::Events),
            false => (!self.data.waiting.is_empty()).then_some(Lane::Data),
        }
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
    /// Takes the next of a lane out, unless one before it is on its way still. That makes room for who
    /// waits to deliver one.
    fn pop(&self, lane: Lane) -> Option<Envelope>;
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

/// The next message of a lane, behind the transforms. `None` when no more will come.
#[inline]
pub(crate) fn poll_mail(
    mailbox: &impl MailBox,
    lane: Lane,
    spark: &Spark,
    cx: &mut Context<'_>,
) -> Poll<Option<Message>> {
    let mount = mailbox.mount();
    loop {
        if let Some(envelope) = mailbox.pop(lane) {
            let message = Message::unpack(envelope, mount.format());
            if mount.shared.transforms.lets_in() {
                return Poll::Ready(Some(message));
            }
            match pass(mount, spark, message) {
                Ok(Some(message)) => return Poll::Ready(Some(message)),
                Ok(None) => continue,
                Err(future) => {
                    mailbox.mail(|mail| mail.queue(lane).transforming = Some(Box::new(future)));
                }
            }
        }
        if let Some(polled) = poll_rest(mailbox, lane, cx) {
            return polled;
        }
    }
}

/// Where no message can be taken out: what is on its way still, or the end of all. `None`: look again.
fn poll_rest(
    mailbox: &impl MailBox,
    lane: Lane,
    cx: &mut Context<'_>,
) -> Option<Poll<Option<Message>>> {
    let transforming = mailbox.mail(|mail| {
        let queue = mail.queue(lane);
        match queue.transforming.take() {
            Some(transforming) => Ok(transforming),
            None if !queue.waiting.is_empty() => Err(None),
            None if mail.closed => Err(Some(Poll::Ready(None))),
            None => {
                if lane == Lane::Data {
                    match &mut mail.reader {
                        Some(reader) => reader.clone_from(cx.waker()),
                        None => mail.reader = Some(cx.waker().clone()),
                    }
                }
                Err(Some(Poll::Pending))
            }
        }
    });
    let mut transforming = match transforming {
        Ok(transforming) => transforming,
        Err(polled) => return polled,
    };
    match transforming.as_mut().as_mut().poll(cx) {
        Poll::Ready(message) => message.map(|message| Poll::Ready(Some(message))),
        Poll::Pending => {
            mailbox.mail(|mail| mail.queue(lane).transforming = Some(transforming));
            Some(Poll::Pending)
        }
    }
}
