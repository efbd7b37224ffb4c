//! Closing a host's doors: telling balancers to send it nothing, when the bounds allow it, and no sooner (R1).

use std::time::Duration;

use tokio::time::Instant;

use super::drain::{LONGEST_PAUSE, WHAT, respect_operator, respect_operator_again};
use super::{StepEnd, StepResult, Turn, traffic_end};
use crate::engine::bound;
use crate::engine::context::Context;
use crate::engine::traffic::TrafficError;
use crate::model::{Admin, Failure, FoundTraffic, HostName};
use crate::plan::Standing;

/// Which way a host is going when it is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To its swap.
    Forward,
    /// Back: then one host at a time may go also where others use the bound up.
    Back,
}

/// What a server is to be while its host is held out: drained, or as an operator left it.
fn closed(entry: &FoundTraffic) -> Admin {
    match entry.admin {
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
    for admin in [Admin::Drain, Admin::Maint] {
        let these = open.iter().filter(|entry| closed(entry) == admin);
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
        let refused = {
            let _gate = turn.context.traffic.gate().await;
            // What was ordered, or lost, while others were asked.
            turn.pause(Duration::ZERO).await?;
            match way {
                Way::Forward => respect_operator(turn).await?,
                Way::Back => respect_operator_again(turn).await?,
            }
            let refused = refused(turn, way).await?;
            if refused.is_none() {
                turn.cycle.begin();
                return take_out(turn).await;
            }
            refused
        };
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
async fn refused(turn: &Turn<'_>, way: Way) -> StepResult<Option<Refusal>> {
    let end = |error| traffic_end(WHAT, error);
    let context = turn.context;
    let servers = context
        .traffic
        .servers(&turn.host.found())
        .await
        .map_err(end)?;
    let serves = servers.iter().any(|(_, seen)| seen.usable);
    if !serves {
        // It takes nothing away from anybody.
        return Ok(None);
    }
    if let Some(reason) = bound::emptied_by(context, turn.name, &servers)
        .await
        .map_err(end)?
    {
        let by_others = false;
        return Ok(Some(Refusal { reason, by_others }));
    }
    if turn.host.planned.standing != Standing::InTraffic {
        return Ok(None);
    }
    let this = std::slice::from_ref(turn.name);
    let room = bound::room(context, this).await.map_err(end)?;
    if room > 0 || (way == Way::Back && is_alone(turn)) {
        return Ok(None);
    }
    let most = context.plan.max_unavailable;
    Ok(Some(Refusal {
        reason: format!("{most} hosts, the most allowed, are out of traffic already"),
        by_others: true,
    }))
}

/// Tells every balancer, and lets the watch keep it so.
async fn take_out(turn: &Turn<'_>) -> StepResult {
    let _turn = turn.context.traffic.turn(turn.name).await;
    let mut ours = turn.host.found();
    ours.retain(|entry| entry.admin == Admin::Ready);
    turn.host.ledger().enabled = false;
    turn.context.traffic.hold(turn.name);
    let told = turn
        .context
        .traffic
        .tell(turn.name, &ours, Admin::Drain)
        .await;
    told.map_err(|error| traffic_end(WHAT, error))
}
