//! What the application hung in: `authorize`, `on_connection`, `on_disconnection`.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{
    authorize::Authorizer,
    close::CloseReason,
    handle::Spark,
    request::{BoxError, BoxFuture},
};

/// What a connection handler returns. Any error converts by `?`.
pub type HandlerResult = Result<(), BoxError>;

type OnConnection = Arc<dyn Fn(Spark) -> BoxFuture<'static, HandlerResult> + Send + Sync>;
type OnDisconnection = Arc<dyn Fn(Spark, CloseReason) -> BoxFuture<'static, ()> + Send + Sync>;

/// Set at any time; a session uses what is there when it needs it.
#[derive(Default)]
pub(crate) struct Hooks {
    authorizer: RwLock<Option<Arc<dyn Authorizer>>>,
    connection: RwLock<Option<OnConnection>>,
    disconnection: RwLock<Option<OnDisconnection>>,
}

fn get<T: Clone>(slot: &RwLock<Option<T>>) -> Option<T> {
    slot.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set<T>(slot: &RwLock<Option<T>>, value: Option<T>) {
    *slot.write().unwrap_or_else(PoisonError::into_inner) = value;
}

impl Hooks {
    pub(crate) fn authorizer(&self) -> Option<Arc<dyn Authorizer>> {
        get(&self.authorizer)
    }

    pub(crate) fn set_authorizer(&self, authorizer: Arc<dyn Authorizer>) {
        set(&self.authorizer, Some(authorizer));
    }

    pub(crate) fn set_connection(&self, f: OnConnection) {
        set(&self.connection, Some(f));
    }

    pub(crate) fn set_disconnection(&self, f: OnDisconnection) {
        set(&self.disconnection, Some(f));
    }

    /// The handler's future for a new spark. Without a handler, messages are read and dropped.
    pub(crate) fn connect(&self, mut spark: Spark) -> BoxFuture<'static, HandlerResult> {
        match get(&self.connection) {
            Some(connection) => connection(spark),
            None => Box::pin(async move {
                while spark.next().await.is_some() {}
                Ok(())
            }),
        }
    }

    pub(crate) async fn disconnect(&self, spark: Spark, reason: CloseReason) {
        if let Some(disconnection) = get(&self.disconnection) {
            disconnection(spark, reason).await;
        }
    }
}
