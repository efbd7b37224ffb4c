//! Since when servers have been out of traffic or in it, as far as this process knows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::model::{PoolName, ServerName};

/// A server of a pool.
pub(in super::super) type Server = (PoolName, ServerName);

#[derive(Debug, Clone, Copy)]
struct Since {
    out: bool,
    /// `None`: it was in when it was first seen.
    at: Option<Instant>,
}

/// One instant a server.
#[derive(Debug, Default)]
pub(in super::super) struct Clocks(Mutex<BTreeMap<Server, Since>>);

impl Clocks {
    /// The server was told to be out or in, and it was so by `now`.
    pub(in super::super) fn told(&self, server: &Server, out: bool, now: Instant) {
        self.note(server, out, now, true);
    }

    /// The server is seen out or in: since when. `None`: it has never been otherwise, as far as is known. One that is out when it is first
    /// seen counts from then.
    pub(in super::super) fn seen(
        &self,
        server: &Server,
        out: bool,
        now: Instant,
    ) -> Option<Instant> {
        self.note(server, out, now, out)
    }

    fn note(&self, server: &Server, out: bool, now: Instant, first: bool) -> Option<Instant> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match all.get(server) {
            Some(since) if since.out == out => return since.at,
            Some(_) => Some(now),
            None => first.then_some(now),
        };
        all.insert(server.clone(), Since { out, at });
        at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_change_starts_the_clock_again() {
        let server = (PoolName::new("be").unwrap(), ServerName::new("s1").unwrap());
        let clocks = Clocks::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(clocks.seen(&server, false, at(0)), None);
        assert_eq!(clocks.seen(&server, false, at(1)), None);
        clocks.told(&server, true, at(2));
        clocks.told(&server, true, at(3));
        assert_eq!(clocks.seen(&server, true, at(4)), Some(at(2)));
        assert_eq!(clocks.seen(&server, false, at(5)), Some(at(5)));
        assert_eq!(clocks.seen(&server, true, at(6)), Some(at(6)));
        clocks.told(&server, false, at(7));
        assert_eq!(clocks.seen(&server, false, at(8)), Some(at(7)));
    }

    #[test]
    fn one_that_was_out_before_counts_from_the_first_look() {
        let server = (PoolName::new("be").unwrap(), ServerName::new("s1").unwrap());
        let (clocks, now) = (Clocks::default(), Instant::now());
        assert_eq!(clocks.seen(&server, true, now), Some(now));
    }
}
