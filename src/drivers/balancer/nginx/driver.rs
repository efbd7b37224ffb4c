//! The two acts of a balancer: look, and tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::super::{BalancerError, Change, LoadBalancer, Reach, Target};
use super::script::{self, Needs};
use super::seen;
use super::snapshot::Snapshot;
use super::upstream::{self, Found};
use crate::drivers::transport::{Call, LocalTransport, Output, Payload, Transport};
use crate::far::Answer;
use crate::far::draft::ScriptError;
use crate::model::{BalancerName, BalancerSeen, Become, HostName, NginxSpec, PoolName, ServerName};

/// For one act, connecting included (R3).
const LIMIT: Duration = Duration::from_secs(10);
/// What the scripts of one act have together: an orderly end comes before the limit.
const SCRIPTS: Duration = Duration::from_millis(9_800);
/// How often a look may turn out to need another one: includes in includes, then names, then connections.
const LOOKS: usize = 8;

/// One nginx.
#[derive(Debug)]
pub(in super::super) struct Nginx {
    name: BalancerName,
    pub(super) spec: NginxSpec,
    via: Option<HostName>,
    /// `None`: a host is named, and the caller brought no connection to it.
    pub(super) transport: Option<Arc<dyn Transport>>,
    targets: BTreeMap<PoolName, BTreeSet<ServerName>>,
    cache: Mutex<Cache>,
}

/// What the last look learned, so that the next one is one round trip.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) needs: Needs,
    known: BTreeMap<String, Arc<[u8]>>,
}

/// A look, with what it means.
pub(super) struct View {
    pub(super) snapshot: Snapshot,
    pub(super) found: Found,
}

impl Nginx {
    /// A driver for the nginx of `spec`, on the host `via` or on this machine.
    pub(in super::super) fn new(
        name: BalancerName,
        spec: NginxSpec,
        via: Option<HostName>,
        reach: Reach,
    ) -> Self {
        let Reach {
            via: there,
            targets,
        } = reach;
        let transport = match (&via, there) {
            (None, _) => Some(Arc::new(LocalTransport::default()) as Arc<dyn Transport>),
            (Some(_), there) => there,
        };
        let mut pools: BTreeMap<PoolName, BTreeSet<ServerName>> = BTreeMap::new();
        for Target {
            pool,
            server,
            host: _,
            transport: _,
        } in targets
        {
            pools.entry(pool).or_default().insert(server);
        }
        Self {
            name,
            spec,
            via,
            transport,
            targets: pools,
            cache: Mutex::default(),
        }
    }

    pub(super) fn targets(&self, pool: &PoolName, changes: &[Change]) -> BTreeSet<ServerName> {
        let mut targets = self.targets.get(pool).cloned().unwrap_or_default();
        let told = changes.iter().filter(|change| change.pool == *pool);
        targets.extend(told.map(|change| change.server.clone()));
        targets
    }

    /// Looks until nothing is left to be asked. `counting`: with the connections of servers that are out.
    pub(super) async fn view(
        &self,
        pools: &[PoolName],
        changes: &[Change],
        counting: bool,
        until: Instant,
    ) -> Result<View, BalancerError> {
        let mut needs = self.lock().needs.clone();
        if !counting {
            needs.addresses.clear();
        }
        for _ in 0..LOOKS {
            let snapshot = self.look(&needs, until).await?;
            let found = upstream::find(&snapshot, &self.spec.config, pools)
                .map_err(|why| self.refused("read", why))?;
            let mut wanted = Needs {
                patterns: found.unseen.clone(),
                ..Needs::default()
            };
            for (pool, entries) in &found.pools {
                let matched =
                    seen::matched(entries, &self.targets(pool, changes), &snapshot.resolved);
                wanted.names.extend(matched.names);
                if counting {
                    wanted.names.extend(seen::out_names(&matched.servers));
                    wanted
                        .addresses
                        .extend(seen::out_addresses(&matched.servers, &snapshot.resolved));
                }
            }
            let enough = wanted.patterns.is_subset(&needs.patterns)
                && wanted.names.is_subset(&needs.names)
                && wanted.addresses.is_subset(&needs.addresses);
            needs.patterns.extend(wanted.patterns);
            needs.names.extend(wanted.names);
            if enough {
                if counting {
                    needs.addresses = wanted.addresses;
                } else {
                    needs.addresses.clone_from(&self.lock().needs.addresses);
                }
                self.remember(needs, &snapshot);
                return Ok(View { snapshot, found });
            }
            needs.addresses.extend(wanted.addresses);
        }
        Err(self.refused("read", "its includes never end".to_owned()))
    }

    /// Keeps what the next look will need.
    fn remember(&self, needs: Needs, snapshot: &Snapshot) {
        let mut cache = self.lock();
        cache.needs = needs;
        cache.known = snapshot.known();
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, needs: &Needs, until: Instant) -> Result<Snapshot, BalancerError> {
        let known = self.lock().known.clone();
        let digests: Vec<String> = known.keys().cloned().collect();
        let script =
            script::look(&self.spec, needs, &digests).map_err(|error| self.unsayable(&error))?;
        let output = self
            .run("read nginx's configuration", script, until)
            .await?;
        if output.code == 92 {
            let answer = Answer::parse(&output.stdout);
            return Err(self.refused("read", answer.all("failed").collect::<Vec<_>>().join("; ")));
        }
        Snapshot::read(&output.stdout, &known).map_err(|why| self.cut(&output, &why))
    }

    pub(super) async fn run(
        &self,
        purpose: &'static str,
        script: Arc<str>,
        until: Instant,
    ) -> Result<Output, BalancerError> {
        let Some(transport) = &self.transport else {
            let host = self.via.as_ref().map(HostName::as_str).unwrap_or_default();
            return Err(self.refused("read", format!("there is no SSH connection to {host}")));
        };
        let call = Call {
            purpose,
            script,
            payload: Payload::None,
            limit: until
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(100)),
            privileged: false,
        };
        transport
            .run(call)
            .await
            .map_err(|error| self.unreachable(error.to_string()))
    }

    async fn observe_all(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let View { snapshot, found } = self
            .view(pools, &[], true, Instant::now() + SCRIPTS)
            .await?;
        let mut pools = BTreeMap::new();
        let (mut files, mut shared) = (BTreeSet::new(), Vec::new());
        for (pool, entries) in &found.pools {
            let matched = seen::matched(entries, &self.targets(pool, &[]), &snapshot.resolved);
            files.extend(entries.iter().map(|entry| entry.path.as_str()));
            shared.extend(matched.shared.iter().cloned());
            pools.insert(pool.clone(), seen::pool(&matched.servers, &snapshot));
        }
        let process = match snapshot
            .master
            .as_deref()
            .and_then(|master| master.split_once(' '))
        {
            Some((pid, start)) => format!("pid {pid}, started at {start}"),
            None => String::new(),
        };
        Ok(BalancerSeen {
            process,
            pools,
            read_only: seen::read_only(&snapshot, &files, &shared),
        })
    }

    async fn limited<T>(
        &self,
        act: impl Future<Output = Result<T, BalancerError>>,
    ) -> Result<T, BalancerError> {
        let Ok(result) = tokio::time::timeout(LIMIT, act).await else {
            return Err(self.unreachable(format!("no answer within {LIMIT:?}")));
        };
        result
    }

    pub(super) fn cut(&self, output: &Output, why: &str) -> BalancerError {
        let complaint = output.complaint();
        let last = complaint
            .lines()
            .last()
            .map(|line| format!(": {line}"))
            .unwrap_or_default();
        self.unreachable(format!(
            "{why}; the script there ended with {}{last}",
            output.code
        ))
    }

    fn place(&self) -> String {
        match &self.via {
            Some(host) => format!("{} on {host}", self.spec.config),
            None => self.spec.config.clone(),
        }
    }

    pub(super) fn unreachable(&self, reason: String) -> BalancerError {
        BalancerError::Unreachable {
            balancer: self.name.clone(),
            endpoint: self.place(),
            reason,
        }
    }

    pub(super) fn refused(&self, verb: &str, answer: String) -> BalancerError {
        self.said_no(format!("{verb} {}", self.place()), answer)
    }

    pub(super) fn said_no(&self, command: String, answer: String) -> BalancerError {
        BalancerError::Refused {
            balancer: self.name.clone(),
            command,
            answer,
        }
    }

    pub(super) fn unsayable(&self, error: &ScriptError) -> BalancerError {
        self.refused("read", error.to_string())
    }
}

impl LoadBalancer for Nginx {
    fn name(&self) -> &BalancerName {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>> {
        self.limited(self.observe_all(pools)).boxed()
    }

    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>> {
        self.limited(self.tell_all(changes, Instant::now() + SCRIPTS))
            .boxed()
    }

    fn gathers(&self) -> bool {
        true
    }

    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String {
        let there = self
            .via
            .as_ref()
            .map(|host| format!("on {host}, "))
            .unwrap_or_default();
        let r#become = self
            .transport
            .as_ref()
            .map_or(Become::None, |transport| transport.r#become());
        let command = |command| {
            let words = script::words(command, r#become);
            shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
        };
        format!(
            "{there}take the word `down` out of `server {server}` in `upstream {pool}` of {} (or of a file that it includes), then run: {} && {}",
            self.spec.config,
            command(&self.spec.test),
            command(&self.spec.reload)
        )
    }
}
