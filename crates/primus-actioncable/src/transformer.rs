//! Which requests are of this family, and how a connection begins.

use std::sync::{Arc, Mutex, PoisonError};

use primus_core::{
    BoxFuture, Carriage, Carrier, CloseReason, Head, Mount, Opening, Rejection, Request, Response,
    Resume, Transformer,
};
use primus_websocket::{accept, offered};
use tracing::Instrument as _;

use crate::{
    cable::Cable,
    options::ActionCableOptions,
    places::Places,
    protocol::{BASE, EXTENDED, Identifier, disconnect, welcome},
};

/// The name in configuration.
const NAME: &str = "actioncable";

/// ActionCable and AnyCable: WebSockets whose client offers `actioncable-v1-json` or `actioncable-v1-ext-json`. Its name is
/// `actioncable`.
#[derive(Debug, Clone, Default)]
pub struct ActionCable {
    options: ActionCableOptions,
}

impl ActionCable {
    /// The transformer.
    pub fn new(options: ActionCableOptions) -> Self {
        Self { options }
    }
}

/// The first subprotocol of a client that is ours.
fn chosen(head: &Head) -> Option<&'static str> {
    offered(&head.headers)
        .find_map(|protocol| [BASE, EXTENDED].into_iter().find(|known| *known == protocol))
}

impl Transformer for ActionCable {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        matches!(tail, "" | "/") && head.wants_websocket() && chosen(head).is_some()
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move { self.open(request, mount).await.unwrap_or_else(|refusal| refusal) })
    }
}

impl ActionCable {
    async fn open(&self, request: Request, mount: Arc<Mount>) -> Result<Response, Response> {
        let Request { head, upgrade, .. } = request;
        let protocol = chosen(&head);
        let accepted = accept(&head, upgrade, protocol, mount.settings());
        let (response, handshake) = accepted.map_err(|no| *no)?;
        let pending = mount.pend().map_err(|no| no.into_response())?;
        let span = tracing::debug_span!("actioncable", address = ?head.address);
        let options = self.options.clone();
        let extended = protocol == Some(EXTENDED);
        let started = async move {
            let Ok(mut connection) = handshake.connection(mount.settings()).await else { return };
            // A client learns in words why it is refused, and not by a status that no browser shows.
            match begin(&head, &mount, &options, extended).await {
                Ok((carrier, cable, welcome)) => {
                    drop(pending);
                    connection.send(&welcome.into());
                    connection.drive(carrier, cable);
                }
                Err(rejection) => {
                    let code = 4000 + rejection.status().as_u16();
                    let reason = CloseReason::from_code(code, "refused");
                    let patience = mount.settings().limits.close_timeout;
                    connection.refuse(Some(disconnect(&reason).into()), &reason, patience).await;
                }
            }
        };
        tokio::spawn(started.instrument(span));
        Ok(response)
    }
}

/// The subscriptions of a session whose client may come back, and the number of the last question.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<(Vec<String>, u64)>);

impl Remembered {
    pub(crate) fn set(&self, identifiers: Vec<String>, last: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (identifiers, last);
    }

    fn get(&self) -> (Vec<String>, u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Begun = (Carrier, Cable, String);

async fn begin(
    head: &Head,
    mount: &Arc<Mount>,
    options: &ActionCableOptions,
    extended: bool,
) -> Result<Begun, Rejection> {
    let restores = extended && !mount.settings().limits.resume_window.is_zero();
    if restores
        && let Some(sid) = sid(head)
        && let Some(begun) = restore(head, mount, options, &sid).await?
    {
        return Ok(begun);
    }
    let opening = Opening {
        protocol: Some(if extended { EXTENDED } else { BASE }),
        resume: if restores { Resume::Feed } else { Resume::Never },
        answers: true,
        ping_interval: Some(options.ping_interval),
        presence: extended && options.presence,
        ..Opening::default()
    };
    let session = mount.open(NAME, head, opening).await?;
    let sid = restores.then(|| {
        session.set_extension(Remembered::default());
        mount.issue_token(&session).reveal()
    });
    let carrier = session.attach(Carriage::DRIVER);
    let welcome = welcome(sid.as_deref(), None);
    Ok((carrier, Cable::new(session, extended, options.clone()), welcome))
}

/// Which session a client had.
fn sid(head: &Head) -> Option<String> {
    let header = head.headers.get("x-anycable-restore-sid").and_then(|sid| sid.to_str().ok());
    let sid =
        header.map(str::to_owned).or_else(|| head.query().get("sid").map(|sid| sid.to_string()));
    sid.filter(|sid| !sid.is_empty())
}

/// The session that a client had. `None`: it cannot have that, and gets a new one.
async fn restore(
    head: &Head,
    mount: &Arc<Mount>,
    options: &ActionCableOptions,
    sid: &str,
) -> Result<Option<Begun>, Rejection> {
    let Some((session, _)) = mount.by_token(sid) else { return Ok(None) };
    let Some(remembered) = session.extension::<Remembered>() else { return Ok(None) };
    let (identifiers, last) = remembered.get();
    let written = session.sent();
    let auth = serde_json::Value::Null;
    let recovered = mount.recover(NAME, head, &auth, &session, Carriage::DRIVER).await?;
    let Ok(carrier) = recovered else { return Ok(None) };
    let there = session.channels();
    let mut places = Places::default();
    places.ask_behind(last);
    let mut restored = Vec::new();
    for text in identifiers {
        if let Some(identifier) = Identifier::read(&text)
            && there.iter().any(|(name, _)| **name == *identifier.name())
        {
            restored.push(text.clone());
            places.restore(text, &identifier);
        }
    }
    let welcome = welcome(Some(sid), Some(&restored));
    let next = session.next();
    let cable = Cable::new(session, true, options.clone()).restored(places, next, written);
    Ok(Some((carrier, cable, welcome)))
}
