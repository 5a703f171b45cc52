//! Who may come in: counts of sessions, in total and per address, and of WebSockets that have not
//! attached yet.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use crate::{authorize::Rejection, metrics, settings::Settings};

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Default)]
pub(crate) struct Admission {
    counts: Mutex<Counts>,
    pending: AtomicUsize,
}

/// One session's place in the counts, given back when dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    /// As it is counted.
    unit: Option<IpAddr>,
    kept: bool,
}

/// One WebSocket's place among those that have not attached yet, given back when dropped.
pub struct Pending(Arc<Admission>);

/// What is counted of an address, if it is at all.
fn counted(address: Option<IpAddr>, settings: &Settings) -> Option<IpAddr> {
    address
        .filter(|address| settings.count_loopback || !address.to_canonical().is_loopback())
        .map(unit)
}

/// The unit that is counted: one IPv4 address, or the /64 that one IPv6 customer has.
fn unit(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

impl Admission {
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        settings: &Settings,
    ) -> Result<Permit, Rejection> {
        let unit = counted(address, settings);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= settings.max_connections {
            metrics::limit("max_connections");
            return Err(Rejection::unavailable(
                "the server is full (max_connections)",
                Duration::from_secs(5),
            ));
        }
        if let Some(unit) = unit {
            let count = counts.by_address.entry(unit).or_default();
            if *count >= settings.max_connections_per_address {
                metrics::limit("max_connections_per_address");
                let error = "too many connections from your address (max_connections_per_address)";
                return Err(Rejection::new(StatusCode::TOO_MANY_REQUESTS, error)
                    .retry_after(Duration::from_secs(5)));
            }
            *count += 1;
        }
        counts.total += 1;
        Ok(Permit { admission: Arc::clone(self), unit, kept: false })
    }

    /// Gives back the place of a session from this address, whose permit was kept.
    pub(crate) fn release(&self, address: Option<IpAddr>, settings: &Settings) {
        self.give_back(counted(address, settings));
    }

    fn give_back(&self, unit: Option<IpAddr>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(unit) = unit
            && let Some(count) = counts.by_address.get_mut(&unit)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&unit);
            }
        }
    }

    pub(crate) fn pend(self: &Arc<Self>, max: usize) -> Result<Pending, Rejection> {
        if self.pending.fetch_add(1, Ordering::AcqRel) >= max {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            metrics::limit("max_pending");
            return Err(Rejection::unavailable(
                "too many connections are opening (max_pending)",
                Duration::from_secs(1),
            ));
        }
        Ok(Pending(Arc::clone(self)))
    }
}

impl Permit {
    /// The place is a session's now, which gives it back by [`Admission::release`]: it knows all of this
    /// already.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.kept {
            self.admission.give_back(self.unit);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let admission = Arc::new(Admission::default());
        let settings = Settings {
            max_connections: 3,
            max_connections_per_address: 1,
            max_pending: 1,
            ..Settings::default()
        };
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let first = admission.admit(at("192.0.2.1"), &settings).ok().unwrap();
        let mapped = admission.admit(at("::ffff:192.0.2.1"), &settings).err().unwrap();
        assert_eq!(mapped.status(), 429);
        let _v6 = admission.admit(at("2001:db8::1"), &settings).ok().unwrap();
        assert_eq!(admission.admit(at("2001:db8::2"), &settings).err().unwrap().status(), 429);
        let _loopback = admission.admit(at("127.0.0.1"), &settings).ok().unwrap();
        assert_eq!(admission.admit(None, &settings).err().unwrap().status(), 503);
        drop(first);
        let kept = admission.admit(at("192.0.2.1"), &settings).ok().unwrap();
        kept.keep();
        assert_eq!(admission.admit(at("192.0.2.1"), &settings).err().unwrap().status(), 503);
        admission.release(at("192.0.2.1"), &settings);
        assert!(admission.admit(at("192.0.2.1"), &settings).is_ok());

        let pending = admission.pend(1).ok().unwrap();
        assert_eq!(admission.pend(1).err().unwrap().status(), 503);
        drop(pending);
        assert!(admission.pend(1).is_ok());
    }
}
