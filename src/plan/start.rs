//! Where each host of a rollout that was cut off begins.
//!
//! A host's record says which act was begun there, never that it ended. So a host is taken up at a point from which doing it again does
//! no harm: from its drain, or from the new release's proof where that release runs and has just proven itself.

use super::resume::{Course, Resumed, Start, before, end, record, was_in_traffic};
use super::{Facts, HostView, release};
use crate::model::{HostName, Outcome, Record, RecordStep};

/// Where `host` begins; `None`: it is none of the rollout's.
pub(super) fn start(facts: &Facts, resumed: &Resumed, host: &HostView) -> Option<Start> {
    let mut members = resumed.batches.iter().flatten();
    let is_member = members.any(|name| *name == host.spec.name);
    let seen = match &host.facts {
        Ok(seen) => seen,
        Err(reason) => {
            let why = format!("it cannot be looked at: {reason}");
            return is_member.then_some(Start::Stranded(why));
        }
    };
    let Some(record) = record(facts, host) else {
        return is_member.then(|| without_record(facts, resumed, host));
    };
    let there = release::running(&host.spec.root, seen);
    let on_target = there
        .as_ref()
        .is_some_and(|there| there.revision == record.target.revision);
    let is_back = there.map(|there| there.dir) == before(record).map(|before| before.dir);
    let proven = on_target && is_proven(facts, host);
    let passed = has_passed(facts, resumed, host, (record, proven));
    Some(match resumed.course {
        Course::Forward if passed && proven => Start::Passed,
        Course::Forward => forward(facts, host, record, proven, is_back),
        Course::Failed(_) | Course::Ended(_) if passed => Start::Passed,
        Course::Failed(_) | Course::Ended(_) | Course::Revert => {
            back(record, is_back, resumed.course == Course::Revert)
        }
    })
}

/// Whether the host's gate had opened, though nothing is written at a gate: a later batch was begun, or the whole rollout went to a good
/// end and the host is as it was left then.
fn has_passed(
    facts: &Facts,
    resumed: &Resumed,
    host: &HostView,
    (record, proven): (&Record, bool),
) -> bool {
    let went_well = end(facts).is_some_and(|outcome| {
        outcome == Outcome::Succeeded.as_str() || outcome == Outcome::Partial.as_str()
    });
    record.step == RecordStep::Enable
        && (is_behind_gate(facts, resumed, host)
            || went_well && proven && gets_traffic(facts, host, record))
}

/// It was finished, and its record removed, or nothing was ever written there.
fn without_record(facts: &Facts, resumed: &Resumed, host: &HostView) -> Start {
    match resumed.course {
        Course::Forward if !release::is_on_target(facts, host) => Start::First,
        Course::Forward if is_proven(facts, host) && is_usable(facts, host) => Start::Passed,
        Course::Forward => Start::First,
        Course::Failed(_) | Course::Ended(_) | Course::Revert => Start::Rest,
    }
}

fn forward(facts: &Facts, host: &HostView, record: &Record, proven: bool, is_back: bool) -> Start {
    match record.step {
        RecordStep::Passed if proven && gets_traffic(facts, host, record) => Start::Passed,
        RecordStep::Swap | RecordStep::Enable | RecordStep::Passed if proven => Start::Proof,
        RecordStep::SwapBack => Start::Back {
            swap: true,
            reverted: true,
        },
        RecordStep::Restore if record.failed.contains(&host.spec.name) => Start::Back {
            swap: record.swapped && !is_back,
            reverted: record.swapped,
        },
        // It had failed, and is back.
        RecordStep::Planned if record.failed.contains(&host.spec.name) => Start::Rest,
        RecordStep::Stranded => Start::Stranded(stranded(record)),
        RecordStep::Planned
        | RecordStep::Drain
        | RecordStep::Swap
        | RecordStep::Enable
        | RecordStep::Passed
        | RecordStep::Restore => Start::First,
    }
}

fn back(record: &Record, is_back: bool, everything: bool) -> Start {
    let swapped = Start::Back {
        swap: true,
        reverted: true,
    };
    match record.step {
        RecordStep::Planned => Start::Rest,
        RecordStep::Passed if !everything => Start::Passed,
        RecordStep::Stranded if !everything => Start::Stranded(stranded(record)),
        RecordStep::Drain | RecordStep::Restore => Start::Back {
            swap: record.swapped && !is_back,
            reverted: record.swapped,
        },
        // Its service may be down though the link is back.
        RecordStep::Stranded => Start::Back {
            swap: record.swapped,
            reverted: record.swapped,
        },
        RecordStep::Swap | RecordStep::Enable | RecordStep::SwapBack | RecordStep::Passed => {
            swapped
        }
    }
}

/// Whether the host was put back, and a later batch than its own was begun.
pub(super) fn is_behind_gate(facts: &Facts, resumed: &Resumed, host: &HostView) -> bool {
    let Some(own_record) = record(facts, host).filter(|own| own.step == RecordStep::Enable) else {
        return false;
    };
    if resumed.failed.contains(&host.spec.name) {
        return false;
    }
    let mut batches = resumed.batches.iter();
    let Some(own) = batches.position(|batch| batch.contains(&host.spec.name)) else {
        return false;
    };
    let mut later = resumed.batches.iter().skip(own + 1).flatten();
    let begun = |name: &HostName| {
        let host = facts.hosts.iter().find(|host| host.spec.name == *name);
        let record = host.and_then(|host| record(facts, host));
        // What a later attempt began says nothing: hosts that were out went before others then.
        record.is_some_and(|record| {
            record.step != RecordStep::Planned && record.attempt <= own_record.attempt
        })
    };
    later.any(begun)
}

fn gets_traffic(facts: &Facts, host: &HostView, record: &Record) -> bool {
    is_usable(facts, host) || !was_in_traffic(record)
}

/// Whether the host is out of traffic now and was in it before the rollout.
pub(super) fn is_out(facts: &Facts, host: &HostView) -> bool {
    record(facts, host).is_some_and(|record| !gets_traffic(facts, host, record))
}

fn stranded(record: &Record) -> String {
    let note = record.stranded.as_ref();
    note.map_or_else(
        || "it was left out of traffic".to_owned(),
        |note| note.seen.clone(),
    )
}

fn is_proven(facts: &Facts, host: &HostView) -> bool {
    host.proof.ready
        && (!facts.version_checked || host.proof.version.as_deref() == Some(facts.version.as_str()))
}

fn is_usable(facts: &Facts, host: &HostView) -> bool {
    let mut targets = host.spec.traffic.iter();
    targets.any(|target| facts.server(target).is_some_and(|seen| seen.usable))
}
