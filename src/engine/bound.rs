//! How many hosts may be out of traffic now, by what the balancers show (R1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::context::{Context, HostContext};
use super::traffic::TrafficError;
use crate::model::{Admin, BalancerName, BalancerSeen, FoundTraffic, HostName, ServerSeen};
use crate::plan::{PlannedHost, Standing, refusal};

/// How many of `batch` may be taken out now: the bound less every host of the playbook, outside the batch, that was in traffic when the
/// plan was made and is not now, whoever or whatever took it out.
pub(super) async fn room(context: &Context, batch: &[HostName]) -> Result<usize, TrafficError> {
    let seen = context.traffic.observe_all().await?;
    let members: BTreeSet<&HostName> = batch.iter().collect();
    let out = context
        .plan
        .hosts
        .iter()
        .filter(|host| host.standing == Standing::InTraffic && !members.contains(&host.host))
        .filter(|host| !is_usable(host, &seen));
    Ok(context.plan.max_unavailable.saturating_sub(out.count()))
}

/// Hosts of `batch` that get requests now: those that taking out takes something away from.
pub(super) async fn serving(
    context: &Context,
    batch: &[HostName],
) -> Result<Vec<HostName>, TrafficError> {
    let seen = context.traffic.observe_all().await?;
    let serves = |name: &&HostName| {
        let host = context.plan.host(name);
        host.is_some_and(|host| is_usable(host, &seen))
    };
    Ok(batch.iter().filter(serves).cloned().collect())
}

fn is_usable(host: &PlannedHost, seen: &BTreeMap<BalancerName, Arc<BalancerSeen>>) -> bool {
    host.traffic.iter().any(|entry| {
        let server = seen
            .get(&entry.balancer)
            .and_then(|balancer| balancer.pools.get(&entry.pool)?.servers.get(&entry.server));
        server.is_some_and(|server| server.usable)
    })
}

/// Why `host` may not be drained now: a pool that it serves would be left with no usable server.
pub(super) async fn emptied_by(
    context: &Context,
    host: &HostName,
    servers: &[(FoundTraffic, ServerSeen)],
) -> Result<Option<String>, TrafficError> {
    if context.job.strategy.allow_downtime {
        return Ok(None);
    }
    for (entry, seen) in servers {
        if !seen.usable || entry.admin != Admin::Ready {
            continue;
        }
        let balancer = context.traffic.observe(&entry.balancer).await?;
        let others = balancer
            .pools
            .get(&entry.pool)
            .map_or(0, |pool| usable_without(pool, servers, entry));
        if others == 0 {
            return Ok(Some(format!(
                "{} (host `{host}`)",
                refusal::emptied(entry.balancer.as_str(), &entry.pool)
            )));
        }
    }
    Ok(None)
}

fn usable_without(
    pool: &crate::model::PoolSeen,
    servers: &[(FoundTraffic, ServerSeen)],
    entry: &FoundTraffic,
) -> usize {
    let own: BTreeSet<_> = servers
        .iter()
        .filter(|(other, _)| other.balancer == entry.balancer && other.pool == entry.pool)
        .map(|(other, _)| &other.server)
        .collect();
    pool.servers
        .iter()
        .filter(|(name, seen)| seen.usable && !own.contains(name))
        .count()
}

/// After the drain: why the host must be given back, since hosts drained side by side, or somebody else, emptied a pool together.
pub(super) async fn left_empty(
    context: &Context,
    host: &HostContext,
    servers: &[(FoundTraffic, ServerSeen)],
) -> Result<Option<String>, TrafficError> {
    if context.job.strategy.allow_downtime || host.planned.standing != Standing::InTraffic {
        return Ok(None);
    }
    for (entry, _) in servers
        .iter()
        .filter(|(entry, _)| entry.admin == Admin::Ready && entry.usable)
    {
        let balancer = context.traffic.observe(&entry.balancer).await?;
        if balancer
            .pools
            .get(&entry.pool)
            .is_some_and(|pool| pool.usable() == 0)
        {
            return Ok(Some(refusal::emptied(entry.balancer.as_str(), &entry.pool)));
        }
    }
    Ok(None)
}
