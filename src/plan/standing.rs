//! Whether a host is in traffic, sick, or an operator's; and what "as found" means for its servers.

use super::{Facts, HostView};
use crate::model::{
    Admin, FoundTraffic, LockSeen, Outcome, Record, RecordSeen, RecordStep, ServerSeen,
    TrafficTarget,
};

/// How a host stands in traffic before the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Some balancer sends it requests: it counts against every bound.
    InTraffic,
    /// No balancer does, though none was told not to: it goes first and counts against none.
    Sick,
    /// No balancer does because an operator said so: it is updated, and stays out (R4).
    Operator,
}

/// The host's servers as found. What rollgate itself left behind (a stranded host, or a rollout that did not end and is taken over) is
/// not an operator's word: there the older record says what was found.
pub fn found_traffic(facts: &Facts, host: &HostView) -> Vec<FoundTraffic> {
    let record = inherited_record(facts, host);
    host.spec
        .traffic
        .iter()
        .filter_map(|target| {
            let seen = facts.server(target)?;
            Some(record.map_or_else(
                || as_seen(target, seen),
                |record| from_record(record, target, seen),
            ))
        })
        .collect()
}

/// The record of an earlier rollout whose traces on the balancers are rollgate's own.
fn inherited_record<'a>(facts: &Facts, host: &'a HostView) -> Option<&'a Record> {
    let seen = host.facts.as_ref().ok()?;
    let RecordSeen::Read(record) = &seen.record else {
        return None;
    };
    let held_elsewhere = matches!(seen.lock, LockSeen::Held { .. });
    // A host that was lost on the way keeps the record of the step it was in, though its rollout has ended elsewhere.
    let resumed = facts.resumes.as_ref().map(|resumes| &resumes.rollout);
    if resumed == Some(&record.rollout) {
        return Some(record);
    }
    let left_open = facts.wishes.take_over || was_lost_out(facts, record);
    (record.stranded.is_some() || left_open && !held_elsewhere).then_some(record.as_ref())
}

/// Whether the host was lost, out of traffic by rollgate's hand, in a rollout that has ended elsewhere. In the steps that put it back the
/// balancer was told at once, so a drain that is seen later is somebody else's, unless that rollout knew itself of a stranded host.
fn was_lost_out(facts: &Facts, record: &Record) -> bool {
    let stranded = |outcome: &str| {
        outcome == Outcome::Stranded.as_str() || outcome == Outcome::Halted.as_str()
    };
    match record.step {
        RecordStep::Drain | RecordStep::Swap | RecordStep::SwapBack => true,
        RecordStep::Enable | RecordStep::Restore => {
            let seen = facts
                .hosts
                .iter()
                .filter_map(|host| host.facts.as_ref().ok());
            let mut lines = seen.flat_map(|seen| &seen.rollouts);
            lines.any(|line| line.id == record.rollout && stranded(&line.outcome))
        }
        RecordStep::Planned | RecordStep::Passed | RecordStep::Stranded => false,
    }
}

/// Steps in which rollgate itself has, or may have, taken the host out of traffic and not put it back.
pub(super) fn holds_out(step: RecordStep) -> bool {
    match step {
        RecordStep::Drain
        | RecordStep::Swap
        | RecordStep::Enable
        | RecordStep::SwapBack
        | RecordStep::Restore => true,
        RecordStep::Planned | RecordStep::Passed | RecordStep::Stranded => false,
    }
}

/// Each thing that still is as rollgate left it is put back as it was found; what differs was changed by somebody else since then (R4).
fn from_record(record: &Record, target: &TrafficTarget, seen: &ServerSeen) -> FoundTraffic {
    let matches =
        |entry: &&FoundTraffic| entry.is_at(&target.balancer, &target.pool, &target.server);
    let now = as_seen(target, seen);
    let Some(found) = record.found.iter().find(matches) else {
        return now;
    };
    let left = record.left.iter().find(matches);
    let was_cut = left.is_some_and(|left| left.admin == Admin::Maint);
    let held = record.stranded.is_none() && holds_out(record.step);
    let admin_is_ours = if held {
        // Drained, or, where clients stuck to it, put into maintenance by rollgate itself.
        seen.admin == Admin::Drain || (seen.admin == Admin::Maint && was_cut)
    } else {
        left.is_some_and(|left| left.admin == seen.admin)
    };
    if found.admin != Admin::Ready {
        return now;
    }
    if admin_is_ours {
        return found.clone();
    }
    // It may have died between a state and its weight, on a ramp, or before an agent ran again.
    let weight_is_ours = held || left.is_some_and(|left| left.weight == seen.weight);
    let agent_is_ours = held || left.is_some_and(|left| left.agent == seen.agent);
    FoundTraffic {
        weight: if weight_is_ours {
            found.weight
        } else {
            now.weight
        },
        agent: if agent_is_ours {
            found.agent
        } else {
            now.agent
        },
        ..now
    }
}

fn as_seen(target: &TrafficTarget, seen: &ServerSeen) -> FoundTraffic {
    FoundTraffic {
        balancer: target.balancer.clone(),
        pool: target.pool.clone(),
        server: target.server.clone(),
        admin: seen.admin,
        usable: seen.usable,
        weight: seen.weight,
        agent: seen.agent,
    }
}

/// How the host stands now.
pub fn standing(facts: &Facts, host: &HostView, found: &[FoundTraffic]) -> Standing {
    let usable = host
        .spec
        .traffic
        .iter()
        .any(|target| facts.server(target).is_some_and(|seen| seen.usable));
    if usable {
        Standing::InTraffic
    } else if found.iter().any(|entry| entry.admin == Admin::Ready) {
        Standing::Sick
    } else {
        Standing::Operator
    }
}
