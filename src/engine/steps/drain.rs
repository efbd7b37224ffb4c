//! Out of traffic on every balancer, until nothing is in flight.

use std::time::Duration;

use tokio::time::Instant;

use super::cut;
use super::doors::{Way, close_again, take_out_when_allowed};
use super::{StepEnd, StepResult, Turn, traffic_end};
use crate::cycle::gate::human;
use crate::engine::bound;
use crate::engine::context::Stopwatch;
use crate::event::EventKind;
use crate::model::{Admin, Failure, FoundTraffic, OnDrainTimeout, RecordStep, ServerSeen};

/// Nothing in flight must be seen twice in a row: a request that was on its way to the server when it was drained shows up in between.
const CALM_READINGS: u32 = 2;

/// For how long nothing may be in flight on a server that clients stick to: they come back between two thoughts.
const STICKY_CALM: Duration = Duration::from_secs(1);

/// The first pause between two readings; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Hosts of a batch share one reading, so that a balancer gets few questions.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(60);

pub(super) const WHAT: &str = "it could not be taken out of traffic";

/// Takes the host out for its swap.
pub(in crate::engine) async fn drain(turn: &mut Turn<'_>) -> StepResult {
    let watch = Stopwatch::start();
    let kind = EventKind::HostDraining {
        host: turn.name.clone(),
        batch: turn.batch,
    };
    let record = turn.context.record(turn.host, RecordStep::Drain);
    let ((), written) = futures::join!(turn.say(kind), turn.write_record(&record));
    written?;
    take_out_when_allowed(turn, Way::Forward).await?;
    if let Some(left) = wait_until_idle(turn, wait_of(turn, true, Some(RecordStep::Drain))).await? {
        let text = format!("{left} after {}", human(turn.context.job.drain.timeout));
        match turn.context.job.drain.on_timeout {
            OnDrainTimeout::Fail => {
                let hint = "raise `drain.timeout`, or set `drain.on_timeout = \"continue\"`";
                return Err(StepEnd::Failed(Failure::new(text).with_hint(hint)));
            }
            OnDrainTimeout::Continue => {
                turn.context
                    .warn(
                        Some(turn.name),
                        format!("{text}; it is swapped all the same"),
                    )
                    .await;
            }
        }
    }
    let seconds = turn.host.spent("drain", watch.elapsed());
    turn.say(EventKind::HostDrained {
        host: turn.name.clone(),
        batch: turn.batch,
        seconds,
    })
    .await;
    Ok(())
}

/// Takes the host out for a person, and leaves it so. No record: from now on it is an operator's.
pub(in crate::engine) async fn drain_by_hand(turn: &mut Turn<'_>) -> StepResult {
    let watch = Stopwatch::start();
    turn.say(EventKind::HostDraining {
        host: turn.name.clone(),
        batch: turn.batch,
    })
    .await;
    take_out_when_allowed(turn, Way::Forward).await?;
    if let Some(left) = wait_until_idle(turn, wait_of(turn, false, None)).await? {
        let limit = human(turn.context.job.drain.timeout);
        let text = format!("it is out of traffic, but {left} after {limit}");
        return Err(StepEnd::Failed(Failure::new(text)));
    }
    let seconds = turn.host.spent("drain", watch.elapsed());
    turn.say(EventKind::HostDrained {
        host: turn.name.clone(),
        batch: turn.batch,
        seconds,
    })
    .await;
    Ok(())
}

/// Takes the host out again before its swap is taken back. Requests that do not end in time do not keep a bad release in traffic.
pub(in crate::engine) async fn drain_again(turn: &mut Turn<'_>) -> StepResult {
    let watch = Stopwatch::start();
    turn.say_step(EventKind::HostDraining {
        host: turn.name.clone(),
        batch: turn.batch,
    })
    .await;
    let record = turn.context.record(turn.host, RecordStep::SwapBack);
    turn.write_record(&record).await?;
    take_out_when_allowed(turn, Way::Back).await?;
    let wait = wait_of(turn, false, Some(RecordStep::SwapBack));
    if let Some(left) = wait_until_idle(turn, wait).await? {
        turn.context
            .warn(
                Some(turn.name),
                format!("{left}; it is taken back all the same"),
            )
            .await;
    }
    let seconds = turn.host.spent("drain", watch.elapsed());
    turn.say_step(EventKind::HostDrained {
        host: turn.name.clone(),
        batch: turn.batch,
        seconds,
    })
    .await;
    Ok(())
}

/// A server that somebody took out since the plan was made is an operator's: it is put back as that person left it (R4).
pub(super) async fn respect_operator(turn: &Turn<'_>, servers: &[(FoundTraffic, ServerSeen)]) {
    let held = turn.context.traffic.is_held(turn.name);
    let inherited = turn.host.planned.found.clone();
    for (entry, seen) in servers {
        let was_out_at_plan = turn.host.planned.traffic.iter().any(|at_plan| {
            entry.is_at(&at_plan.balancer, &at_plan.pool, &at_plan.server) && is_out(at_plan.state)
        });
        if entry.admin == Admin::Ready
            && seen.admin != Admin::Ready
            && !held
            && !was_out_at_plan
            && inherited.contains(entry)
        {
            let text = format!(
                "`{}/{}` was taken out of traffic by somebody else: the host is updated and stays out",
                entry.pool, entry.server
            );
            turn.context.warn(Some(turn.name), text).await;
            leave_out(turn, entry, seen.admin);
        }
    }
}

/// The same after the host was put back: whoever took it out since then is not rollgate.
pub(super) async fn respect_operator_again(
    turn: &Turn<'_>,
    servers: &[(FoundTraffic, ServerSeen)],
) {
    if !turn.host.ledger().enabled {
        return;
    }
    for (entry, seen) in servers {
        if entry.admin == Admin::Ready && seen.admin != Admin::Ready {
            let text = format!(
                "`{}/{}` was taken out of traffic by somebody else: it is taken back and stays out",
                entry.pool, entry.server
            );
            turn.context.warn(Some(turn.name), text).await;
            leave_out(turn, entry, seen.admin);
        }
    }
}

fn is_out(state: crate::model::TrafficState) -> bool {
    matches!(
        state,
        crate::model::TrafficState::Drain | crate::model::TrafficState::Maint
    )
}

/// From now on `entry` counts as found in `admin` state.
pub(super) fn leave_out(turn: &Turn<'_>, entry: &FoundTraffic, admin: Admin) {
    for found in &mut turn.host.ledger().found {
        if found.is_same_server(entry) {
            found.admin = admin;
        }
    }
}

fn wait_of(turn: &Turn<'_>, guards_capacity: bool, step: Option<RecordStep>) -> Wait {
    Wait {
        limit: turn.context.job.drain.timeout,
        guards_capacity,
        step,
    }
}

/// What is asked of a wait until nothing is in flight.
#[derive(Clone, Copy)]
struct Wait {
    /// For how long; clients that stick are then cut off, where that is asked for, and get as long again.
    limit: Duration,
    /// Whether the host is given back when too little of a pool is left.
    guards_capacity: bool,
    /// How far the host's record is to say it is; `None`: it has none.
    step: Option<RecordStep>,
}

/// Waits until no balancer shows anything in flight. `Some`: what was left when the limit passed, in words.
async fn wait_until_idle(turn: &mut Turn<'_>, wait: Wait) -> StepResult<Option<String>> {
    let mut started = Instant::now();
    let (mut calm, mut pause) = (Calm::default(), FIRST_PAUSE);
    let mut guard = wait.guards_capacity;
    loop {
        let servers = turn
            .context
            .traffic
            .servers(&turn.host.found())
            .await
            .map_err(|error| traffic_end(WHAT, error))?;
        if std::mem::take(&mut guard)
            && let Some(reason) = bound::left_empty(turn.context, turn.host, &servers)
                .await
                .map_err(|error| traffic_end(WHAT, error))?
        {
            return Err(StepEnd::Failed(Failure::new(format!(
                "it is given back: {reason}"
            ))));
        }
        let is_open = |(entry, seen): &(FoundTraffic, ServerSeen)| {
            (seen.admin == Admin::Ready).then(|| entry.clone())
        };
        let open: Vec<FoundTraffic> = servers.iter().filter_map(is_open).collect();
        let left: u64 = servers.iter().map(|(_, seen)| seen.in_flight).sum();
        let settling = servers.iter().any(|(_, seen)| seen.settling);
        let due = cut::due(turn.context, &servers);
        let is_over = started.elapsed() >= wait.limit;
        if !open.is_empty() {
            close_again(turn, &open).await?;
        }
        let is_calm = open.is_empty() && left == 0 && !settling;
        let is_sticky =
            |(_, seen): &(FoundTraffic, ServerSeen)| seen.sticky && seen.admin == Admin::Drain;
        let is_any_sticky = servers.iter().any(is_sticky);
        let calm_enough = calm.take(is_calm, is_any_sticky);
        if (calm_enough || is_over) && !due.is_empty() {
            cut::cut(turn, due, wait.step).await?;
            (calm, started) = (Calm::default(), Instant::now());
            continue;
        }
        if calm_enough {
            return Ok(None);
        }
        // A first calm reading at the very end gets its second one.
        if is_over && (!is_calm || is_any_sticky) {
            return Ok(Some(if left > 0 {
                format!("{left} requests were still in flight")
            } else if settling {
                "a balancer still needed time to notice".to_owned()
            } else {
                "clients that stick to it still came back".to_owned()
            }));
        }
        turn.pause(if is_calm { FIRST_PAUSE } else { pause })
            .await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// For how long nothing was in flight.
#[derive(Default)]
struct Calm {
    readings: u32,
    since: Option<Instant>,
}

impl Calm {
    /// Takes one reading; returns whether it was calm for long enough. Clients that stick to the server come at any time, so there it
    /// must be calm for longer.
    fn take(&mut self, is_calm: bool, is_sticky: bool) -> bool {
        if !is_calm {
            *self = Self::default();
            return false;
        }
        self.readings += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        self.readings >= CALM_READINGS && (!is_sticky || since.elapsed() >= STICKY_CALM)
    }
}
