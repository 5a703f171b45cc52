//! A path under which a Primus is reached, with its own parser, limits and transformers.

mod attach;
mod tokens;

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    admission::Pending,
    authorize::{AuthorizeRequest, Rejection},
    broadcast::{Audience, EmitError},
    handle::Spark,
    handshake::Handshake,
    id::{Secret, SparkId},
    message::Payload,
    metrics::{self, Meters},
    native::ServerAttach,
    parser::{EncodeError, Format},
    registry::Registry,
    request::Head,
    resume::Graves,
    session::{Carrier, Resume, Session, SessionKind},
    settings::MountSettings,
    shared::{Phase, Shared},
    transformer::Transformer,
};

/// What a transformer says of a session that it opens.
#[derive(Debug, Clone, Default)]
pub struct Opening<'a> {
    /// What the client gave as its `auth`; null if its protocol has no place for it.
    pub auth: serde_json::Value,
    /// The WebSocket subprotocol that was agreed on.
    pub protocol: Option<&'a str>,
    /// Whether the session outlives its carrier.
    pub resume: Resume,
    /// Whether the client's protocol has a way to answer requests.
    pub answers: bool,
    /// Whether the handler of the root waits for [`Session::begin`]: of a client that is in a channel and
    /// may come to the root later, or never. A session that ends before that has no disconnection, either.
    pub held: bool,
    /// How often the client has to hear a ping, where its protocol says so. `None`: as the server's
    /// `ping_interval` says.
    pub ping_interval: Option<Duration>,
    /// Whether the client is told who comes to the rooms that it is in, and who leaves them: by events
    /// `primus.presence`, `{"room", "type": "join" | "leave", "id", "info"}`.
    pub presence: bool,
}

/// What became of an attach.
#[derive(Debug)]
pub struct Attached {
    /// Carries the session from now on.
    pub carrier: Carrier,
    /// The first frame of the carrier, from the server.
    pub answer: ServerAttach,
}

/// One mount. Transformers open sessions on it; handlers broadcast to its sparks with it.
pub struct Mount {
    settings: MountSettings,
    /// The parser of these, as messages have it.
    format: Format,
    transformers: Vec<Arc<dyn Transformer>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    tokens: RwLock<HashMap<Secret, (Weak<Session>, u64)>>,
    graves: Mutex<Graves>,
    /// Bytes that the sessions with carriers kept when they were looked at last.
    carried: AtomicUsize,
    meters: RwLock<Vec<Arc<Meters>>>,
    start: OnceLock<Instant>,
    beating: AtomicBool,
    me: Weak<Self>,
}

impl Mount {
    pub(crate) fn new(
        settings: MountSettings,
        transformers: Vec<Arc<dyn Transformer>>,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        let format = Format::from(&settings.parser);
        Arc::new_cyclic(|me| Self {
            settings,
            format,
            transformers,
            shared,
            registry: Registry::new(),
            tokens: RwLock::default(),
            graves: Mutex::default(),
            carried: AtomicUsize::new(0),
            meters: RwLock::default(),
            start: OnceLock::new(),
            beating: AtomicBool::new(false),
            me: Weak::clone(me),
        })
    }

    /// Path, parser and limits.
    #[inline]
    pub fn settings(&self) -> &MountSettings {
        &self.settings
    }

    /// The parser of these, as messages have it.
    #[inline]
    pub(crate) fn format(&self) -> &Format {
        &self.format
    }

    /// The rooms that a write to the room `name` also reaches here.
    pub(crate) fn wider_rooms(&self, name: &str) -> Vec<String> {
        self.transformers.iter().flat_map(|transformer| transformer.wider_rooms(name)).collect()
    }

    /// The transformers, in the order in which they are asked.
    pub fn transformers(&self) -> &[Arc<dyn Transformer>] {
        &self.transformers
    }

    /// How often silent peers are asked for a sign of life, and how long after that they are given up.
    pub fn heartbeat(&self) -> (Duration, Duration) {
        (self.shared.settings.ping_interval, self.shared.settings.ping_timeout)
    }

    /// Microseconds since one ping interval before the first session of this mount was opened:
    /// what is set back by less than that is not before all time.
    pub fn clock(&self) -> u64 {
        let start = self.start.get_or_init(Instant::now);
        let clock = start.elapsed() + self.shared.settings.ping_interval;
        u64::try_from(clock.as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether the server is ending, and its listeners with it.
    pub fn phase(&self) -> Phase {
        *self.shared.phase.borrow()
    }

    /// Whether a client may ask for the channel of this name: the application has made it, or a
    /// pattern that it fits. For transformers whose clients tell channels from data by their names.
    pub fn has_channel(&self, name: &str) -> bool {
        self.shared.has_channel(name)
    }

    pub(crate) fn meters(&self, transport: &'static str) -> Arc<Meters> {
        let find = |meters: &[Arc<Meters>]| {
            meters.iter().find(|meters| meters.transport() == transport).cloned()
        };
        if let Some(found) = find(&self.meters.read().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let mut meters = self.meters.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = find(&meters) {
            return found;
        }
        let new = Arc::new(Meters::new(transport));
        meters.push(Arc::clone(&new));
        new
    }

    /// Counts a connection that has been accepted and has not attached yet.
    ///
    /// # Errors
    /// When the server is ending, or too many are pending.
    pub fn pend(&self) -> Result<Pending, Rejection> {
        self.shared.welcome()?;
        self.shared.admission.pend(self.shared.settings.max_pending)
    }

    /// Names this run of the server.
    pub fn epoch(&self) -> String {
        self.shared.epoch.reveal()
    }

    fn request(
        &self,
        transformer: &'static str,
        head: &Head,
        auth: serde_json::Value,
    ) -> AuthorizeRequest {
        let (head, mount) = (head.clone(), Arc::clone(&self.settings.path));
        AuthorizeRequest { head, auth, mount, transformer }
    }

    /// Authorizes a client and makes its session. Before this returns `Ok`, nothing exists.
    ///
    /// `transformer` is the name of the caller's transformer, `head` the request that asks.
    ///
    /// # Errors
    /// When the server is ending or full, or `authorize` refused. What the rejection says goes to
    /// the client in the form that its protocol has for it.
    pub async fn open(
        self: &Arc<Self>,
        transformer: &'static str,
        head: &Head,
        opening: Opening<'_>,
    ) -> Result<Arc<Session>, Rejection> {
        let began = Instant::now();
        let opened = self.admit(transformer, head, opening).await;
        metrics::handshake(began.elapsed());
        match &opened {
            Ok(session) => {
                metrics::connect("accepted");
                tracing::debug!(spark = %session.id(), transformer, "open");
            }
            Err(rejection) => {
                let status = rejection.status();
                metrics::connect("refused");
                tracing::debug!(transformer, %status, error = %rejection.error(), "refused");
            }
        }
        opened
    }

    async fn admit(
        self: &Arc<Self>,
        transformer: &'static str,
        head: &Head,
        opening: Opening<'_>,
    ) -> Result<Arc<Session>, Rejection> {
        let shared = &self.shared;
        shared.welcome()?;
        shared.remember_runtime();
        let permit = shared.admission.admit(head.address, &shared.settings)?;
        let user = match shared.hooks().authorizer() {
            None => None,
            Some(authorizer) => {
                let request = self.request(transformer, head, opening.auth);
                Some(guarded(async move { authorizer.authorize(request).await }).await?)
            }
        };
        shared.welcome()?; // it may have begun to end meanwhile
        let keep = &shared.settings.keep_headers;
        let handshake = Handshake::new(head, keep, transformer, opening.protocol);
        let session = Session::new(
            Arc::clone(self),
            handshake,
            user,
            permit,
            SessionKind {
                resume: opening.resume,
                answers: opening.answers,
                held: opening.held,
                ping_interval: opening.ping_interval,
                presence: opening.presence,
            },
        );
        if opening.presence {
            self.shared.show_presence();
        }
        self.registry.insert(&session);
        metrics::sessions(1);
        if let Err(ending) = shared.welcome() {
            // The end may have visited the registry just before this session was in it.
            self.forget(&session);
            return Err(ending);
        }
        self.beat();
        Ok(session)
    }

    pub(crate) fn forget(&self, session: &Session) {
        self.registry.remove(session.id());
        metrics::sessions(-1);
        self.revoke_token(session);
    }

    /// Starts the heartbeat with the first session. One task a mount, no timer a connection.
    fn beat(self: &Arc<Self>) {
        if self.beating.swap(true, Ordering::AcqRel) {
            return;
        }
        let settings = &self.shared.settings;
        let limits = &self.settings.limits;
        let shortest = [settings.ping_interval, settings.ping_timeout, limits.close_timeout]
            .into_iter()
            .filter(|duration| !duration.is_zero())
            .min()
            .unwrap_or(Duration::from_secs(1));
        let tick = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mount = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(tick).await;
                let Some(mount) = mount.upgrade() else { return };
                let (clock, now) = (mount.clock(), Instant::now());
                let mut kept = 0;
                mount.registry.visit(|session| {
                    session.sweep(clock, now);
                    kept += session.carried_cost();
                    true
                });
                mount.shared.carried(mount.carried.swap(kept, Ordering::Relaxed), kept);
                mount.shared.departures.sweep(now);
                mount.shared.detached.tidy();
                mount.shared.relieve();
                metrics::kept(mount.shared.kept());
            }
        });
    }

    /// Bytes that are kept for the clients of this mount, without what is shared by several.
    pub(crate) fn kept(&self) -> usize {
        let mut bytes = 0;
        self.registry.visit(|session| {
            bytes += session.kept_alone();
            true
        });
        bytes
    }

    // ---- for applications ----

    /// Sessions of this mount, also those without a carrier at the moment.
    pub fn sessions(&self) -> usize {
        self.registry.len()
    }

    /// The spark with this id, if it lives.
    pub fn spark(&self, id: SparkId) -> Option<Spark> {
        self.registry.get(id).map(|session| Spark::from_session(&session))
    }

    /// All sparks of this mount, to write to.
    pub fn everyone(&self) -> Audience {
        Audience::of_mounts(self.shared.root(), self.me.upgrade().into_iter().collect())
    }

    /// The sparks of this mount in a room of the root.
    pub fn room(&self, name: &str) -> Audience {
        self.everyone().room(name)
    }

    /// All sparks of this mount but one.
    pub fn except(&self, spark: &Spark) -> Audience {
        self.everyone().except(spark)
    }

    /// Writes a value to every spark of this mount: encoded once, framed once for each wire form. Returns how many it was queued for.
    ///
    /// # Errors
    /// When the parser cannot encode the value.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize, EncodeError> {
        self.everyone().write(value)
    }

    /// Writes a payload as it is to every spark of this mount. Returns how many it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        self.everyone().write_message(payload)
    }

    /// Emits an event to every spark of this mount. Returns how many it was queued for.
    ///
    /// # Errors
    /// As [`Audience::emit`].
    pub fn emit<T: Serialize + ?Sized>(&self, name: &str, args: &T) -> Result<usize, EmitError> {
        self.everyone().emit(name, args)
    }

    pub(crate) async fn all_ended(&self) {
        let mut sessions = Vec::new();
        self.registry.visit(|session| {
            sessions.push(Arc::clone(session));
            true
        });
        for session in sessions {
            poll_fn(|cx| session.poll_ended(cx)).await;
        }
    }
}

/// Awaits a decision in a task of its own, so that a panic in it is a refusal and nothing else.
pub(crate) async fn guarded<T: Send + 'static>(
    decision: impl Future<Output = Result<T, Rejection>> + Send + 'static,
) -> Result<T, Rejection> {
    let answer = tokio::spawn(decision).await.unwrap_or_else(|error| {
        tracing::error!(%error, "authorize failed");
        Err(StatusCode::INTERNAL_SERVER_ERROR.into())
    });
    answer.inspect_err(|no| metrics::auth_failure(no.status().as_u16()))
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount").field("path", &self.settings.path).finish_non_exhaustive()
    }
}
