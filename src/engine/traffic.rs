//! What is read from and told to balancers, under the host's lease, with patience.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::BalancerPort;
use super::gather::Gathering;
use super::lease::Leases;
use crate::drivers::balancer::BalancerError;
use crate::drivers::host::HostError;
use crate::model::{BalancerName, BalancerSeen, FoundTraffic, HostName, PoolName, ServerSeen};

/// The first pause after a balancer did not answer; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Short enough that a balancer which comes back is noticed well within its patience.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why traffic could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrafficError {
    /// The balancer.
    #[error(transparent)]
    Balancer(#[from] BalancerError),
    /// The host's lock could not be confirmed, so its balancer state is kept.
    #[error("its lock could not be confirmed")]
    Lease(#[source] HostError),
    /// A server that was there is gone.
    #[error("server `{pool}/{server}` is no longer known to balancer `{balancer}`")]
    Gone {
        balancer: BalancerName,
        pool: PoolName,
        server: crate::model::ServerName,
    },
}

/// A reading and its ticket: tickets are drawn when a reading begins and when somebody wants one, so their order is that of events,
/// also where a clock would show the same instant for both.
type Snapshot = Option<(u64, Arc<BalancerSeen>)>;

/// What all balancers showed.
pub(super) type Reading = BTreeMap<BalancerName, Arc<BalancerSeen>>;

/// The balancers of one rollout, and which servers rollgate holds out of traffic.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) balancers: BTreeMap<BalancerName, BalancerPort>,
    pools: BTreeMap<BalancerName, Vec<PoolName>>,
    snapshots: BTreeMap<BalancerName, AsyncMutex<Snapshot>>,
    pub(super) leases: Arc<Leases>,
    held: Mutex<BTreeSet<HostName>>,
    /// Hosts of the batch under way that have something to tell yet.
    pub(super) expected: Mutex<BTreeSet<HostName>>,
    pub(super) behind: BTreeMap<BalancerName, BTreeSet<HostName>>,
    pub(super) gatherings: BTreeMap<BalancerName, Gathering>,
    turns: BTreeMap<HostName, AsyncMutex<()>>,
    gate: AsyncMutex<()>,
    tickets: AtomicU64,
}

impl Traffic {
    pub(super) fn new(
        balancers: BTreeMap<BalancerName, BalancerPort>,
        pools: BTreeMap<BalancerName, Vec<PoolName>>,
        hosts: &BTreeMap<HostName, BTreeSet<BalancerName>>,
        leases: Arc<Leases>,
    ) -> Self {
        let mut behind: BTreeMap<BalancerName, BTreeSet<HostName>> = BTreeMap::new();
        for (host, balancers) in hosts {
            for balancer in balancers {
                let hosts = behind.entry(balancer.clone()).or_default();
                hosts.insert(host.clone());
            }
        }
        let snapshots = balancers
            .keys()
            .map(|name| (name.clone(), AsyncMutex::default()))
            .collect();
        let turns = hosts
            .keys()
            .map(|host| (host.clone(), AsyncMutex::default()));
        let turns = turns.collect();
        let gatherings = balancers
            .keys()
            .map(|name| (name.clone(), Gathering::default()));
        let gatherings = gatherings.collect();
        Self {
            balancers,
            pools,
            snapshots,
            leases,
            held: Mutex::default(),
            expected: Mutex::default(),
            behind,
            gatherings,
            turns,
            gate: AsyncMutex::default(),
            tickets: AtomicU64::new(0),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &BalancerName> {
        self.balancers.keys()
    }

    pub(super) fn driver(
        &self,
        name: &BalancerName,
    ) -> Option<&Arc<dyn crate::drivers::balancer::LoadBalancer>> {
        self.balancers.get(name).map(|port| &port.driver)
    }

    /// What a balancer shows, read after this call began: hosts of a batch that ask side by side share one reading.
    pub(super) async fn observe(
        &self,
        name: &BalancerName,
    ) -> Result<Arc<BalancerSeen>, TrafficError> {
        let wanted = self.ticket();
        let (Some(port), Some(snapshot)) = (self.balancers.get(name), self.snapshots.get(name))
        else {
            return Ok(Arc::default());
        };
        let mut snapshot = snapshot.lock().await;
        if let Some((started, seen)) = snapshot.as_ref()
            && *started > wanted
        {
            return Ok(Arc::clone(seen));
        }
        let pools = self.pools.get(name).map(Vec::as_slice).unwrap_or_default();
        let (started, seen) = patiently(port.patience, || async {
            let started = self.ticket();
            Ok((started, Arc::new(port.driver.observe(pools).await?)))
        })
        .await?;
        *snapshot = Some((started, Arc::clone(&seen)));
        Ok(seen)
    }

    /// What a balancer shows, asked once and without patience; `None` when it does not answer.
    pub(super) async fn glance(&self, name: &BalancerName) -> Option<BalancerSeen> {
        let port = self.balancers.get(name)?;
        let pools = self.pools.get(name).map(Vec::as_slice).unwrap_or_default();
        port.driver.observe(pools).await.ok()
    }

    fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::SeqCst)
    }

    /// All balancers at once.
    pub(super) async fn observe_all(&self) -> Result<Reading, TrafficError> {
        let read = |name: &BalancerName| {
            let name = name.clone();
            async move { Ok::<_, TrafficError>((name.clone(), self.observe(&name).await?)) }
        };
        Ok(try_join_all(self.names().map(read))
            .await?
            .into_iter()
            .collect())
    }

    /// The host's servers as they are now, beside how they were found.
    pub(super) async fn servers(
        &self,
        found: &[FoundTraffic],
    ) -> Result<Vec<(FoundTraffic, ServerSeen)>, TrafficError> {
        let names: BTreeSet<BalancerName> =
            found.iter().map(|entry| entry.balancer.clone()).collect();
        let read = |name: BalancerName| async move {
            Ok::<_, TrafficError>((name.clone(), self.observe(&name).await?))
        };
        let seen: Reading = try_join_all(names.into_iter().map(read))
            .await?
            .into_iter()
            .collect();
        servers_in(&seen, found)
    }

    /// What identifies the process of a balancer that answered last.
    pub(super) async fn process(&self, name: &BalancerName) -> Option<String> {
        let snapshot = self.snapshots.get(name)?.lock().await;
        snapshot.as_ref().map(|(_, seen)| seen.process.clone())
    }

    /// One host's turn to be told about: the worker that enables it and the watch that holds it out never cross.
    pub(super) async fn turn(&self, host: &HostName) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.turns.get(host) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// Held by whoever asks whether a host may go and then takes it out, so that two do not empty a pool between them.
    pub(super) async fn gate(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// From now on the watch keeps the host out.
    pub(super) fn hold(&self, host: &HostName) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(host.clone());
    }

    /// From now on it does not.
    pub(super) fn let_go(&self, host: &HostName) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(host);
    }

    /// Hosts that are held out now.
    pub(super) fn held(&self) -> Vec<HostName> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    pub(super) fn is_held(&self, host: &HostName) -> bool {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(host)
    }
}

/// The servers `found` in a reading.
pub(super) fn servers_in(
    seen: &Reading,
    found: &[FoundTraffic],
) -> Result<Vec<(FoundTraffic, ServerSeen)>, TrafficError> {
    let one = |entry: &FoundTraffic| {
        let balancer = seen.get(&entry.balancer);
        let server = balancer
            .and_then(|balancer| balancer.pools.get(&entry.pool)?.servers.get(&entry.server));
        server
            .map(|server| (entry.clone(), server.clone()))
            .ok_or_else(|| TrafficError::Gone {
                balancer: entry.balancer.clone(),
                pool: entry.pool.clone(),
                server: entry.server.clone(),
            })
    };
    found.iter().map(one).collect()
}

/// Tries again while the balancer does not answer and patience lasts.
pub(super) async fn patiently<T, F, Fut>(
    patience: Duration,
    mut attempt: F,
) -> Result<T, TrafficError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, TrafficError>>,
{
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(TrafficError::Balancer(error))
                if error.is_retriable() && started.elapsed() + pause < patience =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}
