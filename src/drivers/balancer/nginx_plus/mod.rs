//! The NGINX Plus API, versions 6 to 9.
//!
//! * [`api`]: what is asked of it, and what its errors mean.
//! * [`state`]: what it answers, as values, and what that means for each server.
//!
//! Known limits: whether the API may change anything is only told when it is told something; `sticky cookie` and `sticky learn` are not
//! told at all; what it was told is forgotten at a reload unless the upstream has a `state` file.

mod api;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use self::api::{Plus, Pool};
use self::state::{Kind, Peer};
use super::api::SIDE_BY_SIDE;
use super::{BalancerError, Change, LoadBalancer, Reach};
use crate::model::{
    Admin, ApiSpec, BalancerName, BalancerSeen, HostName, PoolName, PoolSeen, ServerName,
};

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

    /// Changes of one server keep their order; servers do not wait for each other. All are tried, then the first error is told.
    async fn tell_all(&self, changes: &[Change]) -> Result<(), BalancerError> {
        let mut servers: BTreeMap<(&PoolName, &ServerName), Vec<&Change>> = BTreeMap::new();
        for change in changes {
            servers
                .entry((&change.pool, &change.server))
                .or_default()
                .push(change);
        }
        let acts: Vec<_> = servers
            .into_values()
            .map(|changes| self.tell_server(changes).boxed())
            .collect();
        let told: Vec<_> = futures::stream::iter(acts)
            .buffered(SIDE_BY_SIDE)
            .collect()
            .await;
        told.into_iter().collect()
    }

    async fn tell_server(&self, changes: Vec<&Change>) -> Result<(), BalancerError> {
        for change in changes {
            let (kind, peers) = self.peers_of(change).await?;
            for peer in &peers {
                let body = body(change, kind);
                self.plus.patch(kind, &change.pool, peer.id, &body).await?;
            }
            self.prove(change).await?;
        }
        Ok(())
    }

    /// The peers that a change is about, looked up anew: numbers are given again after a reload.
    async fn peers_of(&self, change: &Change) -> Result<(Kind, Vec<Peer>), BalancerError> {
        let Change { pool, server, .. } = change;
        let command = format!("find {pool}/{server}");
        let (kind, peers) = match self.plus.pool(pool).await? {
            Pool::Found(kind, peers) => (kind, peers),
            Pool::Static => return Err(self.plus.refused(&command, api::no_zone(pool))),
            Pool::Absent => {
                let words = format!(
                    "there is no upstream `{pool}` with a `zone`, neither in http nor in stream"
                );
                return Err(self.plus.refused(&command, words));
            }
        };
        let wanted = self.wanted(pool, Some(server));
        let is_it = |peer: &Peer| {
            let known = peer.known_as(&wanted);
            known.is_some_and(|known| {
                super::address::normal(known.as_str()) == super::address::normal(server.as_str())
            })
        };
        let found: Vec<Peer> = peers.into_iter().filter(is_it).collect();
        if found.is_empty() {
            let words = format!("upstream `{pool}` has no server `{server}`");
            return Err(self.plus.refused(&command, words));
        }
        Ok((kind, found))
    }

    /// Reads again what was told. A server that still drains is told once more, in the words of older versions.
    async fn prove(&self, change: &Change) -> Result<(), BalancerError> {
        let (kind, peers) = self.peers_of(change).await?;
        let Some(first) = wrong(change, kind, &peers) else {
            return Ok(());
        };
        if change.admin == Admin::Ready {
            for peer in &peers {
                let body = json!({ "down": false });
                self.plus.patch(kind, &change.pool, peer.id, &body).await?;
            }
            let (kind, peers) = self.peers_of(change).await?;
            if wrong(change, kind, &peers).is_none() {
                return Ok(());
            }
        }
        let command = format!("PATCH {}/{}", change.pool, change.server);
        Err(self.plus.refused(&command, first))
    }
}

/// How the first of the peers differs from what it was told.
fn wrong(change: &Change, kind: Kind, peers: &[Peer]) -> Option<String> {
    peers.iter().find_map(|peer| {
        let seen = peer.seen(kind, false);
        let as_told = (change.admin == Admin::Ready) == (seen.admin == Admin::Ready);
        let weight = change
            .weight
            .is_none_or(|weight| seen.weight == Some(weight));
        (!as_told || !weight).then(|| {
            format!(
                "it took the change, and the server is still in state `{}`, weight {:?}",
                seen.state().as_str(),
                seen.weight.unwrap_or_default()
            )
        })
    })
}

/// State and weight in one request: both come into force together.
fn body(change: &Change, kind: Kind) -> Value {
    let mut body = match (change.admin, kind) {
        (Admin::Ready, Kind::Http) => json!({ "drain": false, "down": false }),
        (Admin::Ready, Kind::Stream) => json!({ "down": false }),
        (Admin::Drain, Kind::Http) => json!({ "drain": true }),
        (Admin::Drain, Kind::Stream) | (Admin::Maint, Kind::Http | Kind::Stream) => {
            json!({ "down": true })
        }
    };
    if let (Some(weight), Some(fields)) = (change.weight, body.as_object_mut()) {
        fields.insert("weight".to_owned(), json!(weight));
    }
    body
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_one_request() {
        let told = |admin, kind, weight| {
            let change = Change {
                pool: PoolName::new("app").unwrap(),
                server: ServerName::new("10.0.0.1:80").unwrap(),
                admin,
                weight,
                agent: None,
            };
            body(&change, kind).to_string()
        };
        assert_eq!(told(Admin::Drain, Kind::Http, None), r#"{"drain":true}"#);
        assert_eq!(told(Admin::Drain, Kind::Stream, None), r#"{"down":true}"#);
        assert_eq!(told(Admin::Maint, Kind::Http, None), r#"{"down":true}"#);
        assert_eq!(
            told(Admin::Ready, Kind::Http, Some(7)),
            r#"{"down":false,"drain":false,"weight":7}"#
        );
        assert_eq!(told(Admin::Ready, Kind::Stream, None), r#"{"down":false}"#);
    }
}
