//! Closing a host's doors: telling balancers to send it nothing, when the bounds allow it, and no sooner (R1).

use tokio::time::Instant;

use super::drain::{LONGEST_PAUSE, WHAT};
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
    let started = Instant::now();
    loop {
        let refused = {
            let _gate = turn.context.traffic.gate().await;
            let refused = refused(turn, way).await?;
            if refused.is_none() {
                turn.cycle.begin();
                return take_out(turn).await;
            }
            refused
        };
        if let Some(reason) = refused
            && started.elapsed() >= turn.context.job.ready.deadline
        {
            return Err(StepEnd::Failed(Failure::new(format!(
                "it is not taken out: {reason}"
            ))));
        }
        turn.pause(LONGEST_PAUSE).await?;
    }
}

/// Why the host may not go now; `None`: it may.
async fn refused(turn: &Turn<'_>, way: Way) -> StepResult<Option<String>> {
    let end = |error| traffic_end(WHAT, error);
    let context = turn.context;
    let servers = context
        .traffic
        .servers(&turn.host.found())
        .await
        .map_err(end)?;
    let serves = servers.iter().any(|(_, seen)| seen.usable);
    if !serves || turn.host.planned.standing != Standing::InTraffic {
        // It takes nothing away from anybody.
        return Ok(None);
    }
    if let Some(reason) = bound::emptied_by(context, turn.name, &servers)
        .await
        .map_err(end)?
    {
        return Ok(Some(reason));
    }
    let this = std::slice::from_ref(turn.name);
    let room = bound::room(context, this).await.map_err(end)?;
    let alone = context.traffic.held().iter().all(|host| host == turn.name);
    if room > 0 || (way == Way::Back && alone) {
        return Ok(None);
    }
    let most = context.plan.max_unavailable;
    Ok(Some(format!(
        "{most} hosts, the most allowed, are out of traffic already"
    )))
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
