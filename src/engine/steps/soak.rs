//! It must stay ready for a while after it is back in traffic.

use tokio::time::Instant;

use super::{StepEnd, StepResult, Turn, traffic_end};
use crate::cycle::{Expectation, Gate, SoakGate};
use crate::engine::context::Stopwatch;
use crate::event::EventKind;
use crate::model::{Admin, Failure};

/// Watches the host until it stayed ready, and in traffic, for the whole stretch.
pub(in crate::engine) async fn soak(turn: &mut Turn<'_>) -> StepResult {
    let stretch = turn.context.job.strategy.soak;
    if stretch.is_zero() || !turn.host.belongs_in_traffic() {
        return Ok(());
    }
    let policy = turn.context.job.ready.clone();
    let want = Expectation::of_target(&policy, &turn.context.job.version);
    let (watch, started) = (Stopwatch::start(), Instant::now());
    let mut gate = SoakGate::new(stretch, &policy);
    let mut next = started;
    loop {
        let answer = turn.ports.probe.ask(policy.timeout).await;
        let mut judged = want.judge(&answer);
        if judged.is_ok() && started.elapsed() >= stretch {
            judged = in_traffic(turn).await?;
        }
        match gate.take(judged, started.elapsed()) {
            Gate::Pass => break,
            Gate::GiveUp(reason) => return Err(StepEnd::Failed(Failure::new(reason))),
            Gate::Wait => {}
        }
        let whole = started + stretch;
        next = (next + policy.period).max(Instant::now());
        // The last probe comes when the stretch is over, and not a period later.
        let until = if Instant::now() < whole {
            next.min(whole)
        } else {
            next
        };
        turn.pause_until(until).await?;
    }
    let seconds = turn.host.spent("soak", watch.elapsed());
    turn.say(EventKind::HostSoaked {
        host: turn.name.clone(),
        batch: turn.batch,
        flaps: gate.flaps(),
        seconds,
    })
    .await;
    Ok(())
}

async fn in_traffic(turn: &Turn<'_>) -> StepResult<Result<(), String>> {
    let what = "its balancers could not be read";
    let servers = turn
        .context
        .traffic
        .servers(&turn.host.found())
        .await
        .map_err(|error| traffic_end(what, error))?;
    if super::reset::tell_again(turn, &servers).await? {
        return Ok(Err("ready, but a balancer had to be told again".to_owned()));
    }
    let unfit = servers.iter().find(|(entry, seen)| {
        entry.admin == Admin::Ready && seen.admin == Admin::Ready && !seen.usable
    });
    Ok(match unfit {
        Some((entry, _)) => Err(format!(
            "ready, but balancer `{}` finds `{}/{}` unfit",
            entry.balancer, entry.pool, entry.server
        )),
        None => Ok(()),
    })
}
