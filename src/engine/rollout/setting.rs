//! What all parts of a rollout share, put together from its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::engine::context::{Context, HostContext, HostLedger};
use crate::engine::inspect::{self, HostLooks};
use crate::engine::lease::Leases;
use crate::engine::traffic::Traffic;
use crate::engine::{Job, Member, World};
use crate::event::Emitter;
use crate::model::release::NO_CONFIG;
use crate::model::{Admin, FoundTraffic, HostFacts, ReleaseRef, Sha256, Target, TrafficState};
use crate::plan::{Course, HostAction, Plan, PlannedHost, release};

pub(super) fn context(
    job: Job,
    world: World,
    plan: Plan,
    emitter: Arc<Emitter>,
    leases: Arc<Leases>,
    looks: &HostLooks,
) -> Context {
    let mut hosts = BTreeMap::new();
    for member in &job.fleet {
        let name = &member.spec.name;
        let planned = plan
            .host(name)
            .filter(|host| host.action == HostAction::Update);
        if let (Some(planned), Some(Ok(facts))) = (planned, looks.get(name)) {
            let config = config((&job, &plan), facts, looks, &member.config);
            hosts.insert(
                name.clone(),
                host(&job, &plan, member, (planned, facts, config)),
            );
        }
    }
    let (hooks, failed) = plan
        .resumed
        .as_ref()
        .map_or_else(Default::default, |resumed| {
            (resumed.hooks.clone(), resumed.failed.clone())
        });
    let resumed = plan.resumed.as_ref();
    let going_back = resumed.is_some_and(|resumed| resumed.course != Course::Forward);
    let balancers = |host: &HostContext| {
        let targets = host.spec.traffic.iter();
        targets.map(|target| target.balancer.clone()).collect()
    };
    let behind = hosts
        .iter()
        .map(|(name, host)| (name.clone(), balancers(host)))
        .collect();
    let traffic = Traffic::new(
        world.balancers.clone(),
        inspect::pools(&job),
        &behind,
        Arc::clone(&leases),
    );
    Context {
        job,
        world,
        plan,
        emitter,
        leases,
        traffic,
        hosts,
        hooks_before: ended_before(&hooks),
        going_back: AtomicBool::new(going_back),
        hooks: Mutex::new(hooks),
        failed: Mutex::new(failed),
    }
}

fn host(
    job: &Job,
    plan: &Plan,
    member: &Member,
    (planned, facts, config): (&PlannedHost, &HostFacts, Sha256),
) -> HostContext {
    let target = Target {
        revision: plan.revision,
        version: job.version.clone(),
        sha256: job.artifact.sha256.clone(),
        config,
    };
    let root = &member.spec.root;
    HostContext {
        spec: member.spec.clone(),
        planned: planned.clone(),
        facts: facts.clone(),
        release: release::known_ref(root, facts, plan.revision, &job.version),
        target,
        state: Mutex::new(ledger(job, root, (planned, facts))),
    }
}

fn ledger(job: &Job, root: &str, (planned, facts): (&PlannedHost, &HostFacts)) -> HostLedger {
    let mut ledger = HostLedger {
        found: planned.found.clone(),
        was_cut: !cut_before(planned).is_empty(),
        cut: cut_before(planned),
        runs: planned.current.clone(),
        ..HostLedger::default()
    };
    if let Some(record) = job.earlier_record(facts) {
        ledger.swapped = record.swapped;
        ledger.step = record.step;
        // What runs is known better from the rollout's own plan, where it is that.
        let runs = release::running(root, facts);
        let dir =
            |release: &Option<ReleaseRef>| release.as_ref().map(|release| release.dir.clone());
        if dir(&runs) != dir(&planned.current) {
            ledger.runs = runs;
        }
    }
    ledger
}

/// Servers that are in maintenance and were found ready: an earlier attempt put them there, since clients stuck to them.
fn cut_before(planned: &PlannedHost) -> Vec<FoundTraffic> {
    let is_maint = |entry: &&FoundTraffic| {
        entry.admin == Admin::Ready
            && planned.traffic.iter().any(|now| {
                entry.is_at(&now.balancer, &now.pool, &now.server)
                    && now.state == TrafficState::Maint
            })
    };
    planned.found.iter().filter(is_maint).cloned().collect()
}

/// What else reaches the process: of an old revision, what it was then. On a host that never had it, what it was elsewhere: today's files
/// say nothing about it.
fn config(
    (job, plan): (&Job, &Plan),
    facts: &HostFacts,
    looks: &HostLooks,
    now: &Sha256,
) -> Sha256 {
    if let Some(record) = job.earlier_record(facts) {
        return record.target.config.clone();
    }
    if job.undo.is_none() {
        return now.clone();
    }
    let then = |facts: &HostFacts| {
        let mut lines = facts.revisions.iter();
        let line = lines.find(|line| line.revision == plan.revision);
        line.and_then(|line| line.config.clone())
    };
    let elsewhere = || looks.values().flatten().filter_map(then);
    // Of hosts that differ, one that had files tells more than one that had none.
    let with_files = || elsewhere().find(|config| config.as_str() != NO_CONFIG);
    then(facts)
        .or_else(with_files)
        .or_else(|| elsewhere().next())
        .unwrap_or_else(|| now.clone())
}

fn ended_before(hooks: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let only_warns = |key: &str| key.contains(":on-failure:") || key.contains(":on-revert:");
    let ended = hooks
        .iter()
        .filter(|(key, ended)| **ended && !only_warns(key));
    ended.map(|(key, _)| key.clone()).collect()
}
