//! A socket with its protocol state: reads into the thread's scratch, feeds tungstenite, and queues what
//! is to be written.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use primus_core::{CloseReason, Io, MountSettings, Payload, Upgraded};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use crate::{fragments::Fragments, frame, out::Out};

/// What a worker thread reads into. Nothing of it survives a turn.
const SCRATCH: usize = 64 << 10;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A socket with its protocol state.
pub(crate) struct Connection {
    pub(crate) io: Box<dyn Io>,
    context: WebSocketContext,
    fragments: Fragments,
    max_fragments: usize,
    /// A message has more fragments than that; what came before it is in the backlog.
    pub(crate) excess: bool,
    /// Read and not yet parsed: what came with the handshake, or behind a full inbox.
    pub(crate) backlog: Bytes,
    /// tungstenite may hold whole frames of what it was given.
    pub(crate) unparsed: bool,
    pub(crate) out: Out,
}

/// What tungstenite reads from and writes to: a slice of input, then `WouldBlock`.
struct Feed<'a> {
    input: &'a [u8],
    out: &'a mut Out,
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    pub(crate) fn new(upgraded: Upgraded, settings: &MountSettings) -> Self {
        let limits = &settings.limits;
        let mut fragments = Fragments::default();
        let passed = fragments.pass(&upgraded.read, limits.max_fragments);
        let config = WebSocketConfig::default()
            // Eagerly allocated by tungstenite, and only a way station: input comes by slices.
            .read_buffer_size(512)
            .write_buffer_size(0)
            .max_message_size(Some(limits.max_message))
            .max_frame_size(Some(limits.max_message));
        Self {
            io: upgraded.io,
            context: WebSocketContext::new(Role::Server, Some(config)),
            fragments,
            max_fragments: limits.max_fragments,
            excess: passed < upgraded.read.len(),
            backlog: upgraded.read.slice(..passed),
            unparsed: true,
            out: Out::default(),
        }
    }

    /// Parses the next message of `input`; takes what it used.
    pub(crate) fn parse(&mut self, input: &mut &[u8]) -> Result<Option<Message>, CloseReason> {
        let given = *input;
        let mut feed = Feed { input: given, out: &mut self.out };
        let read = self.context.read(&mut feed);
        let used = given.len() - feed.input.len();
        *input = &given[used..];
        self.unparsed = read.is_ok();
        match read {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(close_reason(&error)),
        }
    }

    /// Bounds the messages from here on.
    pub(crate) fn limit(&mut self, max: usize) {
        self.context.set_config(|config| {
            config.max_message_size = Some(max);
            config.max_frame_size = Some(max);
        });
    }

    /// The first message, in whatever chunks it comes; for the attach.
    pub(crate) async fn first(&mut self, max: usize) -> Result<Message, CloseReason> {
        self.limit(max);
        poll_fn(|cx| {
            loop {
                let backlog = std::mem::take(&mut self.backlog);
                let mut input = &backlog[..];
                let message = self.parse(&mut input)?;
                self.backlog = backlog.slice_ref(input);
                let written = self.out.poll_write(cx, &mut self.io);
                if let Poll::Ready(Err(_)) = written {
                    return Poll::Ready(Err(CloseReason::GOING_AWAY));
                }
                match message {
                    Some(message @ (Message::Text(_) | Message::Binary(_))) => {
                        return Poll::Ready(Ok(message));
                    }
                    Some(Message::Close(_)) => return Poll::Ready(Err(CloseReason::GOING_AWAY)),
                    Some(_) => {}
                    None if self.excess => return Poll::Ready(Err(too_many_fragments())),
                    None => match self.poll_read(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(true)) => {}
                        Poll::Ready(_) => return Poll::Ready(Err(CloseReason::GOING_AWAY)),
                    },
                }
            }
        })
        .await
    }

    /// Reads once into the backlog. False at the end of the stream.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        READ.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            let passed = self.fragments.pass(read, self.max_fragments);
            self.excess = passed < read.len();
            self.backlog = Bytes::copy_from_slice(&read[..passed]);
            Poll::Ready(Ok(!read.is_empty()))
        })
    }

    /// Queues our close frame. tungstenite does it, so that it knows the peer's as the answer.
    pub(crate) fn close(&mut self, reason: &CloseReason) {
        let code = CloseCode::from(reason.code());
        let frame = CloseFrame { code, reason: reason.frame_text().to_owned().into() };
        let mut feed = Feed { input: &[], out: &mut self.out };
        // It fails only where the peer has closed already; then its answer is queued.
        let _ = self.context.close(&mut feed, code.is_allowed().then_some(frame));
    }

    /// Queues the answer to the peer's close, behind everything else.
    pub(crate) fn answer_close(&mut self) {
        let mut feed = Feed { input: &[], out: &mut self.out };
        // An error says that the connection is closed, which is the point.
        let _ = self.context.flush(&mut feed);
    }

    /// Sends last words and closes, waiting for the peer for a while. For connections that never
    /// got a session.
    pub(crate) async fn refuse(
        mut self,
        words: Option<Payload>,
        reason: &CloseReason,
        patience: Duration,
    ) {
        if let Some(words) = words {
            self.out.push_message(&words);
        }
        self.out.small(|tail| frame::put_close(tail, reason));
        let farewell = async {
            poll_fn(|cx| self.out.poll_write(cx, &mut self.io)).await?;
            self.io.shutdown().await?;
            // Unread input would make the kernel reset the connection under our last words.
            while poll_fn(|cx| self.poll_discard(cx)).await? {}
            Ok::<_, io::Error>(())
        };
        let _ = tokio::time::timeout(patience, farewell).await;
    }

    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        READ.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(!buffer.filled().is_empty()))
        })
    }
}

/// Which close code tells a peer what it did wrong.
fn close_reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(_) => CloseReason::TOO_BIG,
        Error::Utf8(_) => CloseReason::INVALID_TEXT,
        Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::GOING_AWAY,
        _ => CloseReason::PROTOCOL_ERROR,
    }
}

pub(crate) fn too_many_fragments() -> CloseReason {
    CloseReason::POLICY.with_text("too many fragments")
}
