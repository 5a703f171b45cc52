//! All clients, by their sids.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::time::Instant;

use crate::link::Link;

#[derive(Default)]
pub(crate) struct Table {
    links: RwLock<Links>,
    sweeping: AtomicBool,
}

/// Those that poll are looked after; those that have a socket are only to be told from those that are unknown.
#[derive(Default)]
struct Links {
    polling: HashMap<Box<str>, Arc<Link>>,
    sockets: HashMap<Box<str>, Arc<Link>>,
}

impl Table {
    /// A sid: 120 random bits, 20 characters.
    pub(crate) fn sid() -> Box<str> {
        let mut bytes = [0; 15];
        #[expect(clippy::expect_used, reason = "without randomness no client may be let in")]
        getrandom::fill(&mut bytes).expect("the operating system gives no randomness");
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    fn read(&self) -> RwLockReadGuard<'_, Links> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Links> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that polls.
    pub(crate) fn insert(self: &Arc<Self>, link: &Arc<Link>) {
        self.write().polling.insert(link.sid.clone(), Arc::clone(link));
        self.sweep(link);
    }

    /// A client that has a socket, from the beginning or by now.
    pub(crate) fn insert_socket(&self, link: &Arc<Link>) {
        let mut links = self.write();
        links.polling.remove(&link.sid);
        links.sockets.insert(link.sid.clone(), Arc::clone(link));
    }

    pub(crate) fn get(&self, sid: &str) -> Option<Arc<Link>> {
        let links = self.read();
        links.polling.get(sid).or_else(|| links.sockets.get(sid)).cloned()
    }

    pub(crate) fn remove(&self, sid: &str) {
        let removed = {
            let mut links = self.write();
            links.polling.remove(sid).or_else(|| links.sockets.remove(sid))
        };
        drop(removed); // not under the lock
    }

    /// Looks after those that poll, as long as there are any.
    fn sweep(self: &Arc<Self>, first: &Link) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let (interval, timeout) = first.mount.heartbeat();
        let shortest = [interval, timeout].into_iter().filter(|time| !time.is_zero()).min();
        let tick = (shortest.unwrap_or(Duration::from_secs(4)) / 8)
            .clamp(Duration::from_millis(10), Duration::from_millis(500));
        let table = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(tick).await;
                let Some(table) = table.upgrade() else { return };
                let links: Vec<_> = table.read().polling.values().cloned().collect();
                let now = Instant::now();
                links.iter().for_each(|link| link.sweep(now));
            }
        });
    }
}
