//! `HAProxy`'s Data Plane API, versions 2 and 3: its runtime part only, which changes no configuration and causes no reload.
//!
//! * [`paths`]: where things are in each version.
//! * [`state`]: what is answered, as values, and what that means for one server.
//! * [`process`]: which process answered.
//!
//! Known limits: requests that an old worker still carries after a reload are not counted, and agent checks cannot be switched off here.

mod paths;
mod process;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use hyper::Method;
use serde_json::json;

use self::paths::Version;
use self::process::Process;
use self::state::{Info, NativeStats, OneOrMany, ProcessInfo, RuntimeServer};
use super::api::{Api, Reply, SIDE_BY_SIDE};
use super::{BalancerError, Change, LoadBalancer};
use crate::drivers::transport::Transport;
use crate::model::{
    Admin, ApiSpec, BalancerName, BalancerSeen, HostName, PoolName, PoolSeen, ServerName,
    ServerSeen,
};

/// One Data Plane API.
#[derive(Debug)]
pub(super) struct Dataplane {
    api: Api,
    version: Mutex<Option<Version>>,
    process: Mutex<Process>,
}

impl Dataplane {
    pub(super) fn new(
        name: BalancerName,
        spec: &ApiSpec,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        Self {
            api: Api::new(name, spec, via, transport),
            version: Mutex::default(),
            process: Mutex::default(),
        }
    }

    fn known_version(&self) -> Option<Version> {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which version answers, with the process behind it. The one that answered last is asked first.
    async fn info(&self) -> Result<(Version, Info), BalancerError> {
        let known = self.known_version();
        let order = match known {
            Some(Version::Two) => [Version::Two, Version::Three],
            Some(Version::Three) | None => [Version::Three, Version::Two],
        };
        for version in order {
            let path = version.info();
            let command = format!("GET {path}");
            let reply = self.api.get(&path).await?;
            match reply.status {
                200 => {
                    let info = self.read_info(&command, &reply)?;
                    *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
                    return Ok((version, info));
                }
                404 => {}
                _ => return Err(self.api.unexpected(&command, &reply)),
            }
        }
        Err(self.api.refused(
            "GET /v3/services/haproxy/runtime/info",
            "404, and so does version 2: `url` is where the Data Plane API listens, without a version, such as http://127.0.0.1:5555"
                .to_owned(),
        ))
    }

    fn read_info(&self, command: &str, reply: &Reply) -> Result<Info, BalancerError> {
        let entries: OneOrMany<ProcessInfo> = self.api.read(command, reply)?;
        let first = entries.list().into_iter().next().unwrap_or_default();
        if !first.error.is_empty() {
            let words = self.api.words(first.error.as_bytes());
            return Err(self.api.unreachable(format!("HAProxy behind it: {words}")));
        }
        if first.info.stopping != 0 {
            let reason = "the HAProxy that it asks is being replaced".to_owned();
            return Err(self.api.unreachable(reason));
        }
        Ok(first.info)
    }

    async fn look(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let (version, info) = self.info().await?;
        let (Some(pid), Some(uptime)) = (info.pid, info.uptime) else {
            let words = b"no process id or no uptime";
            return Err(self.api.garbled(&format!("GET {}", version.info()), words));
        };
        let acts: Vec<_> = pools
            .iter()
            .map(|pool| self.pool(version, pool).boxed())
            .collect();
        let found: Vec<_> = futures::stream::iter(acts)
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        let named = pools.iter().cloned().zip(found);
        let pools: BTreeMap<PoolName, PoolSeen> = named
            .filter_map(|(name, pool)| Some((name, pool?)))
            .collect();
        let read_only = pools.iter().find_map(|(name, pool)| agent(name, pool));
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(BalancerSeen {
            process: process.name(pid, uptime, SystemTime::now()),
            pools,
            read_only,
        })
    }

    /// A pool that does not exist is answered by 404, by an empty list, or by `HAProxy`'s own words with 500.
    async fn pool(
        &self,
        version: Version,
        pool: &PoolName,
    ) -> Result<Option<PoolSeen>, BalancerError> {
        let path = version.servers(pool);
        let command = format!("GET {path}");
        let reply = self.api.get(&path).await?;
        let servers: Vec<RuntimeServer> = match reply.status {
            200 => self.api.read(&command, &reply)?,
            404 => return Ok(None),
            _ if is_unknown(&reply) => return Ok(None),
            _ => return Err(self.api.unexpected(&command, &reply)),
        };
        if servers.is_empty() {
            return Ok(None);
        }
        let path = version.stats(pool);
        let command = format!("GET {path}");
        let reply = self.api.get(&path).await?;
        if reply.status != 200 {
            return Err(self.api.unexpected(&command, &reply));
        }
        let stats: OneOrMany<NativeStats> = self.api.read(&command, &reply)?;
        let stats = stats.list();
        if let Some(failed) = stats.iter().find(|entry| !entry.error.is_empty()) {
            let words = self.api.words(failed.error.as_bytes());
            return Err(self.api.unreachable(format!("HAProxy behind it: {words}")));
        }
        Ok(Some(state::pool(pool.as_str(), servers, stats)))
    }

    /// Changes of one server keep their order; servers do not wait for each other. All are tried, then the first error is told.
    async fn tell_all(&self, changes: &[Change]) -> Result<(), BalancerError> {
        let version = match self.known_version() {
            _ if changes.is_empty() => return Ok(()),
            Some(version) => version,
            None => self.info().await?.0,
        };
        let mut servers: BTreeMap<(&PoolName, &ServerName), Vec<&Change>> = BTreeMap::new();
        for change in changes {
            servers
                .entry((&change.pool, &change.server))
                .or_default()
                .push(change);
        }
        let acts: Vec<_> = servers
            .into_values()
            .map(|changes| self.tell_server(version, changes).boxed())
            .collect();
        let told: Vec<_> = futures::stream::iter(acts)
            .buffered(SIDE_BY_SIDE)
            .collect()
            .await;
        told.into_iter().collect()
    }

    async fn tell_server(
        &self,
        version: Version,
        changes: Vec<&Change>,
    ) -> Result<(), BalancerError> {
        for change in changes {
            if change.agent == Some(false) {
                return Err(self.api.refused(
                    &format!("disable agent {}/{}", change.pool, change.server),
                    NO_AGENTS.to_owned(),
                ));
            }
            // The weight comes before `ready`, so that no request is sent by a wrong one, and after what takes the server out.
            if change.admin == Admin::Ready {
                self.tell_weight(version, change).await?;
                self.tell_admin(version, change).await?;
            } else {
                self.tell_admin(version, change).await?;
                self.tell_weight(version, change).await?;
            }
        }
        Ok(())
    }

    async fn tell_weight(&self, version: Version, change: &Change) -> Result<(), BalancerError> {
        let Some(weight) = change.weight else {
            return Ok(());
        };
        self.put(version, change, &json!({ "weight": weight }))
            .await?;
        match self.server(version, change).await? {
            Some(seen) if seen.weight == Some(weight) => Ok(()),
            _ => Err(self.api.refused(
                &format!("weight {weight} of {}/{}", change.pool, change.server),
                "it did not take it: this version of the Data Plane API sets no weights at runtime"
                    .to_owned(),
            )),
        }
    }

    /// The API does nothing when it believes that the server is in that state already, and it misreads some states: then a server that
    /// is to be ready is told another state first, one that lets nothing in either.
    async fn tell_admin(&self, version: Version, change: &Change) -> Result<(), BalancerError> {
        self.put_admin(version, change, change.admin).await?;
        let seen = self.server(version, change).await?;
        let Some(seen) = seen.filter(|seen| seen.tracks.is_none()) else {
            return Ok(());
        };
        match (change.admin, seen.admin) {
            (Admin::Ready, Admin::Drain | Admin::Maint) => {
                self.put_admin(version, change, Admin::Drain).await?;
                self.put_admin(version, change, Admin::Ready).await
            }
            (Admin::Drain | Admin::Maint, Admin::Ready) => Err(self.api.refused(
                &format!("{} {}/{}", word(change.admin), change.pool, change.server),
                "it answered 200, and the server is still ready".to_owned(),
            )),
            (Admin::Ready, Admin::Ready)
            | (Admin::Drain | Admin::Maint, Admin::Drain | Admin::Maint) => Ok(()),
        }
    }

    async fn put_admin(
        &self,
        version: Version,
        change: &Change,
        admin: Admin,
    ) -> Result<(), BalancerError> {
        let body = json!({ "admin_state": word(admin) });
        self.put(version, change, &body).await
    }

    async fn put(
        &self,
        version: Version,
        change: &Change,
        body: &serde_json::Value,
    ) -> Result<(), BalancerError> {
        let path = version.server(&change.pool, &change.server);
        let reply = self.api.send(Method::PUT, &path, body).await?;
        let command = format!("PUT {path} {body}");
        match reply.status {
            200 => Ok(()),
            _ if is_for_good(&reply) => Err(self.api.refused(&command, self.message(&reply))),
            _ => Err(self.api.unexpected(&command, &reply)),
        }
    }

    async fn server(
        &self,
        version: Version,
        change: &Change,
    ) -> Result<Option<ServerSeen>, BalancerError> {
        let pool = self.pool(version, &change.pool).await?;
        Ok(pool.and_then(|pool| pool.servers.get(&change.server).cloned()))
    }

    fn message(&self, reply: &Reply) -> String {
        let message = message(&reply.body).unwrap_or_default();
        self.api.words(message.as_bytes())
    }
}

impl LoadBalancer for Dataplane {
    fn name(&self) -> &BalancerName {
        self.api.name()
    }

    fn observe<'a>(
        &'a self,
        pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>> {
        self.api.limited(self.look(pools)).boxed()
    }

    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>> {
        self.api.limited(self.tell_all(changes)).boxed()
    }

    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String {
        let version = self.known_version().unwrap_or(Version::Three);
        let body = json!({ "admin_state": word(Admin::Ready) });
        self.api
            .by_hand(&Method::PUT, &version.server(pool, server), &body)
    }
}

const NO_AGENTS: &str = "the Data Plane API cannot switch an agent check off, and it may undo a drain: use kind = \"haproxy\" for this balancer";

/// Why a pool cannot be told anything that lasts, if so.
fn agent(name: &PoolName, pool: &PoolSeen) -> Option<String> {
    let (server, _) = pool.servers.iter().find(|(_, server)| server.agent)?;
    Some(format!(
        "an agent check runs for `{name}/{server}`: {NO_AGENTS}"
    ))
}

fn word(admin: Admin) -> &'static str {
    match admin {
        Admin::Ready => "ready",
        Admin::Drain => "drain",
        Admin::Maint => "maint",
    }
}

/// `{"code":…,"message":"…"}`.
fn message(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.get("message")?.as_str().map(str::to_owned)
}

/// `HAProxy`'s words for a pool that it does not have.
fn is_unknown(reply: &Reply) -> bool {
    let message = message(&reply.body).unwrap_or_default();
    message.contains("Can't find backend") || message.contains("No such backend")
}

/// The API gives `HAProxy`'s own refusals as 500, which a repetition does not mend.
fn is_for_good(reply: &Reply) -> bool {
    let message = message(&reply.body).unwrap_or_default();
    is_unknown(reply)
        || ["No such server", "Permission denied", "not found"]
            .iter()
            .any(|words| message.contains(words))
}
