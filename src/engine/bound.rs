//! How many hosts may be out of traffic now, by what the balancers show (R1).

use std::collections::BTreeSet;

use super::context::{Context, HostContext};
use super::traffic::{Reading, TrafficError};
use crate::model::{Admin, FoundTraffic, HostName, PoolSeen, ServerName, ServerSeen};
use crate::plan::{PlannedHost, Standing, refusal};

/// How many of `batch` may be taken out now: the bound less every host of the playbook, outside the batch, that was in traffic when the
/// plan was made and is not now, whoever or whatever took it out.
pub(super) async fn room(context: &Context, batch: &[HostName]) -> Result<usize, TrafficError> {
    Ok(room_in(
        context,
        &context.traffic.observe_all().await?,
        batch,
    ))
}

/// The same by one reading. Hosts that this run holds out, or is about to take out, are out whatever the reading shows.
pub(super) fn room_in(context: &Context, seen: &Reading, batch: &[HostName]) -> usize {
    let members: BTreeSet<&HostName> = batch.iter().collect();
    let is_out = |host: &PlannedHost| context.traffic.is_held(&host.host) || !is_usable(host, seen);
    let out = context
        .plan
        .hosts
        .iter()
        .filter(|host| host.standing == Standing::InTraffic && !members.contains(&host.host))
        .filter(|host| is_out(host));
    context.plan.max_unavailable.saturating_sub(out.count())
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

fn is_usable(host: &PlannedHost, seen: &Reading) -> bool {
    host.traffic.iter().any(|entry| {
        let server = seen
            .get(&entry.balancer)
            .and_then(|balancer| balancer.pools.get(&entry.pool)?.servers.get(&entry.server));
        server.is_some_and(|server| server.usable)
    })
}

/// Why `host` may not be drained now: a pool that it serves would be left with fewer usable servers than it must keep.
pub(super) fn emptied_by(
    context: &Context,
    seen: &Reading,
    host: &HostName,
    servers: &[(FoundTraffic, ServerSeen)],
) -> Option<String> {
    if context.job.strategy.allow_downtime {
        return None;
    }
    let out = held_servers(context);
    for (entry, server) in servers {
        if !server.usable || entry.admin != Admin::Ready {
            continue;
        }
        let Some(pool) = pool_of(seen, entry) else {
            continue;
        };
        let own = servers.iter().map(|(entry, _)| entry);
        let leaving: BTreeSet<&ServerName> = own
            .chain(&out)
            .filter(|other| other.balancer == entry.balancer && other.pool == entry.pool)
            .map(|other| &other.server)
            .collect();
        let left = usable_without(pool, &leaving);
        if let Some(reason) = too_few(context, entry, pool, left) {
            return Some(format!("{reason} (host `{host}`)"));
        }
    }
    None
}

fn pool_of<'a>(seen: &'a Reading, entry: &FoundTraffic) -> Option<&'a PoolSeen> {
    seen.get(&entry.balancer)?.pools.get(&entry.pool)
}

/// Servers of hosts that this run holds out, or is about to take out.
fn held_servers(context: &Context) -> Vec<FoundTraffic> {
    let held = context.traffic.held();
    let hosts = held.iter().filter_map(|name| context.host(name));
    hosts.flat_map(HostContext::found).collect()
}

fn usable_without(pool: &PoolSeen, leaving: &BTreeSet<&ServerName>) -> usize {
    let stays = |(name, seen): &(&ServerName, &ServerSeen)| seen.usable && !leaving.contains(name);
    pool.servers.iter().filter(stays).count()
}

/// Why `left` usable servers are too few for a pool: the numbers.
fn too_few(
    context: &Context,
    entry: &FoundTraffic,
    pool: &PoolSeen,
    left: usize,
) -> Option<String> {
    let floor = context
        .job
        .strategy
        .traffic
        .floor(&entry.balancer, &entry.pool);
    let floor = floor.map(|floor| (floor, floor.of(pool.servers.len())));
    match floor {
        _ if left == 0 => Some(refusal::emptied(entry.balancer.as_str(), &entry.pool)),
        Some((asked, wanted)) if left < wanted => Some(refusal::below(
            (entry.balancer.as_str(), &entry.pool),
            (left, wanted),
            asked,
        )),
        Some(_) | None => None,
    }
}

/// After the drain: why the host must be given back, since hosts drained side by side, or somebody else, took too much of a pool.
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
        let Some(pool) = balancer.pools.get(&entry.pool) else {
            continue;
        };
        if let Some(reason) = too_few(context, entry, pool, pool.usable()) {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}
