//! Last words: what the client of a session that is over is not known to have.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use primus_core::Secret;
use tokio::time::Instant;

/// How long they are kept: a client whose answer was lost asks again within seconds.
const KEPT: Duration = Duration::from_secs(30);
/// How many are kept, and bytes of all; the oldest go first.
const MOST: usize = 1024;
const MOST_BYTES: usize = 8 << 20;

/// Last words by the ids of their sessions.
#[derive(Default)]
pub(crate) struct Graves(Mutex<Yard>);

#[derive(Default)]
struct Yard {
    graves: VecDeque<Grave>,
    bytes: usize,
}

struct Grave {
    sid: Secret,
    until: Instant,
    first: u64,
    values: Vec<Bytes>,
}

impl Grave {
    fn bytes(&self) -> usize {
        self.values.iter().map(|value| value.len() + size_of::<Bytes>()).sum()
    }
}

/// What is left of a session.
pub(crate) struct Rest {
    pub(crate) first: u64,
    pub(crate) values: Vec<Bytes>,
}

impl Graves {
    fn yard(&self) -> MutexGuard<'_, Yard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the last words of a session, the first of which has this number.
    pub(crate) fn bury(&self, sid: Secret, (first, values): (u64, Vec<Bytes>)) {
        let now = Instant::now();
        let grave = Grave { sid, until: now + KEPT, first, values };
        let mut yard = self.yard();
        yard.bytes += grave.bytes();
        yard.graves.push_back(grave);
        while let Some(oldest) = yard.graves.front()
            && (oldest.until <= now || yard.graves.len() > MOST || yard.bytes > MOST_BYTES)
        {
            yard.bytes -= oldest.bytes();
            yard.graves.pop_front();
        }
    }

    /// What is left for a client that has everything up to `aid`; nothing, if it has all.
    pub(crate) fn find(&self, sid: &str, aid: u64) -> Option<Rest> {
        let (sid, now) = (Secret::parse(sid)?, Instant::now());
        let yard = self.yard();
        let grave = yard.graves.iter().find(|grave| grave.sid == sid && grave.until > now)?;
        let has = usize::try_from((aid + 1).saturating_sub(grave.first)).unwrap_or(usize::MAX);
        let values = grave.values.get(has..)?;
        (!values.is_empty())
            .then(|| Rest { first: grave.first + has as u64, values: values.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn last_words_are_kept_for_a_while() {
        let graves = Graves::default();
        let sid = "AAAAAAAAAAAAAAAAAAAAAA";
        graves.bury(Secret::parse(sid).unwrap(), (5, vec!["a".into(), "b".into()]));
        let rest = |aid| graves.find(sid, aid).map(|rest| (rest.first, rest.values.len()));
        assert_eq!(rest(4), Some((5, 2)));
        assert_eq!(rest(0), Some((5, 2)));
        assert_eq!(rest(5), Some((6, 1)));
        assert_eq!((rest(6), rest(99)), (None, None));
        assert!(graves.find("AAAAAAAAAAAAAAAAAAAAAQ", 4).is_none());
        tokio::time::advance(KEPT).await;
        assert_eq!(rest(4), None);
        for _ in 0..2 * MOST {
            graves.bury(Secret::parse(sid).unwrap(), (0, vec![Bytes::from(vec![b'x'; 9000])]));
        }
        let yard = graves.yard();
        assert!(yard.graves.len() <= MOST && yard.bytes <= MOST_BYTES, "{}", yard.bytes);
    }
}
