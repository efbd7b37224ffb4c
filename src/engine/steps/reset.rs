//! A balancer that was reloaded or restarted after the host was put back: what it shows is not what it was told, and not an operator's.
//!
//! A reload forgets what a balancer was told; one that loads a saved state may bring back a drain of before (F9).

use super::{StepResult, Turn, traffic_end};
use crate::event::EventKind;
use crate::model::{Admin, FoundTraffic, ServerSeen};

const WHAT: &str = "it could not be put back into traffic";

/// Notes which processes were told that the host is ready; to be called when they are.
pub(super) async fn note(turn: &Turn<'_>, told: &[FoundTraffic]) {
    for entry in told {
        if let Some(process) = turn.context.traffic.process(&entry.balancer).await {
            let mut ledger = turn.host.ledger();
            ledger.told.insert(entry.balancer.clone(), process);
        }
    }
}

/// Tells balancers again whose process is another one than was told, and shows the host's servers out of traffic. Returns whether any was.
pub(super) async fn tell_again(
    turn: &Turn<'_>,
    servers: &[(FoundTraffic, ServerSeen)],
) -> StepResult<bool> {
    let mut forgotten = Vec::new();
    for (entry, seen) in servers {
        if entry.admin != Admin::Ready || seen.admin == Admin::Ready {
            continue;
        }
        let told = turn.host.ledger().told.get(&entry.balancer).cloned();
        let now = turn.context.traffic.process(&entry.balancer).await;
        if told.is_some() && now.is_some() && told != now {
            forgotten.push((entry.clone(), seen.state()));
        }
    }
    if forgotten.is_empty() {
        return Ok(false);
    }
    let entries: Vec<FoundTraffic> = forgotten.iter().map(|(entry, _)| entry.clone()).collect();
    {
        let _turn = turn.context.traffic.turn(turn.name).await;
        let told = turn.context.traffic.tell(turn.name, &entries, Admin::Ready);
        told.await.map_err(|error| traffic_end(WHAT, error))?;
    }
    note(turn, &entries).await;
    for (entry, state) in forgotten {
        turn.say(EventKind::BalancerReset {
            balancer: entry.balancer.to_string(),
            host: turn.name.clone(),
            pool: entry.pool.to_string(),
            server: entry.server.to_string(),
            seen: state.as_str().to_owned(),
        })
        .await;
    }
    Ok(true)
}
