//! Attaches of the resumable dialect: to open, to come back, to fall back and to upgrade.

use std::sync::{Arc, MutexGuard, PoisonError};

use http::StatusCode;

use super::{Attached, Mount, Opening, guarded};
use crate::{
    authorize::Rejection,
    close::CloseReason,
    id::{Secret, SparkId},
    metrics,
    native::{self, ClientAttach, ServerAttach},
    request::Head,
    resume::{Denied, Grave, Graves},
    session::{Asked, Carriage, Carrier, Resume, Session},
};

/// What is needed to let a client come back.
struct ComeBack<'a> {
    transformer: &'static str,
    head: &'a Head,
    auth: &'a serde_json::Value,
    carriage: Carriage,
}

impl Mount {
    /// Attaches a client of the resumable dialect (docs/protocol.md §4): to the session that it had,
    /// if it may have that again, else to a new one. To open, to come back, to fall back and to
    /// upgrade are all this. `token`: the requests of this carrier present one.
    ///
    /// # Errors
    /// As [`open`](Self::open); also when `reauthorize` refused, or the attach is a straggler.
    pub async fn attach(
        self: &Arc<Self>,
        transformer: &'static str,
        head: &Head,
        asked: ClientAttach,
        carriage: Carriage,
        token: bool,
    ) -> Result<Attached, Rejection> {
        let numbers = asked.asked();
        let lost = match &asked.session {
            None => None,
            Some(had) => {
                let come_back = ComeBack { transformer, head, auth: &asked.auth, carriage };
                match counted(self.come_back(had, &numbers, come_back).await?) {
                    Ok(carrier) => return Ok(self.attached(carrier, true, None, token)),
                    Err(reason) => Some(reason),
                }
            }
        };
        let opening = Opening {
            auth: asked.auth,
            resume: Resume::Acknowledged,
            answers: true,
            ..Opening::default()
        };
        let session = self.open(transformer, head, opening).await?;
        let new = Asked { recv: 0, next: 1, sent: 0, generation: 0, ..numbers };
        let mut carrier = session.attach_as(&new, carriage);
        if lost.is_some() {
            carrier.await_position();
        }
        Ok(self.attached(carrier, false, lost, token))
    }

    fn attached(
        &self,
        carrier: Carrier,
        resumed: bool,
        lost: Option<&'static str>,
        token: bool,
    ) -> Attached {
        let token = self.replace_token(carrier.session(), carrier.generation(), token);
        let answer = ServerAttach::new(&carrier, resumed, lost, token);
        Attached { carrier, answer }
    }

    /// The session that a client had: its carrier, or why it cannot have it.
    async fn come_back(
        &self,
        had: &native::Resume,
        asked: &Asked,
        come_back: ComeBack<'_>,
    ) -> Result<Result<Carrier, &'static str>, Rejection> {
        let (Ok(id), Some(key)) = (had.id.parse::<SparkId>(), Secret::parse(&had.key)) else {
            return Ok(Err("unknown"));
        };
        let Some(session) = self.registry.get(id) else {
            return self.epitaph(id, key, &had.epoch).map(Err);
        };
        // In constant time, whatever the key.
        if session.key() != key {
            return Ok(Err("unknown"));
        }
        if !session.is_resumable() {
            return Ok(Err("expired"));
        }
        self.readmit(&session, asked, come_back).await
    }

    /// As [`attach`](Self::attach) of a reader that names its session by a token and the number of
    /// the last message that it has: a bare event stream.
    ///
    /// # Errors
    /// The outer one as [`attach`](Self::attach); the inner one says why the session cannot be had.
    pub async fn resume_by_token(
        &self,
        transformer: &'static str,
        head: &Head,
        token: &str,
        recv: u64,
        carriage: Carriage,
    ) -> Result<Result<Carrier, &'static str>, Rejection> {
        let Some((session, _)) = self.by_token(token).filter(|(session, _)| session.feeds(recv))
        else {
            return Ok(counted(Err("expired")));
        };
        let generation = session.generation();
        // It has no number of its own: whoever has the latest token is the client. Nor have its
        // messages, which may come while this is decided: it lacks none of them.
        let (next, sent) = (1, u64::MAX);
        let asked = Asked { recv, next, sent, generation, attempt: generation, client: 0 };
        let auth = &serde_json::Value::Null;
        let come_back = ComeBack { transformer, head, auth, carriage };
        Ok(counted(self.readmit(&session, &asked, come_back).await?))
    }

    /// As [`attach`](Self::attach) of a client that names its session by a token that stays
    /// ([`issue_token`](Self::issue_token)), and knows by itself what it has of what it is sent: all that is
    /// kept is written again.
    ///
    /// # Errors
    /// As [`resume_by_token`](Self::resume_by_token).
    pub async fn recover(
        &self,
        transformer: &'static str,
        head: &Head,
        auth: &serde_json::Value,
        session: &Arc<Session>,
        carriage: Carriage,
    ) -> Result<Result<Carrier, &'static str>, Rejection> {
        if !session.is_resumable() {
            return Ok(counted(Err("expired")));
        }
        let generation = session.generation();
        let (recv, sent) = (session.floor(), u64::MAX);
        let asked = Asked { recv, next: 0, sent, generation, attempt: generation, client: 0 };
        let come_back = ComeBack { transformer, head, auth, carriage };
        Ok(counted(self.readmit(session, &asked, come_back).await?))
    }

    async fn readmit(
        &self,
        session: &Arc<Session>,
        asked: &Asked,
        come_back: ComeBack<'_>,
    ) -> Result<Result<Carrier, &'static str>, Rejection> {
        let shared = &self.shared;
        let ComeBack { transformer, head, auth, carriage } = come_back;
        if shared.hooks().is_expired(session.user()) {
            session.give_up(session.generation(), CloseReason::GOING_AWAY, Grave::Expired);
            return Ok(Err("expired"));
        }
        if let Some(reauthorize) = shared.hooks().reauthorizer() {
            let request = self.request(transformer, head, auth.clone());
            guarded(reauthorize(session.user().cloned(), request)).await?;
        }
        let generation = session.generation();
        match session.resume(asked, carriage, transformer) {
            Ok(carrier) => Ok(Ok(carrier)),
            Err(Denied::Conflict) => Ok(Err("conflict")),
            Err(Denied::Ended) => Ok(Err("expired")),
            Err(Denied::Overflow) => {
                // A copy that is too old for it leaves it to the client that has it.
                if session.is_held_by(asked.client) {
                    session.give_up(generation, CloseReason::TOO_SLOW, Grave::Overflow);
                }
                Ok(Err("overflow"))
            }
            Err(Denied::Straggler) => {
                let error = "a later attach of this client has been made";
                Err(Rejection::new(StatusCode::CONFLICT, error))
            }
            Err(Denied::Beyond) => {
                let error = "recv is higher than anything that was sent; attach without a session";
                Err(Rejection::new(StatusCode::BAD_REQUEST, error))
            }
        }
    }

    /// Why there is no such session any more.
    fn epitaph(&self, id: SparkId, key: Secret, epoch: &str) -> Result<&'static str, Rejection> {
        Ok(match self.graves().find(id, key) {
            Some(Grave::Overflow) => "overflow",
            Some(Grave::Expired) => "expired",
            Some(Grave::Ended(reason)) => {
                let error = format!("the session was ended ({reason}); attach without it");
                return Err(Rejection::new(StatusCode::GONE, error));
            }
            // It names this run, so there was one, or somebody guesses: it makes no difference.
            None if epoch == self.epoch() => "expired",
            None if epoch.is_empty() => "unknown",
            None => "restarted",
        })
    }

    fn graves(&self) -> MutexGuard<'_, Graves> {
        self.graves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bury(&self, session: &Session, grave: Grave) {
        self.graves().bury(session.id(), session.key(), grave);
    }
}

fn counted(back: Result<Carrier, &'static str>) -> Result<Carrier, &'static str> {
    metrics::resume(back.as_ref().map_or_else(|reason| *reason, |_| "resumed"));
    back
}
