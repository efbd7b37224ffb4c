//! Closing a host's doors: telling balancers to send it nothing, when the bounds allow it, and no sooner (R1).

use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::drain::{LONGEST_PAUSE, WHAT, respect_operator, respect_operator_again};
use super::{StepEnd, StepResult, Turn, traffic_end};
use crate::engine::bound;
use crate::engine::context::Context;
use crate::engine::traffic::{Reading, TrafficError, servers_in};
use crate::model::{Admin, Failure, FoundTraffic, HostName, ServerSeen};
use crate::plan::Standing;

/// Which way a host is going when it is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To its swap.
    Forward,
    /// Back: then one host at a time may go also where others use the bound up.
    Back,
}

/// What a server is to be while its host is held out: drained, in maintenance where clients stuck to it, or as an operator left it.
fn closed(entry: &FoundTraffic, cut: &[FoundTraffic]) -> Admin {
    match entry.admin {
        Admin::Ready if cut.iter().any(|cut| cut.is_same_server(entry)) => Admin::Maint,
        Admin::Ready => Admin::Drain,
        Admin::Drain | Admin::Maint => entry.admin,
    }
}

/// Closes doors that stand open although the host is held out; under the host's turn.
pub(in crate::engine) async fn close(
    context: &Context,
    name: &HostName,
    open: &[FoundTraffic],
) -> Result<(), TrafficError> {
    let cut = context.host(name).map(|host| host.ledger().cut.clone());
    let cut = cut.unwrap_or_default();
    for admin in [Admin::Drain, Admin::Maint] {
        let these = open.iter().filter(|entry| closed(entry, &cut) == admin);
        let these: Vec<FoundTraffic> = these.cloned().collect();
        if !these.is_empty() {
            context.traffic.tell(name, &these, admin).await?;
        }
    }
    Ok(())
}

/// The same from a step.
pub(super) async fn close_again(turn: &Turn<'_>, open: &[FoundTraffic]) -> StepResult {
    let _turn = turn.context.traffic.turn(turn.name).await;
    close(turn.context, turn.name, open)
        .await
        .map_err(|error| traffic_end(WHAT, error))
}

/// Takes the host out when the bounds allow it: asked, and done, while nobody else of this run does.
pub(super) async fn take_out_when_allowed(turn: &mut Turn<'_>, way: Way) -> StepResult {
    let mut started = Instant::now();
    loop {
        // Read before the gate, so that hosts of a batch share a reading; what others of this run decided since then, `held` tells.
        let seen = turn.context.traffic.observe_all().await;
        let seen = seen.map_err(|error| traffic_end(WHAT, error))?;
        let gate = turn.context.traffic.gate().await;
        // What was ordered, or lost, while others were asked.
        turn.pause(Duration::ZERO).await?;
        let servers = servers_in(&seen, &turn.host.found());
        let servers = servers.map_err(|error| traffic_end(WHAT, error))?;
        match way {
            Way::Forward => respect_operator(turn, &servers).await,
            Way::Back => respect_operator_again(turn, &servers).await,
        }
        let refused = refused(turn, way, (&seen, &servers));
        if refused.is_none() {
            turn.cycle.begin();
            return take_out(turn, gate).await;
        }
        drop(gate);
        if way == Way::Back && !is_alone(turn) {
            // Others of this run are on their way back, and each ends in its own time.
            started = Instant::now();
        }
        if let Some(refusal) = refused
            && started.elapsed() >= turn.context.job.ready.deadline
        {
            let failure = Failure::new(format!("it is not taken out: {}", refusal.reason));
            return Err(match way {
                Way::Forward if refusal.by_others => StepEnd::NoRoom(failure),
                Way::Forward | Way::Back => StepEnd::Failed(failure),
            });
        }
        turn.pause(LONGEST_PAUSE).await?;
    }
}

/// Why a host may not go.
struct Refusal {
    reason: String,
    /// Whether it is only that others, outside its batch, use the bound up.
    by_others: bool,
}

/// Whether no other host is held out by this run.
fn is_alone(turn: &Turn<'_>) -> bool {
    let held = turn.context.traffic.held();
    held.iter().all(|host| host == turn.name)
}

/// Why the host may not go now; `None`: it may.
fn refused(
    turn: &Turn<'_>,
    way: Way,
    (seen, servers): (&Reading, &[(FoundTraffic, ServerSeen)]),
) -> Option<Refusal> {
    let context = turn.context;
    if !servers.iter().any(|(_, seen)| seen.usable) {
        // It takes nothing away from anybody.
        return None;
    }
    let goes_back_alone = way == Way::Back && is_alone(turn);
    let floors = if goes_back_alone {
        bound::Floors::Waived
    } else {
        bound::Floors::Kept
    };
    if let Some(few) = bound::emptied_by(context, seen, turn.name, servers, floors) {
        return Some(Refusal {
            reason: few.reason,
            by_others: !few.is_empty,
        });
    }
    if turn.host.planned.standing != Standing::InTraffic {
        return None;
    }
    let this = std::slice::from_ref(turn.name);
    let room = bound::room_in(context, seen, this);
    if room > 0 || goes_back_alone {
        return None;
    }
    let most = context.plan.max_unavailable;
    Some(Refusal {
        reason: format!("{most} hosts, the most allowed, are out of traffic already"),
        by_others: true,
    })
}

/// Tells every balancer, and lets the watch keep it so. From here on the host counts as out, so the gate is open for others while the
/// balancers are told: where that costs a reload, hosts of a batch share it.
async fn take_out(turn: &Turn<'_>, gate: MutexGuard<'_, ()>) -> StepResult {
    let _turn = turn.context.traffic.turn(turn.name).await;
    let mut ours = turn.host.found();
    ours.retain(|entry| entry.admin == Admin::Ready);
    turn.host.ledger().enabled = false;
    turn.context.traffic.hold(turn.name);
    drop(gate);
    let told = turn
        .context
        .traffic
        .tell(turn.name, &ours, Admin::Drain)
        .await;
    told.map_err(|error| traffic_end(WHAT, error))
}
