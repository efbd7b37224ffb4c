//! What runs must prove itself before it gets traffic (R2).

use tokio::time::Instant;

use super::{StepEnd, StepResult, Turn};
use crate::cycle::{Expectation, Gate, ReadyGate};
use crate::engine::context::Stopwatch;
use crate::event::EventKind;
use crate::model::{Failure, ReadyPolicy};

/// The new release must be ready, on its own version.
pub(in crate::engine) async fn prove(turn: &mut Turn<'_>) -> StepResult {
    let expectation = Expectation::of_target(&turn.context.job.ready, &turn.context.job.version);
    prove_as(turn, expectation).await
}

/// What runs there, whatever that is, must be ready; on the version that rollgate gave it, where it did.
pub(super) async fn prove_current(turn: &mut Turn<'_>) -> StepResult {
    let mut policy = turn.context.job.ready.clone();
    let current = turn.host.planned.current.as_ref();
    let known = current.and_then(|current| current.version.clone());
    if known.is_none() {
        policy.version = None;
    }
    let version = known.unwrap_or_else(|| turn.context.job.version.clone());
    prove_as(turn, Expectation::of_target(&policy, &version)).await
}

async fn prove_as(turn: &mut Turn<'_>, expectation: Expectation) -> StepResult {
    let policy = turn.context.job.ready.clone();
    let watch = Stopwatch::start();
    let url = turn.ports.probe.url().to_owned();
    turn.say(EventKind::HostProbing {
        host: turn.name.clone(),
        batch: turn.batch,
        url: url.clone(),
    })
    .await;
    let passed = ask_until_ready(turn, &policy, &expectation).await;
    let seconds = turn.host.spent("ready", watch.elapsed());
    let (probes, version) = passed.map_err(|end| named(end, &url))?;
    turn.say(EventKind::HostReady {
        host: turn.name.clone(),
        batch: turn.batch,
        probes,
        version,
        seconds,
    })
    .await;
    Ok(())
}

fn named(end: StepEnd, url: &str) -> StepEnd {
    match end {
        StepEnd::Failed(failure) => StepEnd::Failed(failure.with_hint(format!("asked {url}"))),
        other @ (StepEnd::Steered | StepEnd::NoRoom(_) | StepEnd::Lost(_) | StepEnd::Fenced(_)) => {
            other
        }
    }
}

/// What was there before must show again what it showed when it was found.
pub(in crate::engine) async fn prove_before(turn: &mut Turn<'_>) -> StepResult {
    let policy = turn.context.job.ready.clone();
    let proof = &turn.host.planned.proof;
    let Some(expectation) = Expectation::of_before(&policy, proof, &turn.context.job.version)
    else {
        return Ok(());
    };
    if !turn.host.belongs_in_traffic() {
        return Ok(());
    }
    let watch = Stopwatch::start();
    let url = turn.ports.probe.url().to_owned();
    turn.say_step(EventKind::HostProbing {
        host: turn.name.clone(),
        batch: turn.batch,
        url: url.clone(),
    })
    .await;
    let policy = ReadyPolicy {
        failure_threshold: 0,
        ..policy
    };
    let passed = ask_until_ready(turn, &policy, &expectation).await;
    let seconds = turn.host.spent("revert", watch.elapsed());
    let (probes, version) = passed.map_err(|end| named(end, &url))?;
    turn.say_step(EventKind::HostReady {
        host: turn.name.clone(),
        batch: turn.batch,
        probes,
        version,
        seconds,
    })
    .await;
    Ok(())
}

/// Asks until the gate decides: the first probe at once, the next ones a period apart, start to start.
async fn ask_until_ready(
    turn: &mut Turn<'_>,
    policy: &ReadyPolicy,
    want: &Expectation,
) -> StepResult<(u32, Option<String>)> {
    let started = Instant::now();
    let mut gate = ReadyGate::new(policy);
    turn.pause(policy.initial_delay).await?;
    let mut next = Instant::now();
    loop {
        let answer = turn.ports.probe.ask(policy.timeout).await;
        match gate.take(want.judge(&answer), started.elapsed()) {
            Gate::Pass => return Ok((gate.probes(), answer.version)),
            Gate::GiveUp(reason) => return Err(StepEnd::Failed(Failure::new(reason))),
            Gate::Wait => {}
        }
        next = (next + policy.period).max(Instant::now());
        turn.pause_until(next).await?;
    }
}
