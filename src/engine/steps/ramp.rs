//! `[traffic.ramp]`: a host gets its requests back in steps of the weight that was found, and must stay ready on each.

use std::time::Duration;

use tokio::time::Instant;

use super::{StepEnd, StepResult, Turn, traffic_end};
use crate::cycle::{Expectation, Gate, SoakGate};
use crate::engine::context::Context;
use crate::event::{EventKind, Level};
use crate::model::{Admin, Failure, FoundTraffic, Ramp};

const WHAT: &str = "its weight could not be raised";

/// The ramp of one server and the weight that it goes up to; `None`: it has none, or its weight cannot be divided.
fn of<'a>(context: &'a Context, entry: &FoundTraffic) -> Option<(&'a Ramp, u32)> {
    let policy = context
        .job
        .strategy
        .traffic
        .pool(&entry.balancer, &entry.pool)?;
    let weight = entry.weight.filter(|weight| *weight > 1)?;
    Some((policy.ramp.as_ref()?, weight))
}

/// The weight with which a server begins: that of the first step, or as found.
pub(super) fn first_weight(context: &Context, entry: &FoundTraffic) -> Option<u32> {
    let (ramp, weight) = of(context, entry)?;
    Some(Ramp::share(weight, *ramp.steps.first()?))
}

/// Raises the weights of `told` step by step, up to what was found.
pub(super) async fn climb(turn: &mut Turn<'_>, told: &[FoundTraffic]) -> StepResult {
    let started = Instant::now();
    // One stair of all servers: at which time which of them gets which weight.
    let mut stairs: Vec<(Duration, FoundTraffic, u8)> = Vec::new();
    for entry in told {
        let Some((ramp, weight)) = of(turn.context, entry) else {
            continue;
        };
        for (step, percent) in (1u32..).zip(ramp.steps.iter().skip(1)) {
            let weight = Some(Ramp::share(weight, *percent));
            let entry = FoundTraffic {
                weight,
                ..entry.clone()
            };
            stairs.push((ramp.every * step, entry, *percent));
        }
    }
    stairs.sort_by_key(|(at, _, _)| *at);
    for (at, entry, percent) in stairs {
        stay_ready(turn, started + at).await?;
        let traffic = &turn.context.traffic;
        let _turn = traffic.turn(turn.name).await;
        let seen = traffic.servers(std::slice::from_ref(&entry)).await;
        let seen = seen.map_err(|error| traffic_end(WHAT, error))?;
        if seen.iter().any(|(_, seen)| seen.admin != Admin::Ready) {
            // An operator's now: its weight is put back with the host, or by that person.
            continue;
        }
        let told = traffic.tell(turn.name, std::slice::from_ref(&entry), Admin::Ready);
        told.await.map_err(|error| traffic_end(WHAT, error))?;
        turn.say(EventKind::Log {
            level: Level::Info,
            text: format!(
                "`{}/{}` gets {percent}% of its weight",
                entry.pool, entry.server
            ),
            host: Some(turn.name.clone()),
        })
        .await;
    }
    Ok(())
}

/// Watches the host until `end`; one that does not stay ready fails.
async fn stay_ready(turn: &mut Turn<'_>, end: Instant) -> StepResult {
    let policy = turn.context.job.ready.clone();
    let want = Expectation::of_target(&policy, &turn.context.job.version);
    let started = Instant::now();
    let stretch = end.saturating_duration_since(started);
    let mut gate = SoakGate::new(stretch, &policy);
    loop {
        let answer = turn.ports.probe.ask(policy.timeout).await;
        match gate.take(want.judge(&answer), started.elapsed()) {
            Gate::Pass => return Ok(()),
            Gate::GiveUp(reason) => return Err(StepEnd::Failed(Failure::new(reason))),
            Gate::Wait => {}
        }
        let now = Instant::now();
        let next = now + policy.period;
        turn.pause_until(if now < end { next.min(end) } else { next })
            .await?;
    }
}
