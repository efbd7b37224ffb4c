//! What `drain` and `enable` by hand will do, decided before anything happens. Pure.

use super::make::{chosen_by_hand, warnings};
use super::{Facts, HostAction, Plan, PlannedHost, Standing, refusal, release};
use crate::model::HostName;

/// The plan of a drain by hand: all chosen hosts at once, within the same bounds as a rollout (R1).
pub fn drain(facts: &Facts) -> Plan {
    let mut plan = chosen(facts);
    let going = |host: &&PlannedHost| {
        host.action == HostAction::Update && host.standing == Standing::InTraffic
    };
    let going: Vec<HostName> = plan
        .hosts
        .iter()
        .filter(going)
        .map(|host| host.host.clone())
        .collect();
    if going.len() > plan.max_unavailable {
        let most = plan.max_unavailable;
        plan.refused.push(format!(
            "{} hosts would be out of traffic at once, and `strategy.max_unavailable` allows {most}; choose fewer of them",
            going.len()
        ));
    }
    plan.refused.extend(emptied(facts, &going));
    plan
}

/// The plan of an enable by hand.
pub fn enable(facts: &Facts) -> Plan {
    chosen(facts)
}

fn chosen(facts: &Facts) -> Plan {
    let hosts = facts.hosts.iter();
    let hosts: Vec<PlannedHost> = hosts.map(|view| chosen_by_hand(facts, view)).collect();
    let batch: Vec<HostName> = hosts
        .iter()
        .filter(|host| host.action == HostAction::Update)
        .map(|host| host.host.clone())
        .collect();
    let mut refused = refusal::refusals(facts);
    if batch.is_empty() && refused.is_empty() {
        refused.push("none of the hosts that were chosen could be looked at".to_owned());
    }
    Plan {
        service: facts.service.clone(),
        version: facts.version.clone(),
        revision: release::number(facts),
        batches: vec![batch],
        sick_batches: 0,
        max_unavailable: facts.strategy.max_unavailable.of(facts.hosts.len()),
        least_usable: None,
        hosts,
        refused,
        warnings: warnings(facts),
        resumed: None,
    }
}

/// Pools that would be left with too few usable servers.
fn emptied(facts: &Facts, going: &[HostName]) -> Vec<String> {
    let mut reasons = Vec::new();
    if facts.strategy.allow_downtime {
        return reasons;
    }
    for (name, balancer) in &facts.balancers {
        for (pool, seen) in &balancer.pools {
            let theirs = facts
                .hosts
                .iter()
                .filter(|host| going.contains(&host.spec.name));
            let theirs = theirs.flat_map(|host| &host.spec.traffic);
            let ours = theirs.filter(|target| target.balancer == *name && target.pool == *pool);
            let usable = |target: &&crate::model::TrafficTarget| {
                seen.servers
                    .get(&target.server)
                    .is_some_and(|server| server.usable)
            };
            let lost = ours.filter(usable).count();
            if lost > 0 && lost >= seen.usable() {
                reasons.push(refusal::emptied(name.as_str(), pool));
            } else if lost > 0
                && let Some(asked) = facts.strategy.traffic.floor(name, pool)
            {
                let (left, wanted) = (seen.usable() - lost, asked.of(seen.servers.len()));
                if left < wanted {
                    let numbers = (left, wanted);
                    reasons.push(refusal::below((name.as_str(), pool), numbers, asked));
                }
            }
        }
    }
    reasons
}
