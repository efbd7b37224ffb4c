//! The NGINX Plus API, versions 6 to 9.
//!
//! * [`api`]: what is asked of it, and what its errors mean.
//! * [`state`]: what it answers, as values, and what that means for each server.
//! * [`tell`]: its other act.
//!
//! Known limits: whether the API may change anything is only told when it is told something; `sticky cookie` and `sticky learn` are not
//! told at all; what it was told is forgotten at a reload unless the upstream has a `state` file.

mod api;
mod state;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use self::api::{Plus, Pool};
use self::state::{Kind, Peer};
use super::api::SIDE_BY_SIDE;
use super::{BalancerError, Change, LoadBalancer, Reach};
use crate::model::{ApiSpec, BalancerName, BalancerSeen, HostName, PoolName, PoolSeen, ServerName};

/// One NGINX Plus.
#[derive(Debug)]
pub(super) struct NginxPlus {
    plus: Plus,
    /// Every server that the playbook names.
    wanted: BTreeMap<PoolName, BTreeSet<ServerName>>,
    /// Of each pool, under which process they were read: servers to which sessions are routed.
    routed: Mutex<BTreeMap<PoolName, (String, BTreeSet<u64>)>>,
    /// The number of each server, as last seen: for what a person types.
    numbers: Mutex<BTreeMap<(PoolName, ServerName), (Kind, u64)>>,
}

impl NginxPlus {
    pub(super) fn new(
        name: BalancerName,
        spec: &ApiSpec,
        via: Option<HostName>,
        reach: Reach,
    ) -> Self {
        let mut wanted: BTreeMap<PoolName, BTreeSet<ServerName>> = BTreeMap::new();
        for target in reach.targets {
            wanted.entry(target.pool).or_default().insert(target.server);
        }
        Self {
            plus: Plus::new(name, spec, via, reach.via),
            wanted,
            routed: Mutex::default(),
            numbers: Mutex::default(),
        }
    }

    /// The playbook's names in a pool, and the one that is asked for.
    fn wanted<'a>(&'a self, pool: &PoolName, asked: Option<&'a ServerName>) -> Vec<&'a ServerName> {
        let named = self.wanted.get(pool).into_iter().flatten();
        asked.into_iter().chain(named).collect()
    }

    async fn look(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let process = self.plus.nginx().await?.process();
        let acts: Vec<_> = pools
            .iter()
            .map(|pool| self.plus.pool(pool).boxed())
            .collect();
        let found: Vec<Pool> = futures::stream::iter(acts)
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        let mut seen = BalancerSeen {
            process,
            ..BalancerSeen::default()
        };
        for (name, pool) in pools.iter().zip(found) {
            match pool {
                Pool::Absent => {}
                Pool::Static => seen.read_only = Some(api::no_zone(name)),
                Pool::Found(kind, peers) => {
                    let shown = self.pool_seen(name, &seen.process, kind, &peers).await?;
                    seen.pools.insert(name.clone(), shown);
                }
            }
        }
        Ok(seen)
    }

    async fn pool_seen(
        &self,
        name: &PoolName,
        process: &str,
        kind: Kind,
        peers: &[Peer],
    ) -> Result<PoolSeen, BalancerError> {
        let routed = self.routed_of(name, process, kind).await?;
        let wanted = self.wanted(name, None);
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        for peer in peers {
            if let Some(server) = peer.known_as(&wanted) {
                numbers.insert((name.clone(), server), (kind, peer.id));
            }
        }
        Ok(state::pool(peers, kind, &wanted, |id| routed.contains(&id)))
    }

    /// Read once for each process: routes stand in the configuration.
    async fn routed_of(
        &self,
        pool: &PoolName,
        process: &str,
        kind: Kind,
    ) -> Result<BTreeSet<u64>, BalancerError> {
        if kind == Kind::Stream {
            return Ok(BTreeSet::new());
        }
        let known = self
            .routed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(pool)
            .cloned();
        if let Some((of, ids)) = known
            && of == process
        {
            return Ok(ids);
        }
        let servers = self.plus.configured(kind, pool).await?;
        let ids: BTreeSet<u64> = servers
            .iter()
            .filter(|server| server.is_routed())
            .map(|server| server.id)
            .collect();
        self.routed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pool.clone(), (process.to_owned(), ids.clone()));
        Ok(ids)
    }
}

impl LoadBalancer for NginxPlus {
    fn name(&self) -> &BalancerName {
        self.plus.name()
    }

    fn observe<'a>(
        &'a self,
        pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>> {
        self.plus.limited(self.look(pools)).boxed()
    }

    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>> {
        self.plus.limited(self.tell_all(changes)).boxed()
    }

    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = numbers.get(&(pool.clone(), server.clone())).copied();
        self.plus.enable_by_hand(pool, server, known)
    }
}
