//! The transformer: decides the dialect, does the handshake, and starts the driver.

use std::sync::Arc;

use primus_core::{
    BoxFuture, Carriage, Head, Mount, Opening, Request, Response, Session, Transformer,
    classic::Classic,
};
use tracing::Instrument as _;

use crate::{
    attach::attach,
    handshake::{self, Handshake, RESUMABLE},
    native::Native,
};

/// The name in configuration.
const NAME: &str = "websocket";

/// WebSockets: our own client (subprotocol `primus.2`), the stock Primus 8 client, and plain ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebSocket(());

impl WebSocket {
    /// The transformer.
    pub fn new() -> Self {
        Self(())
    }
}

impl Transformer for WebSocket {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        matches!(tail, "" | "/") && head.wants_websocket()
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move { open(request, mount).await.unwrap_or_else(|refusal| refusal) })
    }

    fn client_module(&self) -> Option<&'static str> {
        Some(NAME)
    }
}

async fn open(request: Request, mount: Arc<Mount>) -> Result<Response, Response> {
    let Request { head, upgrade, .. } = request;
    if handshake::offered(&head.headers).any(|protocol| protocol == RESUMABLE) {
        let accepted = handshake::accept(&head, upgrade, Some(RESUMABLE), mount.settings());
        let (response, handshake) = accepted.map_err(|no| *no)?;
        let pending = mount.pend().map_err(|no| no.into_response())?;
        let span = tracing::debug_span!("websocket", address = ?head.address);
        let attached = async move {
            let Ok(connection) = handshake.connection(mount.settings()).await else { return };
            if let Some((connection, carrier)) = attach(connection, &head, &mount).await {
                drop(pending);
                drop((head, mount));
                tracing::debug!(spark = %carrier.session().id(), "attached");
                connection.drive(carrier, Native::Resumable);
            }
        };
        tokio::spawn(attached.instrument(span));
        return Ok(response);
    }
    let classic = head.query().get("_primuscb").is_some();
    let classic = classic.then(|| Classic::new(&*mount.settings().parser));
    let answers = classic.as_ref().is_some_and(Classic::answers);
    let dialect = classic.map_or(Native::Plain, Native::Classic);
    let protocol = handshake::choose(&head.headers, &mount.settings().subprotocols);
    let accepted = handshake::accept(&head, upgrade, protocol, mount.settings());
    let (response, handshake) = accepted.map_err(|no| *no)?;
    let opening = Opening { protocol, answers, ..Opening::default() };
    let session = mount.open(NAME, &head, opening).await.map_err(|no| no.into_response())?;
    let span = tracing::debug_span!("websocket", address = ?head.address, spark = %session.id());
    tokio::spawn(start(session, handshake, dialect).instrument(span));
    Ok(response)
}

/// Waits for the socket of a session that is authorized already.
async fn start(session: Arc<Session>, handshake: Handshake, dialect: Native) {
    // Attached before the socket is there, so that a client that goes meanwhile ends the session.
    let carrier = session.attach(Carriage::DRIVER);
    let connection = match handshake.connection(session.mount().settings()).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "the client went during the handshake"),
    };
    drop(session);
    // A task of its own, so that the upgrade's future does not count for the connection's life.
    connection.drive(carrier, dialect);
}
