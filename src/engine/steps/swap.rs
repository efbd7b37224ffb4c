//! The release is switched and started, forward or back.

use std::time::Duration;

use tokio::time::Instant;

use super::{RECONNECT, RECONNECT_PAUSE, StepEnd, StepResult, Turn, host_end};
use crate::cycle::Step;
use crate::drivers::host::{HostError, LockWish, SwapOrder, SwapTo, Swapped};
use crate::engine::context::Stopwatch;
use crate::event::EventKind;
use crate::model::{Failure, RecordStep, ReleaseRef, Run};

/// How long an earlier script on the host may still be at work before that is a failure.
const SCRIPT_ENDS: Duration = Duration::from_secs(120);

/// Swaps the new release in.
pub(in crate::engine) async fn swap(turn: &mut Turn<'_>) -> StepResult {
    let watch = Stopwatch::start();
    let revision = turn.context.revision();
    turn.host.ledger().swapped = true;
    // What runs now: before a rollout that is gone on with it may be either release.
    let running = turn.host.ledger().runs.clone();
    let leaving = running.or_else(|| turn.host.planned.current.clone());
    let order = SwapOrder {
        to: SwapTo::Release(turn.host.release.clone()),
        leaving: leaving
            .as_ref()
            .map(|release| recipe(turn, release))
            .transpose()?,
        entering: turn
            .context
            .run_forward(turn.name, turn.host)
            .map_err(StepEnd::Failed)?,
        record: turn.context.record(turn.host, RecordStep::Swap),
        expect: None,
    };
    turn.say(EventKind::HostSwapping {
        host: turn.name.clone(),
        batch: turn.batch,
        revision,
    })
    .await;
    debug_assert_eq!(turn.cycle.next(), crate::cycle::Action::Do(Step::Swap));
    turn.cycle.begin();
    turn.host.ledger().runs = None;
    carry_out(turn, &order, "the new release could not be swapped in").await?;
    turn.host.ledger().runs = Some(turn.host.release.clone());
    let seconds = turn.host.spent("swap", watch.elapsed());
    turn.say(EventKind::HostSwapped {
        host: turn.name.clone(),
        batch: turn.batch,
        revision,
        seconds,
    })
    .await;
    Ok(())
}

/// Swaps the release before back in; where there was none, stops what was started.
pub(in crate::engine) async fn swap_back(turn: &mut Turn<'_>) -> StepResult {
    let watch = Stopwatch::start();
    let target = recipe(turn, &turn.host.release)?;
    let (to, leaving, entering) = match turn.host.planned.current.clone() {
        Some(before) => {
            let entering = recipe(turn, &before)?;
            (SwapTo::Release(before), Some(target), entering)
        }
        None => (SwapTo::Nothing, Some(target.clone()), target),
    };
    let order = SwapOrder {
        to,
        leaving,
        entering: entering.going_back(),
        record: turn.context.record(turn.host, RecordStep::SwapBack),
        expect: None,
    };
    turn.host.ledger().runs = None;
    let what = "the release before could not be swapped back in";
    carry_out(turn, &order, what).await?;
    turn.host
        .ledger()
        .runs
        .clone_from(&turn.host.planned.current);
    turn.host.spent("revert", watch.elapsed());
    Ok(())
}

fn recipe(turn: &Turn<'_>, release: &ReleaseRef) -> StepResult<Run> {
    turn.context
        .world
        .recipes
        .run(turn.name, release)
        .map_err(|reason| StepEnd::Failed(Failure::new(reason)))
}

/// Does it; when nobody knows whether it happened, looks at the host first and then does it again, since it converges.
async fn carry_out(turn: &Turn<'_>, order: &SwapOrder, what: &str) -> StepResult {
    let started = Instant::now();
    let swapped = loop {
        turn.still_ours()?;
        let sent = turn.context.leases.now();
        let result = turn.ports.driver.swap(order).await;
        turn.context.leases.learn(turn.name, sent, &result);
        match result {
            Ok(swapped) => break swapped,
            Err(error) if may_try_again(&error) && started.elapsed() < RECONNECT + SCRIPT_ENDS => {
                turn.context
                    .warn(
                        Some(turn.name),
                        format!("{error}; looking at the host before anything else"),
                    )
                    .await;
                settle(turn, &error, what).await?;
            }
            Err(error) => return Err(host_end(what, error)),
        }
    };
    complain(turn, &swapped).await;
    Ok(())
}

fn may_try_again(error: &HostError) -> bool {
    // A garbled answer comes from a script that ended, so doing it again answers the same.
    matches!(error, HostError::Transport(error) if error.outcome_unknown() || super::is_away(error))
}

/// Waits until the host answers and no script is at work there.
async fn settle(turn: &Turn<'_>, cause: &HostError, what: &str) -> StepResult {
    let started = Instant::now();
    loop {
        match turn.ports.driver.inspect(&LockWish::Look).await {
            Ok(facts) if !facts.running => return Ok(()),
            Ok(_) if started.elapsed() < SCRIPT_ENDS => {}
            Ok(_) => {
                return Err(StepEnd::Lost(Failure::caused(
                    format!("{what}: an earlier script is still at work"),
                    cause,
                )));
            }
            Err(_) if started.elapsed() < RECONNECT => {}
            Err(error) => return Err(StepEnd::Lost(Failure::caused(what, &error))),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn complain(turn: &Turn<'_>, swapped: &Swapped) {
    if let Some(complaint) = &swapped.stop_complaint {
        turn.context
            .warn(
                Some(turn.name),
                format!("the stop command failed, and the swap went on: {complaint}"),
            )
            .await;
    }
}
