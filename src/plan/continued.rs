//! The plan of a rollout that is gone on with.

use std::collections::BTreeSet;

use super::make::{least_usable, planned_host, warnings};
use super::{
    Course, Facts, HostAction, HostView, Plan, PlannedHost, Resumed, Standing, Start, refusal,
    release, resume, start,
};
use crate::model::{Admin, FoundTraffic, HostName};

/// The rollout that was to be gone on with ended before its locks were had: nothing is done, least of all its release rolled anew.
pub(super) fn gone(facts: &Facts) -> Plan {
    let mut hosts: Vec<PlannedHost> = Vec::new();
    for view in &facts.hosts {
        let mut host = planned_host(facts, view);
        host.action = HostAction::Leave;
        host.start = Start::Rest;
        hosts.push(host);
    }
    let reason = "no host knows of that rollout any more: it has ended meanwhile; `rollgate status` shows how the fleet stands";
    Plan {
        service: facts.service.clone(),
        version: facts.version.clone(),
        revision: release::number(facts),
        batches: Vec::new(),
        sick_batches: 0,
        max_unavailable: facts.strategy.max_unavailable.of(facts.hosts.len()),
        least_usable: None,
        hosts,
        refused: vec![reason.to_owned()],
        warnings: Vec::new(),
        resumed: None,
    }
}

/// The rest of a rollout that was cut off: its own batches, less what is done.
pub(super) fn continued(facts: &Facts, resumed: Resumed) -> Plan {
    let hosts: Vec<PlannedHost> = facts
        .hosts
        .iter()
        .map(|view| continued_host(facts, &resumed, view))
        .collect();
    let goes = |name: &&HostName| {
        hosts
            .iter()
            .any(|host| host.host == **name && matches!(host.start, Start::First | Start::Proof))
    };
    let mut batches: Vec<Vec<HostName>> = Vec::new();
    if resumed.course == Course::Forward {
        let left = resumed.batches.iter();
        let left = left.map(|batch| batch.iter().filter(goes).cloned().collect::<Vec<_>>());
        batches = left.filter(|batch| !batch.is_empty()).collect();
        // Hosts that are out already come before those that would have to be taken out beside them.
        let is_out = |host: &HostView| start::is_out(facts, host);
        let out: BTreeSet<&HostName> = facts
            .hosts
            .iter()
            .filter(|host| is_out(host))
            .map(|host| &host.spec.name)
            .collect();
        batches.sort_by_key(|batch| !batch.iter().any(|name| out.contains(name)));
    }
    let is_sick = |name: &HostName| {
        hosts
            .iter()
            .any(|host| host.host == *name && host.standing != Standing::InTraffic)
    };
    let sick_batches = batches.iter().take_while(|batch| batch.iter().all(is_sick));
    let sick_batches = sick_batches.count();
    let mut refused = refusal::refusals(facts);
    refused.extend(resume::refusals(facts, &resumed));
    Plan {
        service: facts.service.clone(),
        version: facts.version.clone(),
        revision: resumed.revision,
        least_usable: least_usable(facts, &hosts, &batches),
        max_unavailable: facts.strategy.max_unavailable.of(facts.hosts.len()),
        batches,
        sick_batches,
        hosts,
        refused,
        warnings: warnings(facts),
        resumed: Some(resumed),
    }
}

fn continued_host(facts: &Facts, resumed: &Resumed, view: &HostView) -> PlannedHost {
    let mut host = planned_host(facts, view);
    if let Some(start) = start::start(facts, resumed, view) {
        host.action = HostAction::Update;
        host.start = start;
    } else {
        if host.action == HostAction::Update {
            host.action = HostAction::Leave;
            "none of this rollout's hosts".clone_into(&mut host.reason);
        }
        host.start = Start::Rest;
    }
    if let Some(record) = resume::record(facts, view) {
        if start::is_behind_gate(facts, resumed, view) {
            // It was put back: who took it out since then is not rollgate (R4).
            leave_as_seen(facts, &mut host.found);
        }
        host.current = resume::before(record);
        host.proof = record.proof.clone();
        host.standing = if !host.found.iter().any(|entry| entry.admin == Admin::Ready) {
            Standing::Operator
        } else if resume::was_in_traffic(record) {
            Standing::InTraffic
        } else {
            Standing::Sick
        };
    }
    host
}

fn leave_as_seen(facts: &Facts, found: &mut [FoundTraffic]) {
    for entry in found {
        let seen = facts
            .balancers
            .get(&entry.balancer)
            .and_then(|balancer| balancer.pools.get(&entry.pool)?.servers.get(&entry.server));
        if let Some(seen) = seen.filter(|seen| seen.admin != Admin::Ready) {
            entry.admin = seen.admin;
        }
    }
}
