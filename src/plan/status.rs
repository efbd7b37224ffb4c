//! How the fleet stands: the document of `status --output json` (F15), and whether all is well (F13). Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::standing::{Standing, found_traffic, holds_out, standing};
use super::{Facts, HostView, release};
use crate::model::{
    Admin, HostFacts, HostName, LockOwner, LockSeen, Record, RecordStep, Revision, RolloutId,
    ServiceName, TrafficSeen, Version,
};

/// The format of the document that this version writes.
pub const FORMAT: u32 = 1;

/// How the fleet stands. Fields are added, never changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusDocument {
    /// Format version: [`FORMAT`].
    pub v: u32,
    /// Which service.
    pub service: ServiceName,
    /// Whether all hosts run one release, are ready, and in traffic or out by an operator's hand.
    pub well: bool,
    /// A rollout that has not ended, under way or cut off.
    pub rollout: Option<StatusRollout>,
    /// A lock that is held.
    pub lock: Option<StatusLock>,
    /// Every host of the playbook.
    pub hosts: Vec<StatusHost>,
    /// What could not be looked at.
    pub problems: Vec<String>,
}

/// A rollout that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusRollout {
    /// Which one.
    pub rollout: RolloutId,
    /// `deploy`, `undo`, `abort`.
    pub command: String,
    /// To which revision.
    pub revision: Revision,
    /// To which version.
    pub version: Version,
    /// Who began it.
    pub by: String,
    /// When.
    pub started: Timestamp,
    /// Which process of it wrote last.
    pub attempt: u32,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusLock {
    /// By which rollout, or the id of a lock by hand.
    pub rollout: Option<RolloutId>,
    /// `deploy`, `lock`, ….
    pub command: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// Since when, by the holder's clock.
    pub since: Option<Timestamp>,
    /// A person's words, for a lock by hand.
    pub message: Option<String>,
    /// Seconds since it was last renewed, by the host's clock; the least of all hosts.
    pub renewed: u64,
    /// On which hosts.
    pub hosts: Vec<HostName>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusHost {
    /// Which host.
    pub host: HostName,
    /// The number of what it runs; `None`: nothing, or it was not looked at.
    pub revision: Option<Revision>,
    /// Its version, where known.
    pub version: Option<String>,
    /// Whether its readiness answered with a status that counts.
    pub ready: bool,
    /// Its state in each balancer.
    pub traffic: Vec<TrafficSeen>,
    /// How far an unfinished rollout is there.
    pub step: Option<RecordStep>,
    /// Whether a person is needed.
    pub stranded: Option<Stranded>,
    /// Why it could not be looked at.
    pub error: Option<String>,
}

/// A host that a rollout left for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stranded {
    /// What was seen.
    pub seen: String,
    /// The commands to mend it.
    pub mend: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

/// Puts the document together.
pub fn status(facts: &Facts, problems: Vec<String>) -> StatusDocument {
    let hosts: Vec<StatusHost> = facts.hosts.iter().map(|host| one(facts, host)).collect();
    StatusDocument {
        v: FORMAT,
        service: facts.service.clone(),
        well: problems.is_empty() && is_well(facts, &hosts),
        rollout: rollout(facts),
        lock: lock(facts),
        hosts,
        problems,
    }
}

fn one(facts: &Facts, host: &HostView) -> StatusHost {
    let seen = host.facts.as_ref().ok();
    let running = seen.and_then(|seen| release::running(&host.spec.root, seen));
    let shown = host.proof.version.clone();
    let record = seen.and_then(|seen| seen.record.read());
    let known = running
        .as_ref()
        .and_then(|release| release.version.as_ref());
    let stranded = record.and_then(|record| record.stranded.as_ref());
    StatusHost {
        host: host.spec.name.clone(),
        revision: running.as_ref().map(|release| release.revision),
        version: known.map(ToString::to_string).or(shown),
        ready: host.proof.ready,
        traffic: super::make::traffic(facts, host),
        step: record
            .filter(|record| is_open(facts, record))
            .map(|record| record.step),
        stranded: stranded.map(|note| Stranded {
            seen: note.seen.clone(),
            mend: note.mend.clone(),
            since: note.since,
        }),
        error: host.facts.as_ref().err().cloned(),
    }
}

/// Whether the record is one of a rollout that no host knows as ended.
fn is_open(facts: &Facts, record: &Record) -> bool {
    let mut lines = views(facts).flat_map(|seen| &seen.rollouts);
    record.stranded.is_none() && !lines.any(|line| line.id == record.rollout)
}

fn views(facts: &Facts) -> impl Iterator<Item = &HostFacts> {
    facts
        .hosts
        .iter()
        .filter_map(|host| host.facts.as_ref().ok())
}

fn rollout(facts: &Facts) -> Option<StatusRollout> {
    let records = views(facts).filter_map(|seen| seen.record.read());
    let newest = records
        .filter(|record| is_open(facts, record))
        .max_by(|a, b| (&a.rollout, a.attempt).cmp(&(&b.rollout, b.attempt)))?;
    Some(StatusRollout {
        rollout: newest.rollout.clone(),
        command: newest.command.clone(),
        revision: newest.target.revision,
        version: newest.target.version.clone(),
        by: newest.by.clone(),
        started: newest.started,
        attempt: newest.attempt,
    })
}

/// The exit code with which the newest rollout ended; `None` when no host knows of one.
pub fn last_exit(facts: &Facts) -> Option<u8> {
    let lines = views(facts).flat_map(|seen| &seen.rollouts);
    let newest = lines.max_by(|a, b| (&a.id, a.at).cmp(&(&b.id, b.at)))?;
    Some(newest.exit_code)
}

fn lock(facts: &Facts) -> Option<StatusLock> {
    let held = facts.hosts.iter().filter_map(|host| {
        let seen = host.facts.as_ref().ok()?;
        match &seen.lock {
            LockSeen::Held { owner, age, .. } => {
                Some((&host.spec.name, owner.as_deref(), age.as_secs()))
            }
            LockSeen::Free | LockSeen::Ours => None,
        }
    });
    let held: Vec<(&HostName, Option<&LockOwner>, u64)> = held.collect();
    // Of several the one that was renewed last: it lives.
    let (_, owner, renewed) = held.iter().min_by_key(|(_, _, age)| *age)?;
    let same = |other: Option<&LockOwner>| {
        other.map(|owner| &owner.rollout) == owner.map(|owner| &owner.rollout)
    };
    let hosts = held.iter().filter(|(_, other, _)| same(*other));
    Some(StatusLock {
        rollout: owner.map(|owner| owner.rollout.clone()),
        command: owner.map(|owner| owner.command.clone()),
        by: owner.map(|owner| owner.by.clone()),
        since: owner.map(|owner| owner.since),
        message: owner.and_then(|owner| owner.message.clone()),
        renewed: *renewed,
        hosts: hosts.map(|(host, ..)| (*host).clone()).collect(),
    })
}

fn is_well(facts: &Facts, hosts: &[StatusHost]) -> bool {
    let Some(first) = hosts.first() else {
        return true;
    };
    let same = hosts
        .iter()
        .all(|host| host.revision == first.revision && host.version == first.version);
    let artifacts = facts.hosts.iter().map(|host| {
        let seen = host.facts.as_ref().ok()?;
        let revision = release::running(&host.spec.root, seen)?.revision;
        let line = seen
            .revisions
            .iter()
            .rfind(|line| line.revision == revision);
        line.and_then(|line| line.sha256.clone())
    });
    let artifacts: std::collections::BTreeSet<_> = artifacts.collect();
    let held_out = |seen: &HostFacts| {
        let record = seen.record.read();
        record.is_some_and(|record| is_open(facts, record) && holds_out(record.step))
    };
    same && first.revision.is_some()
        && !views(facts).any(held_out)
        && artifacts.len() <= 1
        && hosts
            .iter()
            .all(|host| host.ready && host.stranded.is_none())
        && facts.hosts.iter().all(|host| is_in_place(facts, host))
}

/// In traffic on every balancer, or out where an operator wants it so.
fn is_in_place(facts: &Facts, host: &HostView) -> bool {
    let found = found_traffic(facts, host);
    if standing(facts, host, &found) == Standing::Sick {
        return false;
    }
    host.spec.traffic.iter().all(|target| {
        facts.server(target).is_some_and(|seen| {
            let ours = found.iter().any(|entry| {
                entry.is_at(&target.balancer, &target.pool, &target.server)
                    && entry.admin == Admin::Ready
            });
            seen.usable || seen.admin != Admin::Ready && !ours
        })
    })
}
