//! From drained until enabled, every balancer is read each second: one that was reloaded or edited meanwhile forgets what it was told,
//! so it is told again (F9). A change toward less traffic is an operator's and stays.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use crate::event::EventKind;
use crate::model::{Admin, FoundTraffic, HostName};

/// The contract's second.
const EVERY: Duration = Duration::from_secs(1);

/// Watches until it is dropped.
pub(super) async fn keep(context: Arc<Context>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for host in context.traffic.held() {
            check(&context, &host).await;
        }
    }
}

async fn check(context: &Context, name: &HostName) {
    let Some(host) = context.host(name) else {
        return;
    };
    let open = |servers: Vec<(FoundTraffic, crate::model::ServerSeen)>| -> Vec<FoundTraffic> {
        let forgotten = |(entry, seen): &(FoundTraffic, crate::model::ServerSeen)| {
            entry.admin == Admin::Ready && seen.admin == Admin::Ready
        };
        servers
            .into_iter()
            .filter(forgotten)
            .map(|(entry, _)| entry)
            .collect()
    };
    // A balancer that does not answer is the business of whoever needs it next.
    let Ok(servers) = context.traffic.servers(&host.found()).await else {
        return;
    };
    if open(servers).is_empty() {
        return;
    }
    let _turn = context.traffic.turn(name).await;
    if !context.traffic.is_held(name) {
        return;
    }
    // Read again under the host's turn: its worker may just have enabled it.
    let Ok(servers) = context.traffic.servers(&host.found()).await else {
        return;
    };
    let forgotten = open(servers);
    if context
        .traffic
        .tell(name, &forgotten, Admin::Drain)
        .await
        .is_err()
    {
        return;
    }
    for entry in forgotten {
        context
            .say(EventKind::BalancerReset {
                balancer: entry.balancer.to_string(),
                host: name.clone(),
                pool: entry.pool.to_string(),
                server: entry.server.to_string(),
                seen: "ready".to_owned(),
            })
            .await;
    }
}
