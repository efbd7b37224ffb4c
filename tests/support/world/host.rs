//! A host in memory, with its lock, fence, record and releases, and its service's readiness.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use rollgate::drivers::host::*;
use rollgate::drivers::probe::Probe;
use rollgate::drivers::transport::TransportError;
use rollgate::engine::Job;
use rollgate::model::*;

use super::{Fault, Shared, Sim, SimHost, When, live, lock};

#[derive(Debug)]
pub struct FakeHost {
    name: String,
    sim: Shared,
    rollout: RolloutId,
    token: LockToken,
}

impl FakeHost {
    pub fn new(name: &str, sim: &Shared, job: &Job) -> Self {
        Self {
            name: name.to_owned(),
            sim: sim.clone(),
            rollout: job.rollout.clone(),
            token: job.token.clone(),
        }
    }

    /// Does one operation under the fault that strikes it; a millisecond of virtual time goes by.
    async fn operate<T>(
        &self,
        op: &'static str,
        fenced: bool,
        act: impl FnOnce(&mut Sim, &str) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let fault = lock(&self.sim).strike(&self.name, op);
        if let Some(Fault::Slow(time)) = fault {
            tokio::time::sleep(time).await;
        }
        live(&self.sim, |sim| {
            self.operate_now((op, fault), fenced, act, sim)
        })
        .await
    }

    fn operate_now<T>(
        &self,
        (op, fault): (&'static str, Option<Fault>),
        fenced: bool,
        act: impl FnOnce(&mut Sim, &str) -> Result<T, HostError>,
        sim: &mut Sim,
    ) -> Result<T, HostError> {
        if sim.hosts[&self.name].gone {
            return Err(away());
        }
        match fault {
            Some(Fault::Fails(When::Before)) => {
                return Err(HostError::Failed {
                    what: format!("{op} failed"),
                    output: vec![],
                });
            }
            Some(Fault::Loses(When::Before)) => return Err(lost(op)),
            Some(Fault::Gone(When::Before)) => {
                sim.hosts.get_mut(&self.name).unwrap().gone = true;
                return Err(lost(op));
            }
            _ => {}
        }
        if fenced && !self.holds(&sim.hosts[&self.name]) {
            return Err(HostError::Fenced {
                holder: sim.hosts[&self.name]
                    .owner
                    .as_ref()
                    .map(|owner| owner.rollout.to_string()),
            });
        }
        let result = act(sim, &self.name);
        match fault {
            Some(Fault::Fails(When::After)) => Err(HostError::Failed {
                what: format!("{op} failed"),
                output: vec![],
            }),
            Some(Fault::Loses(When::After)) => Err(lost(op)),
            Some(Fault::Gone(When::After)) => {
                sim.hosts.get_mut(&self.name).unwrap().gone = true;
                Err(lost(op))
            }
            _ => result,
        }
    }

    fn holds(&self, host: &SimHost) -> bool {
        host.owner
            .as_ref()
            .is_some_and(|owner| owner.rollout == self.rollout && owner.token == self.token)
    }
}

fn lost(op: &str) -> HostError {
    HostError::Transport(TransportError::Lost {
        purpose: op.to_owned(),
        reason: "the test cut it".into(),
    })
}

fn away() -> HostError {
    HostError::Transport(TransportError::Unreachable {
        address: "memory".into(),
        reason: "the host is gone".into(),
    })
}

pub fn facts(host: &SimHost, lock: LockSeen) -> HostFacts {
    HostFacts {
        root_writable: true,
        free_kib: Some(1 << 30),
        tools: BTreeSet::new(),
        current: host.current.clone().map_or(Current::Absent, Current::Link),
        releases: host.releases.iter().cloned().collect(),
        revisions: host.revisions.clone(),
        rollouts: host.rollouts.clone(),
        record: host.record.clone().map_or(RecordSeen::Absent, |record| {
            RecordSeen::Read(Box::new(record))
        }),
        lock,
        ..HostFacts::default()
    }
}

impl HostDriver for FakeHost {
    fn inspect<'a>(&'a self, wish: &'a LockWish) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        Box::pin(self.operate("inspect", false, move |sim, name| {
            let age = sim.lock_age;
            let host = sim.hosts.get_mut(name).unwrap();
            match wish {
                LockWish::Take(owner) if host.owner.is_none() => {
                    host.owner = Some((**owner).clone());
                }
                LockWish::TakeOver { owner, .. } => host.owner = Some((**owner).clone()),
                LockWish::Look | LockWish::Take(_) => {}
            }
            let lock = match &host.owner {
                None => LockSeen::Free,
                Some(_) if self.holds(host) => LockSeen::Ours,
                Some(owner) => LockSeen::Held {
                    owner: Some(Box::new(owner.clone())),
                    file: format!("owner.{}.{}", owner.rollout, owner.token),
                    age,
                },
            };
            Ok(facts(host, lock))
        }))
    }

    fn confirm(&self) -> BoxFuture<'_, Result<(), HostError>> {
        Box::pin(self.operate("confirm", true, |_, _| Ok(())))
    }

    fn write_record<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(self.operate("record", true, move |sim, name| {
            sim.hosts.get_mut(name).unwrap().record = Some(record.clone());
            Ok(())
        }))
    }

    fn stage<'a>(&'a self, order: &'a StageOrder) -> BoxFuture<'a, Result<Staged, HostError>> {
        Box::pin(self.operate("stage", true, move |sim, name| {
            let folder = order.release.dir.rsplit('/').next().unwrap().to_owned();
            sim.hosts.get_mut(name).unwrap().releases.insert(folder);
            Ok(Staged {
                sent_bytes: order.artifact.size,
            })
        }))
    }

    fn prepare<'a>(
        &'a self,
        _run: &'a rollgate::model::Run,
        _revision: rollgate::model::Revision,
    ) -> BoxFuture<'a, Result<rollgate::model::Rights, HostError>> {
        Box::pin(async { Ok(rollgate::model::Rights::default()) })
    }

    fn swap<'a>(&'a self, order: &'a SwapOrder) -> BoxFuture<'a, Result<Swapped, HostError>> {
        Box::pin(self.operate("swap", true, move |sim, name| {
            if sim.servers[name].admin == Admin::Ready && sim.servers[name].was_usable {
                sim.broken
                    .push(format!("R8: {name} was swapped in traffic"));
            }
            let host = sim.hosts.get_mut(name).unwrap();
            host.record = Some(order.record.clone());
            host.proven = false;
            match &order.to {
                SwapTo::Release(release) => {
                    let folder = release.dir.rsplit('/').next().unwrap().to_owned();
                    if !host.releases.contains(&folder) {
                        sim.broken
                            .push(format!("R7: {name}: {folder} is not there"));
                        return Ok(Swapped::default());
                    }
                    host.current = Some(release.dir.clone());
                    host.running = release.version.as_ref().map(ToString::to_string);
                }
                SwapTo::Nothing => (host.current, host.running) = (None, None),
            }
            Ok(Swapped::default())
        }))
    }

    fn run_hook<'a>(
        &'a self,
        _: &'a str,
        _: &'a Command,
        _: &'a [(String, String)],
        _: Duration,
    ) -> BoxFuture<'a, Result<Ran, HostError>> {
        Box::pin(self.operate("hook", true, |_, _| {
            Ok(Ran {
                code: 0,
                output: vec![],
            })
        }))
    }

    fn logs<'a>(&'a self, _: &'a Run, _: usize) -> BoxFuture<'a, Result<Vec<String>, HostError>> {
        Box::pin(self.operate("logs", false, |_, _| {
            Ok(vec!["a line of the service".into()])
        }))
    }

    fn finish<'a>(&'a self, order: &'a FinishOrder) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(self.operate("finish", true, move |sim, name| {
            let host = sim.hosts.get_mut(name).unwrap();
            if let Some(lines) = &order.revisions {
                host.revisions.clone_from(lines);
            }
            host.rollouts.extend(order.rollout.clone());
            match &order.record {
                RecordEnd::Keep => {}
                RecordEnd::Remove => host.record = None,
                RecordEnd::Put(record) => host.record = Some((**record).clone()),
            }
            for folder in &order.prune {
                host.releases.remove(folder);
            }
            if order.release_lock {
                host.owner = None;
            }
            Ok(())
        }))
    }

    fn fetch<'a>(
        &'a self,
        _: &'a str,
        _: &'a std::path::Path,
    ) -> BoxFuture<'a, Result<u64, HostError>> {
        Box::pin(self.operate("fetch", false, |_, _| {
            Err(HostError::Failed {
                what: "hosts in memory have no files".into(),
                output: vec![],
            })
        }))
    }

    fn break_lock<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(self.operate("break", false, |sim, name| {
            sim.hosts.get_mut(name).unwrap().owner = None;
            Ok(())
        }))
    }
}

/// Ready when a version runs that is not bad.
#[derive(Debug)]
pub struct FakeProbe {
    name: String,
    sim: Shared,
}

impl FakeProbe {
    pub fn new(name: &str, sim: &Shared) -> Self {
        Self {
            name: name.to_owned(),
            sim: sim.clone(),
        }
    }
}

impl Probe for FakeProbe {
    fn url(&self) -> &'static str {
        "http://localhost/health/ready"
    }

    fn ask(&self, _timeout: Duration) -> BoxFuture<'_, ProbeAnswer> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut sim = lock(&self.sim);
            let bad = sim.bad.clone();
            let host = sim.hosts.get_mut(&self.name).unwrap();
            match host.running.clone().filter(|_| !host.gone) {
                None => ProbeAnswer {
                    note: "connection refused".into(),
                    ..ProbeAnswer::default()
                },
                Some(version) => {
                    let good = !bad.contains(&version);
                    host.proven |= good;
                    ProbeAnswer {
                        status: Some(if good { 200 } else { 503 }),
                        version: Some(version),
                        note: String::new(),
                    }
                }
            }
        })
    }
}
