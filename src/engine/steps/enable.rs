//! Back into traffic, as found.

use std::time::Duration;

use tokio::time::Instant;

use super::drain::leave_out;
use super::prove::prove_current;
use super::{StepEnd, StepResult, Turn, cut, ramp, reset, traffic_end};
use crate::cycle::gate::human;
use crate::engine::context::Stopwatch;
use crate::event::EventKind;
use crate::model::{Admin, Failure, FoundTraffic, RecordStep, ServerSeen};
use crate::plan::Standing;

const WHAT: &str = "it could not be put back into traffic";

/// Between two looks at a balancer whose own checks have not noticed the host yet.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Checks run every second or less; hosts of a batch share one reading.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Puts the host back on the new release.
pub(in crate::engine) async fn enable(turn: &mut Turn<'_>) -> StepResult {
    put_back(turn, RecordStep::Enable, true).await
}

/// How a server's weight is put back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    /// As found, at once.
    AsFound,
    /// By the steps of its ramp.
    Ramp,
}

/// Puts the host into traffic for a person, whoever took it out, once what runs there is ready (R2).
pub(in crate::engine) async fn enable_by_hand(turn: &mut Turn<'_>) -> StepResult {
    prove_current(turn).await?;
    let watch = Stopwatch::start();
    turn.say(EventKind::HostEnabling {
        host: turn.name.clone(),
        batch: turn.batch,
    })
    .await;
    let servers = turn.context.traffic.servers(&turn.host.found()).await;
    let servers = servers.map_err(|error| traffic_end(WHAT, error))?;
    let ready: Vec<FoundTraffic> = servers
        .into_iter()
        .map(|(entry, seen)| FoundTraffic {
            admin: Admin::Ready,
            // A drain by hand let it rest, and left no word of it.
            agent: seen.agent || seen.agent_rests,
            ..entry
        })
        .collect();
    turn.host.ledger().found.clone_from(&ready);
    {
        let _turn = turn.context.traffic.turn(turn.name).await;
        turn.cycle.begin();
        let told = turn.context.traffic.tell(turn.name, &ready, Admin::Ready);
        told.await.map_err(|error| traffic_end(WHAT, error))?;
    }
    wait_until_usable(turn).await?;
    let seconds = turn.host.spent("enable", watch.elapsed());
    turn.say(EventKind::HostEnabled {
        host: turn.name.clone(),
        batch: turn.batch,
        seconds,
    })
    .await;
    Ok(())
}

/// Puts the host back as it was found. One that was not usable then is told, and not waited for.
pub(in crate::engine) async fn restore(turn: &mut Turn<'_>) -> StepResult {
    let wait = turn.host.planned.standing == Standing::InTraffic;
    put_back(turn, RecordStep::Restore, wait).await
}

async fn put_back(turn: &mut Turn<'_>, step: RecordStep, wait: bool) -> StepResult {
    let watch = Stopwatch::start();
    if !turn.host.belongs_in_traffic() {
        turn.context.traffic.let_go(turn.name);
        turn.say(EventKind::Log {
            level: crate::event::Level::Info,
            text: "stays out of traffic, as an operator left it".to_owned(),
            host: Some(turn.name.clone()),
        })
        .await;
        return Ok(());
    }
    let record = turn.context.record(turn.host, step);
    let kind = EventKind::HostEnabling {
        host: turn.name.clone(),
        batch: turn.batch,
    };
    let ((), written) = futures::join!(turn.say_step(kind), turn.write_record(&record));
    written?;
    let weights = match step {
        RecordStep::Enable => Weights::Ramp,
        RecordStep::Planned
        | RecordStep::Drain
        | RecordStep::Swap
        | RecordStep::SwapBack
        | RecordStep::Restore
        | RecordStep::Passed
        | RecordStep::Stranded => Weights::AsFound,
    };
    let was_cut = !turn.host.ledger().cut.is_empty();
    let told = tell_ready(turn, weights).await?;
    if was_cut {
        // From now on a server in maintenance is somebody else's word.
        let record = turn.context.record(turn.host, step);
        turn.write_record(&record).await?;
    }
    if wait {
        wait_until_usable(turn).await?;
    }
    turn.host.ledger().enabled = true;
    if weights == Weights::Ramp {
        ramp::climb(turn, &told).await?;
    }
    let seconds = turn.host.spent("enable", watch.elapsed());
    turn.say_step(EventKind::HostEnabled {
        host: turn.name.clone(),
        batch: turn.batch,
        seconds,
    })
    .await;
    Ok(())
}

/// Tells the balancers, but for those where an operator took the server further out meanwhile.
async fn tell_ready(turn: &mut Turn<'_>, weights: Weights) -> StepResult<Vec<FoundTraffic>> {
    let traffic = &turn.context.traffic;
    let _turn = traffic.turn(turn.name).await;
    let servers = traffic
        .servers(&turn.host.found())
        .await
        .map_err(|error| traffic_end(WHAT, error))?;
    let is_theirs = |(entry, seen): &&(FoundTraffic, ServerSeen)| {
        // One that tracks another inherits its state.
        seen.admin == Admin::Maint && !cut::was_cut(turn, entry) && seen.tracks.is_none()
    };
    let ours = servers
        .iter()
        .filter(|(entry, _)| entry.admin == Admin::Ready);
    let (theirs, ours): (Vec<_>, Vec<_>) = ours.partition(is_theirs);
    let ready: Vec<FoundTraffic> = ours
        .iter()
        .map(|server| as_change(turn, server, weights))
        .collect();
    for (entry, _) in theirs {
        let text = format!(
            "`{}/{}` was put into maintenance by somebody else: it stays so",
            entry.pool, entry.server
        );
        turn.context.warn(Some(turn.name), text).await;
        leave_out(turn, entry, Admin::Maint);
        if entry.agent {
            let left = FoundTraffic {
                admin: Admin::Maint,
                weight: None,
                ..entry.clone()
            };
            let told = traffic.hand_over(turn.name, std::slice::from_ref(&left));
            told.await.map_err(|error| traffic_end(WHAT, error))?;
        }
    }
    traffic.let_go(turn.name);
    turn.cycle.begin();
    traffic
        .tell(turn.name, &ready, Admin::Ready)
        .await
        .map_err(|error| traffic_end(WHAT, error))?;
    turn.host.ledger().cut.clear();
    reset::note(turn, &ready).await;
    Ok(ours.iter().map(|(entry, _)| entry.clone()).collect())
}

/// A weight is told only where it is not what was found, or where it is to rise in steps.
fn as_change(
    turn: &Turn<'_>,
    (entry, seen): &(FoundTraffic, ServerSeen),
    weights: Weights,
) -> FoundTraffic {
    let first = match weights {
        Weights::Ramp => ramp::first_weight(turn.context, entry),
        Weights::AsFound => None,
    };
    let wanted = first.or(entry.weight);
    let weight = wanted.filter(|_| seen.weight != wanted);
    FoundTraffic {
        weight,
        ..entry.clone()
    }
}

/// Waits until every balancer sends requests there again, as far as its own checks allow.
async fn wait_until_usable(turn: &mut Turn<'_>) -> StepResult {
    let started = Instant::now();
    let limit = turn.context.job.ready.deadline;
    let mut pause = FIRST_PAUSE;
    loop {
        let servers = turn
            .context
            .traffic
            .servers(&turn.host.found())
            .await
            .map_err(|error| traffic_end(WHAT, error))?;
        if reset::tell_again(turn, &servers).await? {
            if started.elapsed() >= limit {
                let text = format!(
                    "its balancers forgot again and again, for {}, that it is in traffic: they are being restarted",
                    human(limit)
                );
                return Err(StepEnd::Failed(Failure::new(text)));
            }
            turn.pause(LONGEST_PAUSE).await?;
            continue;
        }
        for (entry, seen) in servers
            .iter()
            .filter(|(entry, seen)| entry.admin == Admin::Ready && seen.admin != Admin::Ready)
        {
            let text = format!(
                "`{}/{}` was taken out of traffic again by somebody else: it stays out",
                entry.pool, entry.server
            );
            turn.context.warn(Some(turn.name), text).await;
            leave_out(turn, entry, seen.admin);
        }
        let Some((entry, _)) = servers.iter().find(|(entry, seen)| {
            entry.admin == Admin::Ready && seen.admin == Admin::Ready && !seen.usable
        }) else {
            return Ok(());
        };
        if started.elapsed() >= limit {
            let text = format!(
                "balancer `{}` did not find `{}/{}` fit within {}: its own health check fails, though the host is ready",
                entry.balancer,
                entry.pool,
                entry.server,
                human(limit)
            );
            return Err(StepEnd::Failed(Failure::new(text)));
        }
        turn.pause(pause).await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
