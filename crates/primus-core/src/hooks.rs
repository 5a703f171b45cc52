//! What the application hung in: who may come (back), and what is called when something happens.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use crate::{
    authorize::{AuthorizeRequest, Authorizer, Rejection, User},
    close::CloseReason,
    handle::Spark,
    plugins::Installed,
    request::{BoxError, BoxFuture},
};

/// What a connection handler returns. Any error converts by `?`.
pub type HandlerResult = Result<(), BoxError>;

type OnConnection = Arc<dyn Fn(Spark) -> BoxFuture<'static, HandlerResult> + Send + Sync>;

/// A connection handler, and the bytes of its future.
#[derive(Clone)]
struct Handler {
    call: OnConnection,
    bytes: usize,
}

type OnDisconnection = Arc<dyn Fn(Spark, CloseReason) -> BoxFuture<'static, ()> + Send + Sync>;
type OnResume = Arc<dyn Fn(Spark) -> BoxFuture<'static, ()> + Send + Sync>;
type Reauthorize = Arc<
    dyn Fn(Option<User>, AuthorizeRequest) -> BoxFuture<'static, Result<(), Rejection>>
        + Send
        + Sync,
>;
type Expiry = Arc<dyn Fn(&User) -> Option<SystemTime> + Send + Sync>;

/// Set at any time; a session uses what is there when it needs it.
#[derive(Default)]
pub(crate) struct Hooks {
    authorizer: RwLock<Option<Arc<dyn Authorizer>>>,
    connection: RwLock<Option<Handler>>,
    disconnection: RwLock<Option<OnDisconnection>>,
    detach: RwLock<Option<OnDisconnection>>,
    resume: RwLock<Option<OnResume>>,
    reauthorize: RwLock<Option<Reauthorize>>,
    expiry: RwLock<Option<Expiry>>,
    plugins: Arc<Installed>,
}

fn get<T: Clone>(slot: &RwLock<Option<T>>) -> Option<T> {
    slot.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set<T>(slot: &RwLock<Option<T>>, value: Option<T>) {
    let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
    let before = std::mem::replace(&mut *slot, value);
    drop(slot);
    drop(before); // what it holds is the application's: not under the lock
}

impl Hooks {
    pub(crate) fn new(plugins: Arc<Installed>) -> Self {
        Self { plugins, ..Self::default() }
    }

    pub(crate) fn authorizer(&self) -> Option<Arc<dyn Authorizer>> {
        get(&self.authorizer)
    }

    pub(crate) fn set_authorizer(&self, authorizer: Arc<dyn Authorizer>) {
        set(&self.authorizer, Some(authorizer));
    }

    pub(crate) fn set_connection<F, Fut>(&self, f: F)
    where
        F: Fn(Spark) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let call: OnConnection = Arc::new(move |spark| Box::pin(f(spark)));
        set(&self.connection, Some(Handler { call, bytes: size_of::<Fut>() }));
    }

    /// Bytes of the future of the connection handler, if there is one.
    pub(crate) fn handler_bytes(&self) -> Option<usize> {
        get(&self.connection).map(|handler| handler.bytes)
    }

    pub(crate) fn set_disconnection(&self, f: OnDisconnection) {
        set(&self.disconnection, Some(f));
    }

    pub(crate) fn set_detach(&self, f: OnDisconnection) {
        set(&self.detach, Some(f));
    }

    pub(crate) fn set_resume(&self, f: OnResume) {
        set(&self.resume, Some(f));
    }

    pub(crate) fn set_reauthorize(&self, f: Reauthorize) {
        set(&self.reauthorize, Some(f));
    }

    pub(crate) fn set_expiry(&self, f: Expiry) {
        set(&self.expiry, Some(f));
    }

    pub(crate) fn has_connection(&self) -> bool {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn has_disconnection(&self) -> bool {
        self.disconnection.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn hears_detach(&self) -> bool {
        self.detach.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn hears_resume(&self) -> bool {
        self.resume.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn reauthorizer(&self) -> Option<Reauthorize> {
        get(&self.reauthorize)
    }

    /// Whether the user's time is over.
    pub(crate) fn is_expired(&self, user: Option<&User>) -> bool {
        let until = user.zip(get(&self.expiry)).and_then(|(user, expiry)| expiry(user));
        until.is_some_and(|until| until <= SystemTime::now())
    }

    /// The handler's future for a new spark. Without a handler, messages are read and dropped.
    pub(crate) fn connect(&self, mut spark: Spark) -> BoxFuture<'static, HandlerResult> {
        self.plugins.on_connection(&spark);
        match get(&self.connection) {
            Some(handler) => (handler.call)(spark),
            None => Box::pin(async move {
                while spark.next().await.is_some() {}
                Ok(())
            }),
        }
    }

    pub(crate) async fn detach(&self, spark: Spark, reason: CloseReason) {
        if let Some(detach) = get(&self.detach) {
            detach(spark, reason).await;
        }
    }

    pub(crate) async fn resume(&self, spark: Spark) {
        if let Some(resume) = get(&self.resume) {
            resume(spark).await;
        }
    }

    pub(crate) async fn disconnect(&self, spark: Spark, reason: CloseReason) {
        self.plugins.on_disconnection(&spark, &reason);
        if let Some(disconnection) = get(&self.disconnection) {
            disconnection(spark, reason).await;
        }
    }
}
