//! One look at all hosts and balancers, one round trip each, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;

use super::locks;
use super::{Job, Member, World};
use crate::drivers::host::{HostError, LockWish};
use crate::drivers::transport::TransportError;
use crate::model::record::FORMAT;
use crate::model::{
    BalancerName, BalancerSeen, Become, HostFacts, HostName, PoolName, Proof, RecordSeen,
    RecordStep, ReleaseRef, RevisionLine, RevisionOutcome, Rights,
};
use crate::plan::{Facts, HostView, Plan, make, release};

/// What every host said.
pub(super) type HostLooks = BTreeMap<HostName, Result<HostFacts, HostError>>;

/// A look, and what came of it.
#[derive(Debug)]
pub struct Look {
    /// What was seen.
    pub facts: Facts,
    /// The plan made from it.
    pub plan: Plan,
    /// The lock or unfinished rollout that is in the way, if any.
    pub in_the_way: Option<String>,
}

/// Looks without touching anything: what `plan` and `deploy --dry-run` show.
pub async fn look(job: &Job, world: &World) -> Look {
    let mut hosts = hosts(job, world, |_| LockWish::Look).await;
    learn_from_records(&mut hosts);
    let in_the_way = locks::in_the_way(job, world, &hosts);
    let (facts, problems) = facts(job, world, hosts).await;
    let plan = plan(&facts, problems);
    Look {
        facts,
        plan,
        in_the_way,
    }
}

/// What each reachable host has to allow, or why that could not be told. Nothing is touched.
pub async fn rights(
    job: &Job,
    world: &World,
    look: &Look,
) -> Vec<(HostName, Become, Result<Rights, String>)> {
    let revision = look.plan.revision;
    let reachable = |view: &&HostView| view.selected && view.facts.is_ok();
    let one = |view: &HostView| {
        let (name, r#become) = (view.spec.name.clone(), view.spec.ssh.r#become);
        let folder = release::folder(revision, &job.version);
        let target = ReleaseRef {
            revision,
            version: Some(job.version.clone()),
            dir: format!("{}/releases/{folder}", view.spec.root),
        };
        let run = world.recipes.run(&name, &target);
        let ports = world.hosts.get(&name).cloned();
        async move {
            let result = match (run, ports) {
                (Ok(run), Some(ports)) => {
                    let looked = ports.driver.prepare(&run, revision).await;
                    looked.map_err(|error| explain(&error))
                }
                (Err(reason), _) => Err(reason),
                (Ok(_), None) => Err("is not connected".to_owned()),
            };
            (name, r#become, result)
        }
    };
    join_all(look.facts.hosts.iter().filter(reachable).map(one)).await
}

/// Looks without touching anything, for commands that only show what is there. The second value names balancers that could not be read.
pub async fn observe(job: &Job, world: &World) -> (Facts, Vec<String>) {
    let mut hosts = hosts(job, world, |_| LockWish::Look).await;
    learn_from_records(&mut hosts);
    facts(job, world, hosts).await
}

/// The plan, with what could not even be looked at among its refusals.
pub(super) fn plan(facts: &Facts, problems: Vec<String>) -> Plan {
    let mut plan = make(facts);
    for problem in problems {
        if !plan.refused.contains(&problem) {
            plan.refused.push(problem);
        }
    }
    plan
}

/// Asks every host of the fleet, with the wish that it has about its lock.
pub(super) async fn hosts(
    job: &Job,
    world: &World,
    wish: impl Fn(&Member) -> LockWish,
) -> HostLooks {
    let one = |member: &Member| {
        let wish = wish(member);
        let name = member.spec.name.clone();
        let ports = world.hosts.get(&name).cloned();
        async move {
            let result = match ports {
                Some(ports) => ports.driver.inspect(&wish).await,
                None => Err(HostError::Failed {
                    what: "is not connected".to_owned(),
                    output: Vec::new(),
                }),
            };
            (name, result)
        }
    };
    join_all(job.fleet.iter().map(one))
        .await
        .into_iter()
        .collect()
}

/// A rollout that did not end has written no line about its revision yet; its record tells the same. So what it brought keeps its number,
/// and is not brought again.
pub(super) fn learn_from_records(hosts: &mut HostLooks) {
    for facts in hosts.values_mut().flatten() {
        let RecordSeen::Read(record) = &facts.record else {
            continue;
        };
        let target = &record.target;
        let known = |line: &RevisionLine| line.revision == target.revision;
        if facts.revisions.iter().any(known) {
            continue;
        }
        facts.revisions.push(RevisionLine {
            v: FORMAT,
            revision: target.revision,
            version: Some(target.version.clone()),
            sha256: Some(target.sha256.clone()),
            config: Some(target.config.clone()),
            dir: release::folder(target.revision, &target.version),
            by: record.by.clone(),
            from: String::new(),
            at: record.started,
            outcome: match record.step {
                RecordStep::Planned | RecordStep::Drain => RevisionOutcome::Staged,
                RecordStep::Swap
                | RecordStep::Enable
                | RecordStep::Passed
                | RecordStep::SwapBack
                | RecordStep::Restore
                | RecordStep::Stranded => RevisionOutcome::Active,
            },
            good: false,
            rollout: Some(record.rollout.clone()),
        });
    }
}

/// Reads balancers and readiness side by side, and puts everything together. The second value names what could not be looked at.
pub(super) async fn facts(job: &Job, world: &World, hosts: HostLooks) -> (Facts, Vec<String>) {
    let (balancers, proofs) = futures::join!(balancers(job, world), proofs(job, world, &hosts));
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    for (name, result) in balancers {
        match result {
            Ok(balancer) => {
                seen.insert(name, balancer);
            }
            Err(reason) => problems.push(reason),
        }
    }
    let views = job
        .fleet
        .iter()
        .map(|member| view(member, &hosts, &proofs))
        .collect();
    let facts = Facts {
        service: job.service.clone(),
        version: job.version.clone(),
        sha256: job.artifact.sha256.clone(),
        size: job.artifact.size,
        hosts: views,
        balancers: seen,
        strategy: job.strategy.clone(),
        tools: job.tools.clone(),
        version_checked: job.ready.version.is_some(),
        wishes: job.wishes,
        resumes: job.resumes.clone(),
        undo: job.undo,
    };
    (facts, problems)
}

fn view(member: &Member, hosts: &HostLooks, proofs: &BTreeMap<HostName, Proof>) -> HostView {
    let facts = match hosts.get(&member.spec.name) {
        Some(Ok(facts)) => Ok(facts.clone()),
        Some(Err(error)) => Err(explain(error)),
        None => Err("was not looked at".to_owned()),
    };
    let is_away = matches!(
        hosts.get(&member.spec.name),
        Some(Err(HostError::Transport(
            TransportError::Unreachable { .. }
                | TransportError::Lost { .. }
                | TransportError::Timeout { .. }
        )))
    );
    HostView {
        spec: member.spec.clone(),
        selected: member.selected,
        facts,
        is_away,
        proof: proofs.get(&member.spec.name).cloned().unwrap_or_default(),
        config: member.config.clone(),
    }
}

/// An error of a host with its hint, on one line.
pub(super) fn explain(error: &HostError) -> String {
    let hint = match error {
        HostError::Transport(error) => error.hint().map(|hint| format!("; {hint}")),
        HostError::Failed { output, .. } if !output.is_empty() => {
            Some(format!(": {}", output.join(" / ")))
        }
        HostError::Failed { .. } | HostError::Fenced { .. } | HostError::Garbled { .. } => None,
    };
    format!("{error}{}", hint.unwrap_or_default())
}

/// The pools that the playbook's hosts use, by balancer.
pub(super) fn pools(job: &Job) -> BTreeMap<BalancerName, Vec<PoolName>> {
    let mut pools: BTreeMap<BalancerName, BTreeSet<PoolName>> = BTreeMap::new();
    for member in &job.fleet {
        for target in &member.spec.traffic {
            pools
                .entry(target.balancer.clone())
                .or_default()
                .insert(target.pool.clone());
        }
    }
    pools
        .into_iter()
        .map(|(name, pools)| (name, pools.into_iter().collect()))
        .collect()
}

async fn balancers(job: &Job, world: &World) -> Vec<(BalancerName, Result<BalancerSeen, String>)> {
    let one = |(name, pools): (BalancerName, Vec<PoolName>)| {
        let port = world.balancers.get(&name).cloned();
        async move {
            let Some(port) = port else {
                let reason = format!("balancer `{name}` is not connected");
                return (name, Err(reason));
            };
            let result = port
                .driver
                .observe(&pools)
                .await
                .map_err(|error| error.to_string());
            (name, result)
        }
    };
    join_all(pools(job).into_iter().map(one)).await
}

/// Asks the readiness of each chosen host once, before the first change (F5).
async fn proofs(job: &Job, world: &World, hosts: &HostLooks) -> BTreeMap<HostName, Proof> {
    let chosen = job
        .fleet
        .iter()
        .filter(|member| member.selected && matches!(hosts.get(&member.spec.name), Some(Ok(_))));
    let one = |member: &Member| {
        let name = member.spec.name.clone();
        let probe = world.hosts.get(&name).map(|ports| Arc::clone(&ports.probe));
        async move {
            let answer = match probe {
                Some(probe) => probe.ask(job.ready.timeout).await,
                None => crate::model::ProbeAnswer::default(),
            };
            let ready = answer
                .status
                .is_some_and(|status| job.ready.status.contains(&status));
            (
                name,
                Proof {
                    ready,
                    status: answer.status,
                    version: answer.version,
                },
            )
        }
    };
    join_all(chosen.map(one)).await.into_iter().collect()
}
