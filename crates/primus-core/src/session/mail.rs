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
    /// With their places in the order of both kinds.
    waiting: VecDeque<(u64, Envelope)>,
    /// An incoming transform that awaits; what is behind it waits, so order is kept.
    transforming: Option<Box<Transforming>>,
}

/// The two lanes of a spark. Empty, they hold no heap.
#[derive(Default)]
pub(crate) struct Mail {
    data: Queue,
    /// Made with the first event.
    events: Option<Box<Queue>>,
    /// How many have come.
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
    static SPARE: Cell<VecDeque<(u64, Envelope)>> = const { Cell::new(VecDeque::new()) };
}

/// A thread keeps no buffer for more messages than this.
const LARGEST: usize = 64;

impl Queue {
    fn push(&mut self, place: u64, envelope: Envelope) {
        if self.waiting.capacity() == 0 {
            self.waiting = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        self.waiting.push_back((place, envelope));
    }

    fn pop(&mut self) -> Option<Envelope> {
        let (_, envelope) = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            let buffer = std::mem::take(&mut self.waiting);
            if buffer.capacity() <= LARGEST {
                let _ = SPARE.try_with(|spare| spare.set(buffer));
            }
        }
        Some(envelope)
    }
}

impl Mail {
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Data => &mut self.data,
            Lane::Events => self.events.get_or_insert_default(),
        }
    }

    pub(crate) fn push(&mut self, lane: Lane, envelope: Envelope) {
        self.count += 1;
        self.bytes += envelope.len();
        let place = self.count;
        self.queue(lane).push(place, envelope);
    }

    fn pop(&mut self, lane: Lane) -> Option<Envelope> {
        let envelope = self.queue(lane).pop()?;
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
            events.waiting = VecDeque::new();
        }
        size
    }

    /// Messages, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let events = self.events.as_ref().map_or(0, |events| events.waiting.len());
        (self.data.waiting.len() + events, self.bytes)
    }

    /// Which lane is the next, where both are served by one. One that is under way comes first.
    pub(crate) fn next_lane(&self) -> Option<Lane> {
        let place = |queue: &Queue| match &queue.transforming {
            Some(_) => Some(0),
            None => queue.waiting.front().map(|(place, _)| *place),
        };
        match (place(&self.data), self.events.as_deref().and_then(place)) {
            (None, None) => None,
            (Some(data), Some(event)) if event < data => Some(Lane::Events),
            (Some(_), _) => Some(Lane::Data),
            (None, Some(_)) => Some(Lane::Events),
        }
    }

    pub(crate) fn has(&self, lane: Lane) -> bool {
        let queue = match lane {
            Lane::Data => Some(&self.data),
            Lane::Events => self.events.as_deref(),
        };
        queue.is_some_and(|queue| !queue.waiting.is_empty() || queue.transforming.is_some())
    }

    /// Takes away what awaits: it may hold the spark that this belongs to.
    pub(crate) fn take_transforming(&mut self) -> impl Sized + use<> {
        let events = self.events.as_mut().and_then(|events| events.transforming.take());
        (self.data.transforming.take(), events)
    }
}

/// What was found in a lane.
pub(crate) enum Popped {
    Message(Envelope),
    Transforming(Box<Transforming>),
    Nothing(Poll<Option<Message>>),
}

/// Where mail lies.
pub(crate) trait MailBox {
    /// Works on it, under its lock.
    fn mail<R>(&self, work: impl FnOnce(&mut Mail) -> R) -> R;
    /// Takes something out. A message makes room for who waits to deliver one.
    fn take(&self, pop: impl FnOnce(&mut Mail) -> Popped) -> Popped;
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
pub(crate) fn poll_mail(
    mailbox: &impl MailBox,
    lane: Lane,
    spark: &Spark,
    cx: &mut Context<'_>,
) -> Poll<Option<Message>> {
    loop {
        let popped = mailbox.take(|mail| {
            if let Some(transforming) = mail.queue(lane).transforming.take() {
                return Popped::Transforming(transforming);
            }
            match mail.pop(lane) {
                Some(envelope) => Popped::Message(envelope),
                None if mail.closed => Popped::Nothing(Poll::Ready(None)),
                None => {
                    if lane == Lane::Data {
                        match &mut mail.reader {
                            Some(reader) => reader.clone_from(cx.waker()),
                            None => mail.reader = Some(cx.waker().clone()),
                        }
                    }
                    Popped::Nothing(Poll::Pending)
                }
            }
        });
        let envelope = match popped {
            Popped::Message(envelope) => envelope,
            Popped::Nothing(nothing) => return nothing,
            Popped::Transforming(mut transforming) => match transforming.as_mut().as_mut().poll(cx)
            {
                Poll::Pending => {
                    mailbox.mail(|mail| mail.queue(lane).transforming = Some(transforming));
                    return Poll::Pending;
                }
                Poll::Ready(Some(message)) => return Poll::Ready(Some(message)),
                Poll::Ready(None) => continue,
            },
        };
        let mount = mailbox.mount();
        let message = Message::unpack(envelope, &mount.settings().parser);
        match pass(mount, spark, message) {
            Ok(Some(message)) => return Poll::Ready(Some(message)),
            Ok(None) => {}
            Err(future) => {
                mailbox.mail(|mail| mail.queue(lane).transforming = Some(Box::new(future)))
            }
        }
    }
}
