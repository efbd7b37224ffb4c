//! `[traffic.ramp]`: a host gets its requests back in steps of the weight that was found, and must stay ready on each.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::drain::leave_out;
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

/// One server's next weight, and how many percent that is.
type Rise = (FoundTraffic, u8);

/// Which servers rise how long after the first step, all of a time together.
fn stairs(context: &Context, told: &[FoundTraffic]) -> BTreeMap<Duration, Vec<Rise>> {
    let mut stairs: BTreeMap<Duration, Vec<Rise>> = BTreeMap::new();
    for entry in told {
        let Some((ramp, weight)) = of(context, entry) else {
            continue;
        };
        for (step, percent) in (1u32..).zip(ramp.steps.iter().skip(1)) {
            let weight = Some(Ramp::share(weight, *percent));
            let entry = FoundTraffic {
                weight,
                ..entry.clone()
            };
            let stair = stairs.entry(ramp.every * step).or_default();
            stair.push((entry, *percent));
        }
    }
    stairs
}

/// Raises the weights of `told` step by step, up to what was found.
pub(super) async fn climb(turn: &mut Turn<'_>, told: &[FoundTraffic]) -> StepResult {
    let mut before = Duration::ZERO;
    for (at, rises) in stairs(turn.context, told) {
        stay_ready(turn, at.saturating_sub(before)).await?;
        before = at;
        for rise in rises {
            raise(turn, rise).await?;
        }
    }
    Ok(())
}

async fn raise(turn: &Turn<'_>, (entry, percent): Rise) -> StepResult {
    let traffic = &turn.context.traffic;
    let _turn = traffic.turn(turn.name).await;
    let seen = traffic.servers(std::slice::from_ref(&entry)).await;
    let seen = seen.map_err(|error| traffic_end(WHAT, error))?;
    let out = seen.iter().find(|(_, seen)| seen.admin != Admin::Ready);
    if let Some((_, seen)) = out {
        return hand_over(turn, &entry, seen.admin).await;
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
    Ok(())
}

/// Somebody took the server out on its way up: it stays out, and gets its whole weight, for whoever puts it back.
async fn hand_over(turn: &Turn<'_>, entry: &FoundTraffic, admin: Admin) -> StepResult {
    let found = turn.host.found();
    let found = found.iter().find(|found| found.is_same_server(entry));
    let left = FoundTraffic {
        admin,
        weight: found.and_then(|found| found.weight),
        ..entry.clone()
    };
    let left = [left];
    let told = turn.context.traffic.hand_over(turn.name, &left);
    told.await.map_err(|error| traffic_end(WHAT, error))?;
    if found.is_some_and(|found| found.admin == Admin::Ready) {
        let text = format!(
            "`{}/{}` was taken out of traffic again by somebody else: it stays out",
            entry.pool, entry.server
        );
        turn.context.warn(Some(turn.name), text).await;
        leave_out(turn, entry, admin);
    }
    Ok(())
}

/// Watches the host until it stayed ready for `stretch`, which is never zero; one that does not fails.
async fn stay_ready(turn: &mut Turn<'_>, stretch: Duration) -> StepResult {
    let policy = turn.context.job.ready.clone();
    let want = Expectation::of_target(&policy, &turn.context.job.version);
    let started = Instant::now();
    let mut gate = SoakGate::new(stretch, &policy);
    loop {
        let answer = turn.ports.probe.ask(policy.timeout).await;
        match gate.take(want.judge(&answer), started.elapsed()) {
            Gate::Pass => return Ok(()),
            Gate::GiveUp(reason) => return Err(StepEnd::Failed(Failure::new(reason))),
            Gate::Wait => {}
        }
        let (now, end) = (Instant::now(), started + stretch);
        let next = now + policy.period;
        turn.pause_until(if now < end { next.min(end) } else { next })
            .await?;
    }
}
