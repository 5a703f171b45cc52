//! Tokens, by which the requests of HTTP carriers find their sessions.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLockWriteGuard, Weak},
};

use super::Mount;
use crate::{id::Secret, session::Session};

impl Mount {
    /// A token by which requests find the session for as long as it lives.
    pub fn issue_token(&self, session: &Arc<Session>) -> Secret {
        let token = self.replace_token(session, session.generation(), true);
        token.unwrap_or_else(Secret::random) // of a session that is over, it finds nothing
    }

    /// A token for the requests of the carrier of `generation`, if it `wants` one. That of an
    /// older carrier finds nothing any more, and neither does that of a carrier that is itself older.
    pub(super) fn replace_token(
        &self,
        session: &Arc<Session>,
        generation: u64,
        wants: bool,
    ) -> Option<Secret> {
        let mut tokens = self.tokens();
        if session.generation() != generation || session.is_ended() {
            return wants.then(Secret::random);
        }
        let token = wants.then(Secret::random);
        if let Some(older) = session.set_token(token) {
            tokens.remove(&older);
        }
        if let Some(token) = token {
            tokens.insert(token, (Arc::downgrade(session), generation));
        }
        token
    }

    pub(super) fn revoke_token(&self, session: &Session) {
        // One lock around both: an attach on its way either sees the end, or its token goes, too.
        let mut tokens = self.tokens();
        if let Some(older) = session.set_token(None) {
            tokens.remove(&older);
        }
    }

    fn tokens(&self) -> RwLockWriteGuard<'_, HashMap<Secret, (Weak<Session>, u64)>> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a token, and the generation of the carrier that it was issued to.
    pub fn by_token(&self, token: &str) -> Option<(Arc<Session>, u64)> {
        let token = Secret::parse(token)?;
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let (session, generation) = tokens.get(&token)?;
        Some((session.upgrade()?, *generation))
    }
}
