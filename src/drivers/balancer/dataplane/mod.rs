//! `HAProxy`'s Data Plane API, versions 2 and 3: its runtime part only, which changes no configuration and causes no reload.
//!
//! * [`paths`]: where things are in each version.
//! * [`state`]: what is answered, as values, and what that means for one server.
//! * [`process`]: which process answered.
//! * [`tell`]: its other act.
//!
//! Known limits: requests that an old worker still carries after a reload are not counted, and agent checks cannot be switched off here.

mod paths;
mod process;
mod state;
mod tell;

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
