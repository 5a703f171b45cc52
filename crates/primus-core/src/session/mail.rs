//! What has been received and waits for a spark: messages for who reads them one by one, and events
//! for their listeners.

use std::{
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

/// Messages of one kind, in order.
#[derive(Default)]
struct Queue {
    /// With their places in the order of both kinds.
    waiting: VecDeque<(u64, Envelope)>,
    /// An incoming transform that awaits; what is behind it waits, so order is kept.
    transforming: Option<BoxFuture<'static, Option<Message>>>,
}

/// The two lanes of a spark. Empty, they hold no heap.
#[derive(Default)]
pub(crate) struct Mail {
    data: Queue,
    events: Queue,
    /// How many have come.
    count: u64,
    bytes: usize,
    /// No more will come.
    pub(crate) closed: bool,
    /// The handler, waiting in `next`.
    pub(crate) reader: Option<Waker>,
    /// Who waits for the end.
    closing: Option<Waker>,
}

impl Mail {
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Data => &mut self.data,
            Lane::Events => &mut self.events,
        }
    }

    pub(crate) fn push(&mut self, lane: Lane, envelope: Envelope) {
        self.count += 1;
        self.bytes += envelope.len();
        let place = self.count;
        self.queue(lane).waiting.push_back((place, envelope));
    }

    fn pop(&mut self, lane: Lane) -> Option<Envelope> {
        let queue = self.queue(lane);
        let (_, envelope) = queue.waiting.pop_front()?;
        if queue.waiting.is_empty() && queue.waiting.capacity() > 8 {
            queue.waiting = VecDeque::new();
        }
        self.bytes -= envelope.len();
        Some(envelope)
    }

    /// No more will come. Who waited for more, or for this, has to be woken.
    pub(crate) fn close(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.closed = true;
        self.reader.take().into_iter().chain(self.closing.take())
    }

    pub(crate) fn wait_for_close(&mut self, cx: &Context<'_>) {
        self.closing = Some(cx.waker().clone());
    }

    /// Forgets what waits: so many messages, and their bytes.
    pub(crate) fn clear(&mut self) -> (usize, usize) {
        let size = self.size();
        (self.data.waiting, self.events.waiting, self.bytes) = Default::default();
        size
    }

    /// Messages, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.data.waiting.len() + self.events.waiting.len(), self.bytes)
    }

    /// Which lane is the next, where both are served by one. One that is under way comes first.
    pub(crate) fn next_lane(&self) -> Option<Lane> {
        let place = |queue: &Queue| match &queue.transforming {
            Some(_) => Some(0),
            None => queue.waiting.front().map(|(place, _)| *place),
        };
        match (place(&self.data), place(&self.events)) {
            (None, None) => None,
            (Some(data), Some(event)) if event < data => Some(Lane::Events),
            (Some(_), _) => Some(Lane::Data),
            (None, Some(_)) => Some(Lane::Events),
        }
    }

    pub(crate) fn has(&self, lane: Lane) -> bool {
        let queue = match lane {
            Lane::Data => &self.data,
            Lane::Events => &self.events,
        };
        !queue.waiting.is_empty() || queue.transforming.is_some()
    }

    /// Takes away what awaits: it may hold the spark that this belongs to.
    pub(crate) fn take_transforming(&mut self) -> impl Sized + use<> {
        (self.data.transforming.take(), self.events.transforming.take())
    }
}

/// What was found in a lane.
pub(crate) enum Popped {
    Message(Envelope),
    Transforming(BoxFuture<'static, Option<Message>>),
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
type Passing = Result<Option<Message>, BoxFuture<'static, Option<Message>>>;

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
            Popped::Transforming(mut transforming) => match transforming.as_mut().poll(cx) {
                Poll::Pending => {
                    mailbox.mail(|mail| mail.queue(lane).transforming = Some(transforming));
                    return Poll::Pending;
                }
                Poll::Ready(Some(message)) => return Poll::Ready(Some(message)),
                Poll::Ready(None) => continue,
            },
        };
        let mount = mailbox.mount();
        let message = Message::unpack(envelope, Arc::clone(&mount.settings().parser));
        match pass(mount, spark, message) {
            Ok(Some(message)) => return Poll::Ready(Some(message)),
            Ok(None) => {}
            Err(future) => mailbox.mail(|mail| mail.queue(lane).transforming = Some(future)),
        }
    }
}
