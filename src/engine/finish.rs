//! What is left on every host when the run ends: revisions, records, pruning, locks; and what the last event says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::context::{Context, HostContext};
use super::inspect::HostLooks;
use super::worker::HostReport;
use super::{Job, World};
use crate::cycle::Ending;
use crate::drivers::host::{FinishOrder, HostError, RecordEnd};
use crate::model::record::FORMAT;
use crate::model::{
    Admin, HostFacts, HostName, LockSeen, Outcome, Record, RecordSeen, RecordStep, RevisionLine,
    RevisionOutcome, RolloutLine, TrafficState,
};
use crate::plan::{HostAction, Standing, Start, release};

/// A host that does not answer at the very end is tried again this often; its lock is known as ended by the others anyway.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// How every host of the run ended.
pub(super) type Reports = BTreeMap<HostName, HostReport>;

/// Whether the run's end is worth a line in the hosts' history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// It is: something was changed.
    Line,
    /// It is not: nothing was changed, or the rollout has not ended and can be resumed.
    Nothing,
}

/// Writes what outlives the run on every host that is locked, and releases the locks. Returns the hosts that were released, and a
/// sentence for each that was not.
pub(super) async fn close(
    context: &Arc<Context>,
    looks: &HostLooks,
    reports: &Reports,
    (outcome, history): (Outcome, History),
) -> (Vec<HostName>, Vec<String>) {
    let ours = looks.iter().filter_map(|(name, look)| {
        look.as_ref()
            .ok()
            .filter(|facts| facts.lock == LockSeen::Ours)
            .map(|facts| (name, facts))
    });
    let one = |(name, facts): (&HostName, &HostFacts)| {
        let order = order(context, name, facts, reports.get(name), (outcome, history));
        let (context, name) = (Arc::clone(context), name.clone());
        async move {
            let result = deliver(&context, &name, &order).await;
            (name, result)
        }
    };
    let mut released = Vec::new();
    let mut complaints = Vec::new();
    // A look whose answer was lost may have taken the lock all the same.
    let doubtful = looks.iter().filter(|(_, look)| look.is_err());
    let doubtful: HostLooks = doubtful
        .map(|(name, look)| (name.clone(), look.clone()))
        .collect();
    let (ended, _) = futures::join!(
        join_all(ours.map(one)),
        super::locks::give_back(&context.world, &doubtful)
    );
    for (name, result) in ended {
        match result {
            Ok(()) => released.push(name),
            Err(error) => complaints.push(format!(
                "host `{name}`: its records could not be closed ({error}); the next run does it"
            )),
        }
    }
    (released, complaints)
}

async fn deliver(context: &Context, name: &HostName, order: &FinishOrder) -> Result<(), HostError> {
    let Some(ports) = context.ports(name) else {
        return Ok(());
    };
    let mut tries = 0;
    // A renewal under way may find the lock gone from here on.
    context.leases.retire(name);
    loop {
        tries += 1;
        let result = ports.driver.finish(order).await;
        if let Err(HostError::Fenced { holder }) = &result
            && tries == 1
        {
            // Nothing of ours has released it yet: somebody else has.
            context.leases.taken_away(name, holder.as_deref());
        }
        match result {
            Err(HostError::Transport(_)) if tries < TRIES => tokio::time::sleep(PAUSE).await,
            // The answer to a try that was lost may have been "done": then the lock is no longer ours, and may be another's by now.
            Err(HostError::Fenced { .. }) if tries > 1 => return Ok(()),
            result => return result,
        }
    }
}

fn order(
    context: &Context,
    name: &HostName,
    facts: &HostFacts,
    report: Option<&HostReport>,
    (outcome, history): (Outcome, History),
) -> FinishOrder {
    let line = RolloutLine {
        v: FORMAT,
        id: context.job.rollout.clone(),
        command: context.job.command.clone(),
        outcome: outcome.as_str().to_owned(),
        exit_code: outcome.exit_status_of(&context.job.command).code(),
        at: context.world.clock.wall(),
        revision: Some(context.revision()),
    };
    let rollout = (history == History::Line).then_some(line);
    let Some(host) = context.host(name) else {
        return FinishOrder {
            revisions: unwritten_revisions(context, name, facts, outcome),
            rollout,
            record: untouched_record(context, name, facts),
            release_lock: true,
            ..FinishOrder::default()
        };
    };
    let ending = report.map(|report| report.ending);
    // Of a host that went back before anything was begun there, what was known before still holds.
    let idle = |report: &&HostReport| report.ending == Ending::Returned && !report.was_touched;
    let touched = if report.as_ref().is_some_and(idle) {
        None
    } else {
        ending
    };
    let swapped = report.is_some_and(|report| report.was_swapped);
    // A restart of what was there already brings no release and takes none back: its line stays as it was.
    let same = host
        .planned
        .current
        .as_ref()
        .is_some_and(|current| current.dir == host.release.dir);
    let mut revision = revision_outcome(ending, swapped, outcome);
    if same && revision == RevisionOutcome::Reverted {
        revision = RevisionOutcome::Staged;
    }
    let passed = ending == Some(Ending::Passed);
    let prune = if passed && outcome == Outcome::Succeeded {
        prunable(context.job.keep, host)
    } else {
        Vec::new()
    };
    FinishOrder {
        revisions: Some(context.revisions(name, host, revision)),
        rollout,
        record: record_end(context, host, facts, touched, outcome),
        prune,
        release_lock: true,
    }
}

fn revision_outcome(ending: Option<Ending>, swapped: bool, outcome: Outcome) -> RevisionOutcome {
    match ending {
        Some(Ending::Passed) if outcome == Outcome::Succeeded => RevisionOutcome::Succeeded,
        Some(Ending::Passed | Ending::HeldOut) => RevisionOutcome::Active,
        Some(Ending::Reverted) => RevisionOutcome::Reverted,
        Some(Ending::Stranded) if swapped => RevisionOutcome::Reverted,
        Some(Ending::Stranded | Ending::Returned) | None => RevisionOutcome::Staged,
    }
}

/// A host of the run keeps its record only when there is something left to be done there.
fn record_end(
    context: &Context,
    host: &HostContext,
    facts: &HostFacts,
    ending: Option<Ending>,
    outcome: Outcome,
) -> RecordEnd {
    match ending {
        // The worker has written it, with what was seen.
        Some(Ending::Stranded | Ending::HeldOut) => RecordEnd::Keep,
        Some(Ending::Passed) if outcome == Outcome::Interrupted => {
            RecordEnd::Put(Box::new(context.record(host, RecordStep::Passed)))
        }
        Some(Ending::Returned | Ending::Reverted) if outcome == Outcome::Interrupted => {
            let left = host.found();
            let record = context.record(host, RecordStep::Planned);
            RecordEnd::Put(Box::new(Record { left, ..record }))
        }
        // Its turn did not come in this attempt, and its record tells of an earlier one.
        // Its way back was not begun.
        None if matches!(host.planned.start, Start::Back { .. }) => RecordEnd::Keep,
        None if outcome == Outcome::Interrupted && context.job.earlier_record(facts).is_some() => {
            RecordEnd::Keep
        }
        None if outcome == Outcome::Interrupted => {
            RecordEnd::Put(Box::new(context.record(host, RecordStep::Planned)))
        }
        // Never begun: what an earlier rollout said about a stranded host still holds.
        None => earlier_record(facts, host),
        Some(Ending::Passed | Ending::Returned | Ending::Reverted) => RecordEnd::Remove,
    }
}

/// An earlier rollout's words stay where they still hold: about a stranded host, and about one whose state in the balancers is that
/// rollout's doing, which would be taken for an operator's without them.
fn earlier_record(facts: &HostFacts, host: &HostContext) -> RecordEnd {
    let left_out = host.planned.found.iter().any(|entry| {
        entry.admin == Admin::Ready
            && host.planned.traffic.iter().any(|now| {
                entry.is_at(&now.balancer, &now.pool, &now.server)
                    && matches!(now.state, TrafficState::Drain | TrafficState::Maint)
            })
    });
    match &facts.record {
        RecordSeen::Read(record) if record.stranded.is_some() || left_out => {
            RecordEnd::Put(record.clone())
        }
        RecordSeen::Read(_) | RecordSeen::Corrupt(_) | RecordSeen::Absent => RecordEnd::Remove,
    }
}

/// A host that runs the target already, since an unfinished rollout brought it there: its revision gets its line now.
fn unwritten_revisions(
    context: &Context,
    name: &HostName,
    facts: &HostFacts,
    outcome: Outcome,
) -> Option<Vec<RevisionLine>> {
    let RecordSeen::Read(record) = &facts.record else {
        return None;
    };
    let there = context.plan.host(name)?.action == HostAction::Skip;
    if !there || record.target.revision != context.revision() {
        return None;
    }
    let mut lines = facts.revisions.clone();
    for line in &mut lines {
        if line.revision == context.revision() && outcome == Outcome::Succeeded {
            line.outcome = RevisionOutcome::Succeeded;
            line.from.clone_from(&context.job.artifact.from);
        }
    }
    Some(lines)
}

/// A host that the plan left alone: words about it end when a person has put it back into traffic.
fn untouched_record(context: &Context, name: &HostName, facts: &HostFacts) -> RecordEnd {
    let mended = context.plan.host(name).is_some_and(|host| {
        host.action == HostAction::Skip && host.standing == Standing::InTraffic && host.proof.ready
    });
    match &facts.record {
        RecordSeen::Read(_) if mended => RecordEnd::Remove,
        RecordSeen::Read(_) | RecordSeen::Corrupt(_) | RecordSeen::Absent => RecordEnd::Keep,
    }
}

/// Release folders that may go: older than the newest `keep`, never the one before, never what runs (R7).
fn prunable(keep: usize, host: &HostContext) -> Vec<String> {
    let number = |folder: &String| {
        folder
            .split_once('-')
            .and_then(|(number, _)| number.parse::<u64>().ok())
    };
    let mut ours: Vec<(u64, &String)> = host
        .facts
        .releases
        .iter()
        .filter(|folder| release::is_ours(&host.facts, folder))
        .filter_map(|folder| Some((number(folder)?, folder)))
        .collect();
    let target = host
        .release
        .dir
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    if !host.facts.releases.contains(&target) {
        ours.push((host.release.revision.0, &target));
    }
    ours.sort_by(|a, b| b.cmp(a));
    let before = host
        .planned
        .current
        .as_ref()
        .map(|current| current.dir.clone())
        .unwrap_or_default();
    ours.into_iter()
        .skip(keep)
        .map(|(_, folder)| folder.clone())
        .filter(|folder| *folder != target && !before.ends_with(&format!("/{folder}")))
        .collect()
}

/// Gives back the locks of a run that changed nothing.
pub(super) async fn give_back(job: &Job, world: &World, looks: &HostLooks) -> Vec<HostName> {
    debug_assert!(!job.fleet.is_empty());
    super::locks::give_back(world, looks).await
}
