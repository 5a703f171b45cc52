//! The order of a client's requests: each has a number one higher than the one before.

/// How far ahead of the next one a request may be that waits for its turn.
pub const AHEAD: u64 = 8;

/// Which request is the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rids {
    next: u64,
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has come before; what it brings may be more than it was then.
    Again,
    /// It is the next.
    Next,
    /// Others come before it.
    Early,
    /// So many would come before it that nobody waits for them.
    Far,
}

impl Rids {
    /// Behind the request that opened the session.
    pub fn after(first: u64) -> Self {
        Self { next: first + 1 }
    }

    /// The number that is expected.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Where a request is in the order.
    pub fn place(&self, rid: u64) -> Place {
        match rid {
            rid if rid < self.next => Place::Again,
            rid if rid == self.next => Place::Next,
            rid if rid <= self.next + AHEAD => Place::Early,
            _ => Place::Far,
        }
    }

    /// A request has been served. True: the next one may go on.
    pub fn served(&mut self, rid: u64) -> bool {
        let next = rid == self.next;
        self.next += u64::from(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_their_places() {
        let mut rids = Rids::after(1000);
        for (rid, place) in [
            (0, Place::Again),
            (1000, Place::Again),
            (1001, Place::Next),
            (1002, Place::Early),
            (1001 + AHEAD, Place::Early),
            (1002 + AHEAD, Place::Far),
            (u64::MAX, Place::Far),
        ] {
            assert_eq!(rids.place(rid), place, "{rid}");
        }
        assert!(!rids.served(1000) && !rids.served(1002) && rids.served(1001));
        assert_eq!(rids.next(), 1002);
    }
}
