//! What all mounts of one Primus share.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::Instant};

use crate::{
    admission::Admission,
    authorize::Rejection,
    channel::{Channel, ChannelRules, Pattern, Rules, Visit},
    close::CloseReason,
    hooks::Hooks,
    id::Secret,
    metrics,
    middleware::Middlewares,
    mount::Mount,
    names::{self, NameError},
    packet::FrameCounters,
    rooms::Departures,
    session::Waiting,
    settings::Settings,
    transform::Transforms,
};

/// Whether new sessions are welcome, and whether listeners are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phase {
    /// No new sessions.
    pub draining: bool,
    /// Listeners close.
    pub closing: bool,
    /// When listeners abort the connections that are left; `None`: never.
    pub deadline: Option<Instant>,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) transforms: Transforms,
    pub(crate) middlewares: Middlewares,
    pub(crate) counters: Arc<FrameCounters>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) tally: Tally,
    /// Sessions that wait for their clients.
    pub(crate) detached: Waiting,
    /// Bytes that the sessions with carriers kept when they were looked at last.
    carried_bytes: AtomicUsize,
    /// Names this run of the server.
    pub(crate) epoch: Secret,
    connected: AtomicIsize,
    /// Some client has come that wants to know who is present.
    shows_presence: AtomicBool,
    runtime: OnceLock<Handle>,
    mounts: OnceLock<Vec<Weak<Mount>>>,
    root: Channel,
    /// All others, by their names; those of a pattern once somebody has asked for them.
    channels: RwLock<HashMap<Box<str>, Channel>>,
    patterns: RwLock<Vec<(Pattern, Arc<Rules>)>>,
    /// Members who may be back in a moment.
    pub(crate) departures: Departures,
    me: Weak<Self>,
}

/// Counts what became of sessions and connections while a server ends.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) clean: AtomicUsize,
    pub(crate) cut: AtomicUsize,
    pub(crate) connections_cut: AtomicUsize,
}

impl Tally {
    pub(crate) fn reset(&self) {
        for count in [&self.clean, &self.cut, &self.connections_cut] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, transforms: Transforms) -> Arc<Self> {
        let rules = Arc::new(Rules::of_root(Arc::clone(&transforms.plugins)));
        Arc::new_cyclic(|me| Self {
            settings,
            transforms,
            middlewares: Middlewares::default(),
            counters: Arc::default(),
            admission: Arc::default(),
            phase: watch::Sender::new(Phase::default()),
            tally: Tally::default(),
            detached: Waiting::default(),
            carried_bytes: AtomicUsize::new(0),
            epoch: Secret::random(),
            connected: AtomicIsize::new(0),
            shows_presence: AtomicBool::new(false),
            runtime: OnceLock::new(),
            mounts: OnceLock::new(),
            root: Channel::new("", false, rules, Weak::clone(me)),
            channels: RwLock::default(),
            patterns: RwLock::default(),
            departures: Departures::default(),
            me: Weak::clone(me),
        })
    }

    /// From now on clients are told who is present.
    pub(crate) fn show_presence(&self) {
        self.shows_presence.store(true, Ordering::Relaxed);
    }

    /// Whether there may be clients that want to know who is present. Where none has ever been, nobody looks for them.
    pub(crate) fn shows_presence(&self) -> bool {
        self.shows_presence.load(Ordering::Relaxed)
    }

    /// What the application hung into the root.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.root.rules().hooks
    }

    pub(crate) fn root(&self) -> &Channel {
        &self.root
    }

    pub(crate) fn set_mounts(&self, mounts: &[Arc<Mount>]) {
        let _ = self.mounts.set(mounts.iter().map(Arc::downgrade).collect());
    }

    pub(crate) fn mounts(&self) -> Vec<Arc<Mount>> {
        self.mounts.get().into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// The channel of this name for a session that may enter, if there is one, or a pattern that the
    /// name fits.
    pub(crate) fn visit(&self, name: &str) -> Option<Visit> {
        let mut channels = self.channels_mut();
        let channel = match channels.get(name) {
            Some(channel) => channel.clone(),
            None => self.add_dynamic(&mut channels, name)?,
        };
        // Under the lock, so that it is not forgotten before.
        Some(Visit::new(&channel))
    }

    /// Whether a client may ask for a channel of this name.
    pub(crate) fn has_channel(&self, name: &str) -> bool {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        channels.contains_key(name) || self.pattern_of(name).is_some()
    }

    /// The channel of this name, which is made if there is none.
    pub(crate) fn make_channel(&self, name: &str) -> Result<Channel, NameError> {
        names::check(name)?;
        let mut channels = self.channels_mut();
        if let Some(channel) = channels.get(name) {
            return Ok(channel.clone());
        }
        if let Some(channel) = self.add_dynamic(&mut channels, name) {
            return Ok(channel);
        }
        let channel = Channel::new(name, false, Arc::default(), Weak::clone(&self.me));
        channels.insert(name.into(), channel.clone());
        Ok(channel)
    }

    fn channels_mut(&self) -> RwLockWriteGuard<'_, HashMap<Box<str>, Channel>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn pattern_of(&self, name: &str) -> Option<Arc<Rules>> {
        names::check(name).ok()?;
        let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
        let found = patterns.iter().find(|(pattern, _)| pattern.matches(name));
        found.map(|(_, rules)| Arc::clone(rules))
    }

    /// A channel with rules of its own over those of the pattern that its name fits.
    fn add_dynamic(
        &self,
        channels: &mut HashMap<Box<str>, Channel>,
        name: &str,
    ) -> Option<Channel> {
        let rules = Arc::new(Rules::of_pattern(self.pattern_of(name)?));
        let channel = Channel::new(name, true, rules, Weak::clone(&self.me));
        channels.insert(name.into(), channel.clone());
        Some(channel)
    }

    /// What all channels have in common whose names fit the pattern.
    pub(crate) fn make_pattern(&self, pattern: &str) -> Result<ChannelRules, NameError> {
        names::check(pattern)?;
        let mut patterns = self.patterns.write().unwrap_or_else(PoisonError::into_inner);
        let known = patterns.iter().find(|(known, _)| known.as_str() == pattern);
        if let Some((_, rules)) = known {
            return Ok(ChannelRules::new(Arc::clone(rules)));
        }
        let rules = Arc::<Rules>::default();
        patterns.push((Pattern::new(pattern), Arc::clone(&rules)));
        Ok(ChannelRules::new(rules))
    }

    /// A channel of a pattern that nobody is in any more goes; it is made again when somebody asks.
    pub(crate) fn forget_channel(&self, channel: &Channel) {
        let mut channels = self.channels_mut();
        if channels.get(channel.name()) == Some(channel) && channel.is_needless() {
            channels.remove(channel.name());
        }
    }

    /// The runtime on which the first session was opened. Handlers may be woken from any thread,
    /// so it is remembered.
    #[expect(clippy::expect_used, reason = "sessions are opened by futures, which a runtime polls")]
    pub(crate) fn runtime(&self) -> Handle {
        self.runtime.get().cloned().or_else(|| Handle::try_current().ok()).expect("a tokio runtime")
    }

    /// Spawns on the runtime that we are in, else on the one that is remembered.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        Handle::try_current().unwrap_or_else(|_| self.runtime()).spawn(task);
    }

    pub(crate) fn remember_runtime(&self) {
        if let Ok(handle) = Handle::try_current() {
            let _ = self.runtime.set(handle);
        }
    }

    pub(crate) fn welcome(&self) -> Result<(), Rejection> {
        if self.phase.borrow().draining {
            return Err(Rejection::unavailable("the server is ending", Duration::from_secs(1)));
        }
        Ok(())
    }

    /// One mount's sessions with carriers keep `now` bytes, and kept `before` when it looked last.
    pub(crate) fn carried(&self, before: usize, now: usize) {
        self.carried_bytes.fetch_add(now, Ordering::Relaxed);
        self.carried_bytes.fetch_sub(before, Ordering::Relaxed);
    }

    fn kept_elsewhere(&self) -> usize {
        self.carried_bytes.load(Ordering::Relaxed) + self.counters.shared_bytes()
    }

    /// Bytes that are kept for all clients.
    pub(crate) fn kept(&self) -> usize {
        self.detached.bytes() + self.kept_elsewhere()
    }

    /// Holds all that is kept for clients within its budget.
    pub(crate) fn relieve(&self) {
        self.detached.relieve(self.kept_elsewhere(), self.settings.resume_budget);
    }

    pub(crate) fn connected(&self, transformer: &'static str, change: i8) {
        self.connected.fetch_add(isize::from(change), Ordering::Relaxed);
        metrics::connections(transformer, change);
    }

    pub(crate) fn connected_count(&self) -> usize {
        usize::try_from(self.connected.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn ended(&self, reason: &CloseReason, clean: bool) {
        metrics::disconnect(reason);
        let count = if clean { &self.tally.clean } else { &self.tally.cut };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
