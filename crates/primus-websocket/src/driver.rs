//! The driver: the one task of a connection.
//!
//! ```text
//! each turn:  read once into the thread's scratch ─▶ tungstenite ─▶ inbox, pongs
//!             run the handler
//!             take what it (or anyone) wrote ─▶ frames ─▶ one vectored write
//! open ──end──▶ closing: end and close frames written, input read for the peer's close only
//!      ──bad input──▶ failing: the same, then input is thrown away until the peer goes
//! ```

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::{
    BoxError, Carriage, Carrier, CloseReason, DeliverError, Head, Io, Mount, MountSettings,
    Opening, Payload, Rejection, Session, Upgraded,
    native::{self, ClientAttach, Frame, ServerAttach},
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use crate::{
    dialect::{Dialect, Incoming},
    fragments::Fragments,
    out::Out,
};

/// What a worker thread reads into. Nothing of it survives a turn.
const SCRATCH: usize = 64 << 10;
/// Bytes taken from the outbox before they are written.
const BATCH: usize = 256 << 10;
/// Bytes that may wait for the socket before we stop reading from it: a peer that sends pings and
/// reads no pongs shall not fill our memory.
const HIGH: usize = 256 << 10;
/// Turns before the task yields to others.
const TURNS: usize = 8;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A socket with its protocol state.
pub(crate) struct Connection {
    io: Box<dyn Io>,
    context: WebSocketContext,
    fragments: Fragments,
    max_fragments: usize,
    /// A message has more fragments than that; what came before it is in the backlog.
    excess: bool,
    /// Read and not yet parsed: what came with the handshake, or behind a full inbox.
    backlog: Bytes,
    /// tungstenite may hold whole frames of what it was given.
    unparsed: bool,
    out: Out,
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
        let config = WebSocketConfig::default()
            // Eagerly allocated by tungstenite, and only a way station: input comes by slices.
            .read_buffer_size(512)
            .write_buffer_size(0)
            .max_message_size(Some(limits.max_message))
            .max_frame_size(Some(limits.max_message));
        Self {
            io: upgraded.io,
            context: WebSocketContext::new(Role::Server, Some(config)),
            fragments: Fragments::default(),
            max_fragments: limits.max_fragments,
            excess: false,
            backlog: upgraded.read,
            unparsed: true,
            out: Out::default(),
        }
    }

    /// Parses the next message of `input`; takes what it used.
    fn parse(&mut self, input: &mut &[u8]) -> Result<Option<Message>, CloseReason> {
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

    /// The first message, in whatever chunks it comes; for the attach.
    async fn first(&mut self, max: usize) -> Result<Message, CloseReason> {
        self.context.set_config(|config| {
            config.max_message_size = Some(max);
            config.max_frame_size = Some(max);
        });
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
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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
    fn close(&mut self, reason: &CloseReason) {
        let code = CloseCode::from(reason.code());
        let frame = CloseFrame { code, reason: reason.frame_text().to_owned().into() };
        let mut feed = Feed { input: &[], out: &mut self.out };
        // It fails only where the peer has closed already; then its answer is queued.
        let _ = self.context.close(&mut feed, code.is_allowed().then_some(frame));
    }

    /// Queues the answer to the peer's close, behind everything else.
    fn answer_close(&mut self) {
        let mut feed = Feed { input: &[], out: &mut self.out };
        // An error says that the connection is closed, which is the point.
        let _ = self.context.flush(&mut feed);
    }

    /// Sends last words and closes, waiting for the peer for a while. For connections that never
    /// got a session.
    async fn refuse(
        mut self,
        words: Option<Payload>,
        reason: &CloseReason,
        patience: std::time::Duration,
    ) {
        if let Some(words) = words {
            self.out.push_message(&words);
        }
        self.out.small(|tail| crate::frame::put_close(tail, reason));
        let farewell = async {
            poll_fn(|cx| self.out.poll_write(cx, &mut self.io)).await?;
            self.io.shutdown().await?;
            // Unread input would make the kernel reset the connection under our last words.
            while poll_fn(|cx| self.poll_discard(cx)).await? {}
            Ok::<_, io::Error>(())
        };
        let _ = tokio::time::timeout(patience, farewell).await;
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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

fn too_many_fragments() -> CloseReason {
    CloseReason::POLICY.with_text("too many fragments")
}

/// The attach of the resumable dialect: the first frame, `authorize`, the answer.
pub(crate) async fn attach(
    mut connection: Connection,
    head: &Head,
    mount: &Arc<Mount>,
) -> Option<(Connection, Arc<Session>, Carrier)> {
    let limits = &mount.settings().limits;
    let first = connection.first(limits.max_attach);
    let (asked, rejection) = match tokio::time::timeout(limits.attach_timeout, first).await {
        Err(_) => {
            let late = http::StatusCode::REQUEST_TIMEOUT;
            (None, Rejection::new(late, "no attach frame in time (attach_timeout)"))
        }
        Ok(Err(reason)) => {
            connection.refuse(None, &reason, limits.close_timeout).await;
            return None;
        }
        Ok(Ok(message)) => match read_attach(message) {
            Ok(asked) => (Some(asked), Rejection::from(http::StatusCode::BAD_REQUEST)),
            Err(error) => (None, Rejection::new(http::StatusCode::BAD_REQUEST, error.to_string())),
        },
    };
    let opened = match &asked {
        None => Err(rejection),
        Some(asked) => {
            let opening = Opening { auth: asked.auth.clone(), protocol: None };
            mount.open("websocket", head, opening).await
        }
    };
    match (opened, asked) {
        (Ok(session), Some(asked)) => {
            let max = limits.max_message;
            connection.context.set_config(|config| {
                config.max_message_size = Some(max);
                config.max_frame_size = Some(max);
            });
            let carrier = session.attach(Carriage::DRIVER);
            let answer = ServerAttach::new(&session, carrier.generation(), &asked);
            connection.out.push_message(&answer.to_frame().into());
            Some((connection, session, carrier))
        }
        (Err(rejection), _) => {
            let code = 4000 + rejection.status().as_u16();
            let words = native::refuse_frame(&rejection).into();
            let reason = CloseReason::from_code(code, "refused");
            connection.refuse(Some(words), &reason, limits.close_timeout).await;
            None
        }
        (Ok(_), None) => None,
    }
}

fn read_attach(message: Message) -> Result<ClientAttach, BoxError> {
    let Message::Text(text) = message else {
        return Err("the first frame must be an attach frame".into());
    };
    match native::parse(ByteString::from(text.as_str()))? {
        Frame::Attach(body) => Ok(ClientAttach::parse(&body)?),
        _ => Err("the first frame must be an attach frame".into()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The close frame is queued; the peer's is awaited.
    Closing,
    /// The peer broke the protocol: after our close, input is thrown away until it goes.
    Failing,
    /// The same, and our side is shut.
    Shut,
}

/// How far reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There may be more at once.
    More,
    /// The socket or the inbox wakes us.
    Waiting,
    /// Too much waits to be written.
    Blocked,
}

/// How far taking from the outbox came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    /// Too much waits to be written.
    Blocked,
    /// The session is over.
    Gone,
}

struct Driver {
    connection: Connection,
    dialect: Dialect,
    stage: Stage,
    /// A message that found the inbox full.
    held: Option<Payload>,
    /// What the peer did wrong in this turn.
    failed: Option<CloseReason>,
    /// Why the peer went, once it did.
    gone: Option<CloseReason>,
    /// The peer ended the session, so it need not be told.
    ended: bool,
}

/// Drives a connection until it is over.
pub(crate) async fn drive(connection: Connection, mut carrier: Carrier, dialect: Dialect) {
    let mut driver = Driver {
        connection,
        dialect,
        stage: Stage::Open,
        held: None,
        failed: None,
        gone: None,
        ended: false,
    };
    poll_fn(|cx| driver.poll(cx, &mut carrier)).await;
    match driver.gone {
        // The peer answered our close, or went after it had been written.
        Some(_) if driver.stage != Stage::Open && driver.connection.out.is_empty() => {
            carrier.finish();
        }
        Some(reason) => carrier.lost(reason),
        None => drop(carrier),
    }
    // The server closes first (RFC 6455 §7.1.1), and says so properly over TLS.
    let _ = driver.connection.io.shutdown().await;
}

impl Driver {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Poll<()> {
        for _ in 0..TURNS {
            carrier.begin_turn();
            let read = self.read(cx, carrier.session());
            carrier.run();
            if let Some(reason) = self.failed.take() {
                // Now that what came before the fault has been answered.
                carrier.session().end(reason);
            }
            let taken = self.take(cx, carrier);
            if taken == Taken::Gone {
                return Poll::Ready(());
            }
            if self.gone.is_some() {
                self.connection.answer_close();
            }
            let written = match self.connection.out.poll_write(cx, &mut self.connection.io) {
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
                Poll::Ready(Err(_)) => {
                    self.gone.get_or_insert(CloseReason::GOING_AWAY);
                    return Poll::Ready(());
                }
            };
            if self.gone.is_some() {
                return Poll::Ready(());
            }
            if written
                && self.stage == Stage::Failing
                && Pin::new(&mut self.connection.io).poll_shutdown(cx).is_ready()
            {
                self.stage = Stage::Shut;
            }
            // Whatever stopped has left its waker with the socket or the session, except what
            // stopped because bytes were waiting for a socket that has taken them meanwhile.
            let again = read == Progress::More
                || written && (read == Progress::Blocked || taken == Taken::Blocked);
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what is to be written.
    fn take(&mut self, cx: &mut Context<'_>, carrier: &mut Carrier) -> Taken {
        loop {
            let Self { connection, dialect, stage, ended, .. } = self;
            if *stage != Stage::Open {
                // All has been said; only a cut is of interest.
                return if carrier.poll_cut(cx) { Taken::Gone } else { Taken::All };
            }
            if connection.out.len() >= BATCH {
                return Taken::Blocked;
            }
            let taken = carrier.poll_take(cx, BATCH, |outgoing| {
                dialect.write(&outgoing, &mut connection.out);
            });
            let Poll::Ready(taken) = taken else { return Taken::All };
            if taken.gone {
                return Taken::Gone;
            }
            let session = carrier.session();
            if taken.ping {
                dialect.write_ping(session, &mut connection.out);
            }
            if let Some(reason) = taken.end {
                if !*ended {
                    dialect.write_end(&reason, session, &mut connection.out);
                }
                connection.close(&reason);
                let failed = matches!(reason.code(), 1002 | 1007 | 1008 | 1009 | 4400);
                *stage = if failed { Stage::Failing } else { Stage::Closing };
            }
        }
    }

    /// Reads once and handles every complete frame of it.
    fn read(&mut self, cx: &mut Context<'_>, session: &Arc<Session>) -> Progress {
        if self.gone.is_some() {
            return Progress::Waiting;
        }
        if self.connection.out.len() >= HIGH {
            return Progress::Blocked;
        }
        if matches!(self.stage, Stage::Failing | Stage::Shut) {
            return match self.connection.poll_discard(cx) {
                Poll::Pending => Progress::Waiting,
                Poll::Ready(Ok(true)) => Progress::More,
                Poll::Ready(_) => self.lost(),
            };
        }
        if let Some(held) = self.held.take()
            && !self.deliver(held, session, cx)
        {
            return Progress::Waiting;
        }
        let Connection { backlog, unparsed, excess, .. } = &self.connection;
        if backlog.is_empty() && !unparsed && !excess {
            match self.connection.poll_read(cx) {
                Poll::Pending => return Progress::Waiting,
                Poll::Ready(Ok(true)) => session.seen(),
                Poll::Ready(_) => return self.lost(),
            }
        }
        let backlog = std::mem::take(&mut self.connection.backlog);
        let mut input = &backlog[..];
        let progress = loop {
            match self.connection.parse(&mut input) {
                Ok(None) if self.connection.excess => return self.fail(too_many_fragments()),
                Ok(None) => return Progress::More,
                Err(reason) => return self.fail(reason),
                Ok(Some(message)) => {
                    if !self.handle(message, session, cx) {
                        break Progress::Waiting;
                    }
                    if self.gone.is_some() {
                        break Progress::Waiting;
                    }
                    if self.failed.is_some() {
                        return Progress::More;
                    }
                    if self.connection.out.len() >= HIGH {
                        break Progress::Blocked;
                    }
                }
            }
        };
        self.connection.backlog = backlog.slice_ref(input);
        progress
    }

    fn lost(&mut self) -> Progress {
        self.gone = Some(CloseReason::GOING_AWAY);
        Progress::Waiting
    }

    /// The peer broke the protocol.
    fn fail(&mut self, reason: CloseReason) -> Progress {
        self.failed = Some(reason);
        if self.stage == Stage::Closing {
            self.stage = Stage::Failing;
        }
        Progress::More
    }

    /// Handles one message. False: wait before the next.
    fn handle(&mut self, message: Message, session: &Arc<Session>, cx: &mut Context<'_>) -> bool {
        match message {
            Message::Text(text) => {
                let Ok(text) = ByteString::try_from(Bytes::from(text)) else { return true };
                match self.dialect.read_text(text, session) {
                    Ok(Incoming::Data(payload)) => return self.deliver(payload, session, cx),
                    Ok(Incoming::Answer(answer)) => self.connection.out.push_message(&answer),
                    Ok(Incoming::Pong) => session.ponged(),
                    Ok(Incoming::End) => {
                        self.ended = true;
                        session.end(CloseReason::NORMAL);
                    }
                    Ok(Incoming::Nothing) => {}
                    Err(error) => {
                        self.failed = Some(CloseReason::BAD_CONTROL.with_text(error.to_string()));
                    }
                }
            }
            Message::Binary(bytes) => return self.deliver(bytes.into(), session, cx),
            Message::Pong(_) => session.ponged(),
            Message::Close(frame) => {
                self.gone = Some(match frame {
                    Some(frame) if u16::from(frame.code) != 1000 => {
                        let text = frame.reason.as_str().to_owned();
                        CloseReason::from_code(frame.code.into(), text)
                    }
                    _ => CloseReason::NORMAL,
                });
            }
            Message::Ping(_) | Message::Frame(_) => {}
        }
        true
    }

    /// Hands a message to the session, or holds it until there is room. False: it is held.
    fn deliver(&mut self, payload: Payload, session: &Arc<Session>, cx: &mut Context<'_>) -> bool {
        match session.deliver(payload) {
            Ok(()) | Err(DeliverError::Ended(_)) => true,
            Err(DeliverError::Full(payload)) => {
                self.held = Some(payload);
                // Room may have come up just now: then wake for another turn.
                if session.poll_room(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                false
            }
        }
    }
}
