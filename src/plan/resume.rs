//! Going on with a rollout that was cut off, or back from it: what its hosts' records tell about the whole of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, HostView};
use crate::model::{
    HostFacts, HostName, Outcome, Record, RecordSeen, ReleaseRef, Revision, RolloutId, RolloutLine,
};

/// What a person wants of a rollout that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// `resume`: to the end that it would have had.
    Finish,
    /// `abort`: back to what was there before it.
    Revert,
}

/// What to do about a hook that was begun and is not known to have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HookDoubt {
    /// Stop before it: nobody but a person knows.
    #[default]
    Stop,
    /// It was done.
    Done,
    /// It is to run again.
    Again,
}

/// A rollout that is gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumes {
    /// As the hosts' records name it.
    pub rollout: RolloutId,
    /// Where to.
    pub goal: Goal,
    /// A digest for each key of the playbook as it is now.
    pub keys: BTreeMap<String, String>,
    /// Whether a playbook that changed since is accepted.
    pub accept_changes: bool,
    /// About hooks that may have run.
    pub doubt: HookDoubt,
    /// Whether it was known as ended when it was taken up, and so goes by an id of its own.
    pub ended: bool,
}

/// Which way a rollout that is gone on with goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// Its remaining batches follow.
    Forward,
    /// It had failed, for this reason: what was under way goes back, and no new host starts.
    Failed(String),
    /// It had ended for this reason, before all its hosts had their turn: only its last words are said.
    Ended(String),
    /// Everything that it changed goes back.
    Revert,
}

/// What the hosts' records tell about the whole rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// Which way it goes.
    pub course: Course,
    /// The number of its release.
    pub revision: Revision,
    /// Hosts that had failed.
    pub failed: Vec<HostName>,
    /// Hooks begun (`true`: ended too), as the person who goes on decided about those in doubt.
    pub hooks: BTreeMap<String, bool>,
    /// The batches of its plan.
    pub batches: Vec<Vec<HostName>>,
}

/// Where a host's passage begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At its first step.
    First,
    /// The new release runs and has proven itself: from its proof on.
    Proof,
    /// It goes back. `swap`: the release before must be swapped in again; `reverted`: its swap was, or is, taken back.
    Back {
        /// Whether the release before must be swapped in again.
        swap: bool,
        /// Whether the new release was ever begun to be swapped in.
        reverted: bool,
    },
    /// It had passed its gate.
    Passed,
    /// Nothing is done there any more.
    Rest,
    /// A person is needed: why.
    Stranded(String),
}

/// The record that `host` holds of the rollout that is gone on with.
pub fn record<'a>(facts: &Facts, host: &'a HostView) -> Option<&'a Record> {
    let resumes = facts.resumes.as_ref()?;
    record_of(&resumes.rollout, host.facts.as_ref().ok()?)
}

fn record_of<'a>(rollout: &RolloutId, seen: &'a HostFacts) -> Option<&'a Record> {
    match &seen.record {
        RecordSeen::Read(record) if record.rollout == *rollout => Some(record),
        RecordSeen::Read(_) | RecordSeen::Corrupt(_) | RecordSeen::Absent => None,
    }
}

/// Puts together what the records tell; `None` when nothing is gone on with, or no host knows of it.
pub fn resumed(facts: &Facts) -> Option<Resumed> {
    let resumes = facts.resumes.as_ref()?;
    let goal = resumes.goal;
    let records: Vec<&Record> = facts
        .hosts
        .iter()
        .filter_map(|host| record(facts, host))
        .collect();
    let newest = records.iter().max_by_key(|record| record.attempt)?;
    let failed: BTreeSet<HostName> = records
        .iter()
        .flat_map(|record| record.failed.iter().cloned())
        .collect();
    let mut hooks = BTreeMap::new();
    for (key, ended) in records.iter().flat_map(|record| &record.hooks) {
        *hooks.entry(key.clone()).or_default() |= *ended;
    }
    match resumes.doubt {
        HookDoubt::Stop => {}
        HookDoubt::Done => hooks.values_mut().for_each(|ended| *ended = true),
        HookDoubt::Again => hooks.retain(|_, ended| *ended),
    }
    let going_back = records.iter().any(|record| record.going_back);
    let course = if goal == Goal::Revert || records.iter().any(|record| record.command == "abort") {
        Course::Revert
    } else if going_back {
        Course::Failed("it had failed before, and was going back".to_owned())
    } else {
        forward_or_failed(facts, &failed)
    };
    Some(Resumed {
        course,
        revision: newest.target.revision,
        failed: failed.into_iter().collect(),
        hooks,
        batches: newest.batches.clone(),
    })
}

fn forward_or_failed(facts: &Facts, failed: &BTreeSet<HostName>) -> Course {
    if let Some(outcome) = end(facts).filter(|outcome| *outcome != Outcome::Succeeded.as_str()) {
        let reason = format!("it had ended as {outcome} on other hosts");
        return if outcome == Outcome::Partial.as_str() {
            Course::Ended(reason)
        } else {
            Course::Failed(reason)
        };
    }
    // Hosts that were out of traffic before it do not count (F8).
    let counts = |name: &&HostName| {
        let host = facts.hosts.iter().find(|host| host.spec.name == **name);
        host.and_then(|host| record(facts, host))
            .is_none_or(was_in_traffic)
    };
    let counted = failed.iter().filter(counts).count();
    let allowed = usize::try_from(facts.strategy.max_failures).unwrap_or(usize::MAX);
    if counted > allowed {
        let names: Vec<&str> = failed.iter().map(HostName::as_str).collect();
        return Course::Failed(format!("it had failed before ({})", names.join(", ")));
    }
    Course::Forward
}

/// How the rollout ended, where some host knows it as ended: then only its last words to the others were cut off.
pub(super) fn end(facts: &Facts) -> Option<&str> {
    let resumes = facts.resumes.as_ref()?;
    let seen = facts
        .hosts
        .iter()
        .filter_map(|host| host.facts.as_ref().ok());
    let mut lines = seen.flat_map(|seen| &seen.rollouts);
    let line = lines.find(|line| line.id == resumes.rollout)?;
    Some(line.outcome.as_str())
}

/// Whether the host was in traffic when the rollout's plan was made.
pub fn was_in_traffic(record: &Record) -> bool {
    record.found.iter().any(|entry| entry.usable)
}

/// What a revert goes back to.
pub fn before(record: &Record) -> Option<ReleaseRef> {
    record.before.as_ref().map(|before| ReleaseRef {
        revision: before.revision,
        version: before.version.clone(),
        dir: before.dir.clone(),
    })
}

/// What is in the way of going on.
pub fn refusals(facts: &Facts, resumed: &Resumed) -> Vec<String> {
    let mut reasons = Vec::new();
    let Some(resumes) = &facts.resumes else {
        return reasons;
    };
    if end(facts).is_some() && !resumes.ended {
        reasons.push("the rollout has ended meanwhile; run the command again".to_owned());
    }
    if resumed.course == Course::Forward
        && !resumes.ended
        && let Some((host, line)) = superseded(facts, resumed, &resumes.rollout)
    {
        reasons.push(format!(
            "the fleet has moved on since: {} {} ended as {} on host `{host}`; `rollgate abort` takes back what this one left behind",
            line.command, line.id, line.outcome
        ));
    }
    let mut changed = BTreeSet::new();
    for host in &facts.hosts {
        let Some(record) = record(facts, host) else {
            continue;
        };
        let target = &record.target;
        let same = target.revision == resumed.revision && target.version == facts.version;
        if !same || target.sha256 != facts.sha256 {
            reasons.push(format!("host `{}` holds a record of this rollout about revision {} (version {}), others about revision {} (version {})", host.spec.name, target.revision, target.version, resumed.revision, facts.version));
        }
        if resumed.course == Course::Forward {
            if target.config != host.config && facts.undo.is_none() {
                reasons.push(format!("host `{}`: what the release is made of besides its artifact has changed in the playbook or inventory; put it back, or `rollgate abort` and deploy anew", host.spec.name));
            }
            changed.extend(changed_keys(&record.keys, &resumes.keys));
        }
    }
    if !changed.is_empty() && !resumes.accept_changes {
        let keys: Vec<String> = changed.into_iter().collect();
        reasons.push(format!(
            "the playbook changed since the rollout began ({}); put it back, or go on with what it says now by `--accept-changes`",
            keys.join(", ")
        ));
    }
    reasons
}

/// A later rollout that ended on one of this one's hosts.
fn superseded<'a>(
    facts: &'a Facts,
    resumed: &Resumed,
    rollout: &RolloutId,
) -> Option<(&'a HostName, &'a RolloutLine)> {
    let is_member = |name: &HostName| {
        resumed
            .batches
            .iter()
            .flatten()
            .any(|member| member == name)
    };
    let members = facts.hosts.iter().filter(|host| is_member(&host.spec.name));
    let mut later = members.filter_map(|host| {
        let seen = host.facts.as_ref().ok()?;
        let line = seen.rollouts.iter().find(|line| line.id > *rollout)?;
        Some((&host.spec.name, line))
    });
    later.next()
}

fn changed_keys(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    keys.into_iter()
        .filter(|key| then.get(*key) != now.get(*key))
        .cloned()
        .collect()
}
