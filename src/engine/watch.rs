//! From drained until enabled, every balancer is read each second: one that was reloaded or edited meanwhile forgets what it was told,
//! so it is told again (F9). A change toward less traffic is an operator's and stays.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, HostContext};
use super::steps::doors::close;
use crate::event::EventKind;
use crate::model::{Admin, BalancerName, BalancerSeen, FoundTraffic, HostName};

/// The contract's second.
const EVERY: Duration = Duration::from_secs(1);

/// Watches until it is dropped. Each balancer by itself, so that one that does not answer hides nothing of the others; that one is the
/// business of whoever needs it next.
pub(super) async fn keep(context: Arc<Context>) {
    let one = |name: &BalancerName| {
        let (context, name) = (Arc::clone(&context), name.clone());
        async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let held = context.traffic.held();
                if held.is_empty() {
                    continue;
                }
                let Some(seen) = context.traffic.glance(&name).await else {
                    continue;
                };
                for host in held {
                    check(&context, (&name, &seen), &host).await;
                }
            }
        }
    };
    futures::future::join_all(context.traffic.names().map(one)).await;
    std::future::pending::<()>().await;
}

/// Doors of a held host that stand open on one balancer, whoever had closed them.
fn open_doors(
    (balancer, seen): (&BalancerName, &BalancerSeen),
    host: &HostContext,
) -> Vec<FoundTraffic> {
    let mut found = host.found();
    let cut = host.ledger().cut.clone();
    found.retain(|entry| entry.balancer == *balancer);
    let is_open = |entry: &FoundTraffic| {
        let pool = seen.pools.get(&entry.pool);
        let server = pool.and_then(|pool| pool.servers.get(&entry.server));
        server.is_some_and(|server| !is_closed(server.admin, entry, &cut))
    };
    found.retain(is_open);
    found
}

/// Whether nobody gets in: a server that clients stick to is closed only in maintenance, once it was put there.
fn is_closed(admin: Admin, entry: &FoundTraffic, cut: &[FoundTraffic]) -> bool {
    let was_cut = cut.iter().any(|cut| cut.is_same_server(entry));
    match admin {
        Admin::Ready => false,
        Admin::Drain => !was_cut,
        Admin::Maint => true,
    }
}

async fn check(
    context: &Context,
    (balancer, seen): (&BalancerName, &BalancerSeen),
    name: &HostName,
) {
    let Some(host) = context.host(name) else {
        return;
    };
    if open_doors((balancer, seen), host).is_empty() {
        return;
    }
    // Whoever tells something about the host now closes its doors, or may open them; the other hosts are not to wait for that.
    let Some(_turn) = context.traffic.try_turn(name) else {
        return;
    };
    // Read again under the host's turn: its worker may just have enabled it.
    if !context.traffic.is_held(name) {
        return;
    }
    let Some(now) = context.traffic.glance(balancer).await else {
        return;
    };
    let open = open_doors((balancer, &now), host);
    if close(context, name, &open).await.is_err() {
        return;
    }
    for entry in open {
        let state = now.pools.get(&entry.pool);
        let state = state.and_then(|pool| pool.servers.get(&entry.server));
        let state = state
            .map_or("ready", |server| server.state().as_str())
            .to_owned();
        let kind = EventKind::BalancerReset {
            balancer: entry.balancer.to_string(),
            host: name.clone(),
            pool: entry.pool.to_string(),
            server: entry.server.to_string(),
            seen: state,
        };
        context.say(kind).await;
    }
}
