//! Facts to plan.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{Cuttable, cut};
use super::capacity::{Capacity, PoolKey};
use super::{
    Facts, HostAction, HostView, Plan, PlannedHost, Standing, Start, continued, refusal, release,
    resume, standing,
};
use crate::model::{HostName, RecordSeen, ReleaseRef, TrafficSeen, Version};

/// Makes the plan. The same facts give the same plan.
pub fn make(facts: &Facts) -> Plan {
    match resume::resumed(facts) {
        Some(resumed) => continued::continued(facts, resumed),
        None if facts.resumes.is_some() => continued::gone(facts),
        None => fresh(facts),
    }
}

/// A host that is drained or enabled by hand, whatever it runs.
pub(super) fn chosen_by_hand(facts: &Facts, view: &HostView) -> PlannedHost {
    let mut host = planned_host(facts, view);
    if view.selected && view.facts.is_ok() {
        host.action = HostAction::Update;
    }
    host
}

fn fresh(facts: &Facts) -> Plan {
    let hosts: Vec<PlannedHost> = facts
        .hosts
        .iter()
        .map(|view| planned_host(facts, view))
        .collect();
    let mut refused = refusal::refusals(facts);
    let mut warnings = warnings(facts);
    let update: Vec<&PlannedHost> = hosts
        .iter()
        .filter(|host| host.action == HostAction::Update)
        .collect();
    if update.is_empty() {
        // Nothing will be touched, so nothing about the release can be in the way.
        refused = refusals_without_work(facts, refused);
    }
    let cutting = Cutting::new(facts, &hosts, &update);
    let (batches, sick_batches) = cutting.batches(&mut refused, &mut warnings);
    Plan {
        service: facts.service.clone(),
        version: facts.version.clone(),
        revision: release::number(facts),
        least_usable: cutting.capacity.least(&batches).map(|(count, _)| count),
        max_unavailable: facts.strategy.max_unavailable.of(facts.hosts.len()),
        batches,
        sick_batches,
        hosts,
        refused,
        warnings,
        resumed: None,
    }
}

fn refusals_without_work(facts: &Facts, refused: Vec<String>) -> Vec<String> {
    let about_release = format!("version {} ", facts.version);
    refused
        .into_iter()
        .filter(|reason| !reason.starts_with(&about_release))
        .collect()
}

pub(super) fn planned_host(facts: &Facts, view: &HostView) -> PlannedHost {
    let found = standing::found_traffic(facts, view);
    let stands = standing::standing(facts, view, &found);
    let current = current(view);
    let (action, reason) = action(facts, view, stands);
    PlannedHost {
        host: view.spec.name.clone(),
        chosen: view.selected,
        action,
        start: Start::First,
        reason,
        current,
        standing: stands,
        traffic: traffic(facts, view),
        found,
        proof: view.proof.clone(),
    }
}

/// What the host runs. What rollgate found there has the version that its service shows, where it shows one.
fn current(view: &HostView) -> Option<ReleaseRef> {
    let seen = view.facts.as_ref().ok()?;
    let mut current = release::running(&view.spec.root, seen)?;
    if current.version.is_none() {
        let shown = view.proof.version.as_deref();
        current.version = shown.and_then(|version| Version::new(version).ok());
    }
    Some(current)
}

pub(super) fn traffic(facts: &Facts, view: &HostView) -> Vec<TrafficSeen> {
    let seen = |target: &crate::model::TrafficTarget| {
        Some(TrafficSeen {
            balancer: target.balancer.clone(),
            pool: target.pool.clone(),
            server: target.server.clone(),
            state: facts.server(target)?.state(),
        })
    };
    view.spec.traffic.iter().filter_map(seen).collect()
}

fn action(facts: &Facts, view: &HostView, stands: Standing) -> (HostAction, String) {
    if !view.selected {
        return (HostAction::Leave, "not chosen by `--limit`".to_owned());
    }
    let seen = match &view.facts {
        Ok(seen) => seen,
        Err(reason) => return (HostAction::Leave, reason.clone()),
    };
    let proven = view.proof.ready
        && (!facts.version_checked
            || view.proof.version.as_deref() == Some(facts.version.as_str()));
    let left_behind = matches!(&seen.record, RecordSeen::Read(record) if record.stranded.is_some());
    match (release::is_on_target(facts, view), facts.wishes.force) {
        (true, true) => (
            HostAction::Update,
            "runs it already, and `--force` was given".to_owned(),
        ),
        (true, false) if !proven => (
            HostAction::Update,
            "runs it already, but is not ready".to_owned(),
        ),
        (true, false) if stands == Standing::InTraffic => {
            (HostAction::Skip, "runs it already".to_owned())
        }
        (true, false) if stands == Standing::Operator => (
            HostAction::Skip,
            "runs it already; an operator keeps it out of traffic".to_owned(),
        ),
        (true, false) if left_behind => (
            HostAction::Update,
            "runs it already, but was left out of traffic".to_owned(),
        ),
        (true, false) => (
            HostAction::Update,
            "runs it already, but gets no traffic".to_owned(),
        ),
        (false, _) => (HostAction::Update, from_what(view)),
    }
}

fn from_what(view: &HostView) -> String {
    match current(view) {
        None => "first release".to_owned(),
        Some(current) => {
            let version = current
                .version
                .map_or_else(|| "found".to_owned(), |version| version.to_string());
            format!("from {} ({version})", current.revision)
        }
    }
}

pub(super) fn warnings(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    if !facts.version_checked {
        warnings.push("no `ready.version`: a host that is ready on the old release would pass; read the version from a header or JSON".to_owned());
    }
    for view in &facts.hosts {
        if let Ok(seen) = &view.facts {
            warnings.extend(seen.damaged.iter().map(|line| {
                format!(
                    "host `{}`: a damaged line is left out: {line}",
                    view.spec.name
                )
            }));
        } else if let Err(reason) = &view.facts
            && view.selected
        {
            warnings.push(format!("host `{}` is left alone: {reason}", view.spec.name));
        }
        for target in view
            .spec
            .traffic
            .iter()
            .filter(|target| facts.server(target).is_some_and(|seen| seen.sticky))
        {
            let policy = facts.strategy.traffic.pool(&target.balancer, &target.pool);
            let then = if policy.is_some_and(|policy| policy.cut_sticky) {
                "until they are sent elsewhere when `drain.timeout` is over"
            } else {
                "and they may fail while it is swapped; `sticky = \"cut\"` sends them elsewhere"
            };
            let text = format!(
                "pool `{}` of balancer `{}` has cookie persistence: a draining server still gets the requests of its own clients, {then}",
                target.pool, target.balancer
            );
            if !warnings.contains(&text) {
                warnings.push(text);
            }
        }
    }
    warnings
}

/// The fewest usable servers that any pool has while `batches` go through.
pub(super) fn least_usable(
    facts: &Facts,
    hosts: &[PlannedHost],
    batches: &[Vec<HostName>],
) -> Option<usize> {
    let cutting = Cutting::new(facts, hosts, &[]);
    cutting.capacity.least(batches).map(|(count, _)| count)
}

/// Everything that cutting needs, computed once.
struct Cutting<'a> {
    facts: &'a Facts,
    capacity: Capacity,
    healthy: Vec<Cuttable>,
    sick: Vec<Cuttable>,
    restored: BTreeSet<HostName>,
}

impl<'a> Cutting<'a> {
    fn new(facts: &'a Facts, hosts: &'a [PlannedHost], update: &[&PlannedHost]) -> Self {
        let shares: Vec<_> = hosts
            .iter()
            .map(|host| (host.host.clone(), host.standing, host.found.as_slice()))
            .collect();
        let zones: BTreeMap<&HostName, Option<&String>> = facts
            .hosts
            .iter()
            .map(|view| {
                (
                    &view.spec.name,
                    facts
                        .strategy
                        .zones
                        .as_ref()
                        .and_then(|label| view.spec.labels.get(label)),
                )
            })
            .collect();
        let cuttable = |host: &PlannedHost| Cuttable {
            host: host.host.clone(),
            zone: zones.get(&host.host).copied().flatten().cloned(),
        };
        let pick = |healthy: bool| -> Vec<Cuttable> {
            update
                .iter()
                .filter(|host| (host.standing == Standing::InTraffic) == healthy)
                .map(|host| cuttable(host))
                .collect()
        };
        let restored = update
            .iter()
            .filter(|host| host.standing == Standing::Sick)
            .map(|host| host.host.clone())
            .collect();
        Self {
            facts,
            capacity: Capacity::new(facts, &shares),
            healthy: pick(true),
            sick: pick(false),
            restored,
        }
    }

    fn batches(
        &self,
        refused: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> (Vec<Vec<HostName>>, usize) {
        let (strategy, fleet) = (&self.facts.strategy, self.facts.hosts.len());
        let mut batches = cut(&self.sick, &strategy.batch, fleet, None);
        let sick_batches = batches.len();
        let bound = strategy.max_unavailable.of(fleet);
        let candidates: BTreeSet<HostName> =
            self.healthy.iter().map(|host| host.host.clone()).collect();
        let room = if strategy.allow_downtime {
            usize::MAX
        } else {
            self.capacity.bound(&candidates, &self.restored)
        };
        if room < bound && room > 0 && strategy.batch.iter().any(|size| size.of(fleet) > room) {
            warnings.push(format!(
                "batches are cut to {room}, since a pool would be left with no usable server"
            ));
        }
        batches.extend(cut(
            &self.healthy,
            &strategy.batch,
            fleet,
            Some(bound.min(room.max(1))),
        ));
        if room == 0
            && let Some((_, (balancer, pool))) = self.capacity.least(&batches)
        {
            refused.push(refusal::emptied(balancer.as_str(), &pool));
        } else if !strategy.allow_downtime {
            let floor = |(balancer, pool): &PoolKey| strategy.traffic.floor(balancer, pool);
            for ((balancer, pool), numbers, asked) in self.capacity.below(&batches, floor) {
                refused.push(refusal::below((balancer.as_str(), &pool), numbers, asked));
            }
        }
        (batches, sick_batches)
    }
}
