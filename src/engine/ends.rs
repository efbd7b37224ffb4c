//! What the last event says about every host of the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::context::HostContext;
use super::finish::Reports;
use super::worker::HostReport;
use crate::cycle::Ending;
use crate::event::HostEnd;
use crate::model::{BalancerName, BalancerSeen, HostName, HostResult, Revision, TrafficSeen};
use crate::plan::{HostAction, Plan, PlannedHost};

/// A host of a run that ended before it had a plan.
pub(super) fn untouched(host: &HostName) -> HostEnd {
    HostEnd {
        host: host.clone(),
        result: HostResult::Untouched,
        revision: None,
        version: None,
        traffic: Vec::new(),
        durations: BTreeMap::new(),
        failure: None,
        mend: Vec::new(),
    }
}

/// What `rollout.finished` says about every host of the fleet.
pub(super) fn host_ends(
    plan: &Plan,
    hosts: &BTreeMap<HostName, HostContext>,
    reports: &Reports,
    seen: &BTreeMap<BalancerName, Arc<BalancerSeen>>,
) -> Vec<HostEnd> {
    plan.hosts
        .iter()
        .map(|planned| {
            host_end(
                planned,
                hosts.get(&planned.host),
                reports.get(&planned.host),
                seen,
            )
        })
        .collect()
}

fn host_end(
    planned: &PlannedHost,
    host: Option<&HostContext>,
    report: Option<&HostReport>,
    seen: &BTreeMap<BalancerName, Arc<BalancerSeen>>,
) -> HostEnd {
    let result = match (planned.action, report.map(|report| report.ending)) {
        (HostAction::Leave, _) if !planned.chosen => HostResult::Untouched,
        (HostAction::Skip | HostAction::Leave, _) => HostResult::Skipped,
        (HostAction::Update, Some(Ending::Passed)) => HostResult::Updated,
        (HostAction::Update, Some(Ending::Reverted)) => HostResult::Reverted,
        (HostAction::Update, Some(Ending::Stranded | Ending::HeldOut)) => HostResult::Stranded,
        (HostAction::Update, Some(Ending::Returned) | None) => HostResult::Untouched,
    };
    let runs = host.map_or_else(
        || planned.current.clone(),
        |host| host.ledger().runs.clone(),
    );
    let revision = runs.as_ref().map(|release| release.revision);
    let version = runs.and_then(|release| release.version).map(String::from);
    HostEnd {
        host: planned.host.clone(),
        result,
        revision,
        version,
        traffic: traffic_now(&planned.traffic, seen),
        durations: host
            .map(|host| host.ledger().durations.clone())
            .unwrap_or_default(),
        failure: report.and_then(|report| report.failure.clone()),
        mend: report.map(|report| report.mend.clone()).unwrap_or_default(),
    }
}

fn traffic_now(
    at_plan: &[TrafficSeen],
    seen: &BTreeMap<BalancerName, Arc<BalancerSeen>>,
) -> Vec<TrafficSeen> {
    let now = |entry: &TrafficSeen| {
        seen.get(&entry.balancer)?
            .pools
            .get(&entry.pool)?
            .servers
            .get(&entry.server)
            .map(crate::model::ServerSeen::state)
    };
    at_plan
        .iter()
        .map(|entry| TrafficSeen {
            state: now(entry).unwrap_or(entry.state),
            ..entry.clone()
        })
        .collect()
}

/// Whether the fleet now runs two releases.
pub(super) fn is_mixed(ends: &[HostEnd]) -> bool {
    let releases: BTreeSet<Revision> = ends.iter().filter_map(|end| end.revision).collect();
    releases.len() > 1
}
