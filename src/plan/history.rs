//! The revisions of the fleet: the document of `history --output json` (F15). Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Facts, release};
use crate::model::{
    HostName, Revision, RevisionLine, RevisionOutcome, RolloutId, ServiceName, Sha256, Version,
};

/// The format of the document that this version writes.
pub const FORMAT: u32 = 1;

/// Every revision that a host knows, newest first. Fields are added, never changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryDocument {
    /// Format version: [`FORMAT`].
    pub v: u32,
    /// Which service.
    pub service: ServiceName,
    /// Newest first.
    pub revisions: Vec<HistoryRevision>,
    /// Hosts that could not be looked at, and why.
    pub problems: Vec<String>,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryRevision {
    /// Its number; 0 for what was found.
    pub revision: Revision,
    /// Its version, where known.
    pub version: Option<Version>,
    /// Digest of its artifact; `None` for what was found.
    pub sha256: Option<Sha256>,
    /// Digests of what else reaches the process, on any host.
    pub configs: BTreeSet<Sha256>,
    /// When it was staged or last changed its outcome.
    pub at: Timestamp,
    /// Who rolled it out.
    pub by: String,
    /// Where its artifact came from.
    pub from: String,
    /// How its last rollout ended.
    pub outcome: RevisionOutcome,
    /// Which rollout that was.
    pub rollout: Option<RolloutId>,
    /// Hosts that know it.
    pub hosts: Vec<HostName>,
    /// Whether it ever ended a rollout well.
    pub good: bool,
    /// Whether a host runs it now.
    pub current: bool,
    /// The hosts that run it now.
    pub running: Vec<HostName>,
    /// The hosts where its files lie.
    pub staged: Vec<HostName>,
    /// Whether hosts know different releases under this number; it cannot be undone to then.
    pub ambiguous: bool,
}

/// Puts the document together.
pub fn history(facts: &Facts, problems: Vec<String>) -> HistoryDocument {
    let mut revisions: BTreeMap<Revision, HistoryRevision> = BTreeMap::new();
    for host in &facts.hosts {
        let Ok(seen) = &host.facts else { continue };
        let running = release::running(&host.spec.root, seen).map(|release| release.revision);
        for line in &seen.revisions {
            let entry = revisions
                .entry(line.revision)
                .or_insert_with(|| first(line));
            learn(entry, line);
            let name = &host.spec.name;
            entry.hosts.push(name.clone());
            if running == Some(line.revision) {
                entry.current = true;
                entry.running.push(name.clone());
            }
            let is_staged = line.revision == Revision::FOUND || seen.releases.contains(&line.dir);
            if is_staged {
                entry.staged.push(name.clone());
            }
        }
    }
    let mut unseen = facts.hosts.iter().filter_map(|host| {
        let reason = host.facts.as_ref().err()?;
        Some(format!("host `{}`: {reason}", host.spec.name))
    });
    let problems = problems.into_iter().chain(unseen.by_ref()).collect();
    HistoryDocument {
        v: FORMAT,
        service: facts.service.clone(),
        revisions: revisions.into_values().rev().collect(),
        problems,
    }
}

fn first(line: &RevisionLine) -> HistoryRevision {
    HistoryRevision {
        revision: line.revision,
        version: line.version.clone(),
        sha256: line.sha256.clone(),
        configs: BTreeSet::new(),
        at: line.at,
        by: line.by.clone(),
        from: line.from.clone(),
        outcome: line.outcome,
        rollout: line.rollout.clone(),
        hosts: Vec::new(),
        good: false,
        current: false,
        running: Vec::new(),
        staged: Vec::new(),
        ambiguous: false,
    }
}

/// Hosts may differ in how it went there; the last word counts.
fn learn(entry: &mut HistoryRevision, line: &RevisionLine) {
    entry.good |= line.good
        || matches!(
            line.outcome,
            RevisionOutcome::Succeeded | RevisionOutcome::Undone | RevisionOutcome::Found
        );
    entry.configs.extend(line.config.clone());
    let is_found = line.revision == Revision::FOUND;
    entry.ambiguous |= !is_found && (entry.version != line.version || entry.sha256 != line.sha256);
    let later = (&line.rollout, line.at) > (&entry.rollout, entry.at);
    // One that only lies there says nothing about how it went elsewhere.
    let says_more = entry.outcome == RevisionOutcome::Staged;
    if line.outcome != RevisionOutcome::Staged && (later || says_more) {
        entry.at = line.at;
        entry.by.clone_from(&line.by);
        if !line.from.is_empty() {
            entry.from.clone_from(&line.from);
        }
        entry.outcome = line.outcome;
        entry.rollout.clone_from(&line.rollout);
    }
}
