//! How old the last confirmation of each host's lock is (R3).
//!
//! An act on a balancer cannot carry the fence in itself: the balancer knows nothing of locks. So it may begin only while the last
//! confirmed check of the host's lock was sent less than [`LEASE`] ago, by a clock that also counts while this machine sleeps. Whoever
//! takes a lock over waits longer than lease and act together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::HostPorts;
use crate::drivers::host::HostError;
use crate::event::Clock;
use crate::model::HostName;

/// The contract allows 10 s; what is left is for the way from this check to the act itself.
const LEASE: Duration = Duration::from_secs(8);

/// How often a lock is renewed while nothing else confirms it; a lock is taken for abandoned after two minutes.
const RENEWAL: Duration = Duration::from_secs(20);

/// How soon a renewal that got no answer is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How often a lock is confirmed anew for one act before it is given up.
const TRIES: u32 = 2;

/// The confirmations of one run.
#[derive(Debug)]
pub(super) struct Leases {
    clock: std::sync::Arc<dyn Clock>,
    hosts: BTreeMap<HostName, HostPorts>,
    confirmed: Mutex<BTreeMap<HostName, Duration>>,
    lost: watch::Sender<Option<String>>,
    /// Hosts whose lock is being released: what a late renewal says about it is no loss.
    retired: Mutex<BTreeSet<HostName>>,
}

impl Leases {
    pub(super) fn new(
        clock: std::sync::Arc<dyn Clock>,
        hosts: BTreeMap<HostName, HostPorts>,
    ) -> Self {
        Self {
            clock,
            hosts,
            confirmed: Mutex::new(BTreeMap::new()),
            lost: watch::Sender::new(None),
            retired: Mutex::default(),
        }
    }

    /// When a check that is sent now would be dated.
    pub(super) fn now(&self) -> Duration {
        self.clock.since_boot()
    }

    /// Notes that a check sent at `sent` was confirmed.
    pub(super) fn confirmed(&self, host: &HostName, sent: Duration) {
        let mut confirmed = self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = confirmed.entry(host.clone()).or_default();
        *last = sent.max(*last);
    }

    /// Notes what an act on the host says about its lock.
    pub(super) fn learn<T>(&self, host: &HostName, sent: Duration, result: &Result<T, HostError>) {
        match result {
            Ok(_) => self.confirmed(host, sent),
            Err(HostError::Fenced { .. }) if self.is_retired(host) => {}
            Err(HostError::Fenced { holder }) => self.taken_away(host, holder.as_deref()),
            Err(HostError::Transport(_) | HostError::Failed { .. } | HostError::Garbled { .. }) => {
            }
        }
    }

    /// Makes sure that an act on a balancer for `host` may begin now.
    ///
    /// # Errors
    /// What the host answered, or that it did not, when its lock had to be confirmed and could not be.
    pub(super) async fn ensure(&self, host: &HostName) -> Result<(), HostError> {
        if self.lost_reason().is_some() {
            return Err(HostError::Fenced { holder: None });
        }
        // An answer that took longer than a lease confirms none.
        for _ in 0..TRIES {
            if self.is_fresh(host) {
                return Ok(());
            }
            self.renew(host).await?;
        }
        if self.is_fresh(host) {
            return Ok(());
        }
        Err(HostError::Failed {
            what: "its lock could not be confirmed in time: the host answers too slowly".to_owned(),
            output: Vec::new(),
        })
    }

    /// Whether the host's lock was confirmed lately enough.
    pub(super) fn is_fresh(&self, host: &HostName) -> bool {
        let confirmed = self.confirmed.lock();
        let confirmed = confirmed.unwrap_or_else(PoisonError::into_inner);
        let last = confirmed.get(host).copied();
        last.is_some_and(|last| self.now().saturating_sub(last) < LEASE)
    }

    /// Confirms and renews one lock.
    ///
    /// # Errors
    /// As [`Leases::ensure`].
    pub(super) async fn renew(&self, host: &HostName) -> Result<(), HostError> {
        let Some(ports) = self.hosts.get(host) else {
            return Err(HostError::Fenced { holder: None });
        };
        let sent = self.now();
        let result = ports.driver.confirm().await;
        self.learn(host, sent, &result);
        result
    }

    /// Renews the locks of `hosts` until dropped.
    pub(super) async fn keep(&self, hosts: Vec<HostName>) {
        let one = |host: HostName| async move {
            let mut wait = RENEWAL;
            loop {
                tokio::time::sleep(wait).await;
                wait = match self.renew(&host).await {
                    Ok(()) => RENEWAL,
                    Err(HostError::Fenced { .. }) => return,
                    Err(
                        HostError::Transport(_)
                        | HostError::Failed { .. }
                        | HostError::Garbled { .. },
                    ) => RETRY,
                };
            }
        };
        futures::future::join_all(hosts.into_iter().map(one)).await;
        std::future::pending::<()>().await;
    }

    /// From now on the host's lock may be gone without having been taken away: this run releases it itself.
    pub(super) fn retire(&self, host: &HostName) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.insert(host.clone());
    }

    fn is_retired(&self, host: &HostName) -> bool {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.contains(host)
    }

    /// Notes that somebody else took the host's lock, or broke it.
    pub(super) fn taken_away(&self, host: &HostName, holder: Option<&str>) {
        let whom = holder.map_or_else(
            || "nobody holds it now".to_owned(),
            |holder| format!("it is held by {holder}"),
        );
        self.lose(format!("the lock on host `{host}` was taken away: {whom}"));
    }

    fn lose(&self, reason: String) {
        self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            if first {
                *lost = Some(reason);
            }
            first
        });
    }

    /// Returns when this run may touch nothing any more.
    pub(super) async fn lost(&self) {
        let mut lost = self.lost.subscribe();
        if lost.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Why this run may touch nothing any more, if so.
    pub(super) fn lost_reason(&self) -> Option<String> {
        self.lost.borrow().clone()
    }
}
