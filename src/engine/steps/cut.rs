//! Clients that stick to a draining server: `sticky = "cut"` puts it into maintenance when the drain's time is over, so that they are
//! sent elsewhere, while what is in flight still ends.
//!
//! Source: measured on 2.6 and 3.2: a draining server still gets the requests that a cookie leads to it; one in maintenance gets none,
//! and its requests in flight end, unless `on-marked-down shutdown-sessions` is set.

use super::drain::WHAT;
use super::{StepResult, Turn, traffic_end};
use crate::engine::context::Context;
use crate::event::{EventKind, Level};
use crate::model::{Admin, FoundTraffic, RecordStep, ServerSeen};

/// Servers that clients stick to, which are to be cut off and were not yet.
pub(super) fn due(context: &Context, servers: &[(FoundTraffic, ServerSeen)]) -> Vec<FoundTraffic> {
    let policies = &context.job.strategy.traffic;
    let is_due = |(entry, seen): &&(FoundTraffic, ServerSeen)| {
        let policy = policies.pool(&entry.balancer, &entry.pool);
        seen.sticky
            && entry.admin == Admin::Ready
            && seen.admin == Admin::Drain
            && policy.is_some_and(|policy| policy.cut_sticky)
    };
    let due = servers.iter().filter(is_due);
    due.map(|(entry, _)| entry.clone()).collect()
}

/// Cuts them. The host's record says so first: whoever finds the server in maintenance later must know by whom. Without a record (a drain
/// by hand) the server is the operator's from now on. All under the host's turn: the watch must not close the door between the word and
/// the act.
pub(super) async fn cut(
    turn: &Turn<'_>,
    due: Vec<FoundTraffic>,
    step: Option<RecordStep>,
) -> StepResult {
    let _turn = turn.context.traffic.turn(turn.name).await;
    // Read again: what somebody else put into maintenance meanwhile is theirs.
    let now = turn.context.traffic.servers(&due).await;
    let now = now.map_err(|error| traffic_end(WHAT, error))?;
    let ours = now
        .into_iter()
        .filter(|(_, seen)| seen.admin != Admin::Maint);
    let due: Vec<FoundTraffic> = ours.map(|(entry, _)| entry).collect();
    {
        let mut ledger = turn.host.ledger();
        for entry in &due {
            if !ledger.cut.iter().any(|cut| cut.is_same_server(entry)) {
                ledger.cut.push(entry.clone());
            }
        }
        ledger.was_cut = true;
    }
    if let Some(step) = step {
        let record = turn.context.record(turn.host, step);
        turn.write_record(&record).await?;
    }
    for entry in &due {
        turn.say(EventKind::Log {
            level: Level::Info,
            text: format!(
                "clients that stick to `{}/{}` are sent elsewhere from now on",
                entry.pool, entry.server
            ),
            host: Some(turn.name.clone()),
        })
        .await;
    }
    let told = turn.context.traffic.tell(turn.name, &due, Admin::Maint);
    told.await.map_err(|error| traffic_end(WHAT, error))
}

/// Whether rollgate itself put this server into maintenance.
pub(super) fn was_cut(turn: &Turn<'_>, entry: &FoundTraffic) -> bool {
    let ledger = turn.host.ledger();
    ledger.cut.iter().any(|cut| cut.is_same_server(entry))
}
