//! One host's task: asks its cycle what is next, does it, and tells how it went.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::context::{Context, HostContext};
use super::steps::{self, StepEnd, StepResult, Turn};
use super::{HostPorts, hooks};
use crate::cycle::{Action, Ending, HostCycle, Order, Step, Undo};
use crate::event::EventKind;
use crate::model::{Failure, FoundTraffic, HookPoint, HostName, LOG_LINES, Revision};

/// What a worker tells its batch.
#[derive(Debug)]
pub(super) enum News {
    /// It failed, and goes back (or stays out) by itself.
    Failed(HostName),
    /// It waits for the gate.
    AtGate(HostName),
    /// It was not begun, since others use up what may be out of traffic: why.
    NoRoom(String),
    /// Its lock is not ours any more.
    Fenced,
}

/// How a host's cycle ended.
#[derive(Debug, Clone)]
pub(super) struct HostReport {
    pub(super) host: HostName,
    pub(super) ending: Ending,
    pub(super) failure: Option<Failure>,
    pub(super) mend: Vec<String>,
    pub(super) was_swapped: bool,
    /// Whether anything was begun there.
    pub(super) was_touched: bool,
}

/// Takes one host through `cycle` to its end.
pub(super) async fn run(
    context: Arc<Context>,
    name: HostName,
    batch: usize,
    mut cycle: HostCycle,
    mut orders: watch::Receiver<Order>,
    news: mpsc::UnboundedSender<News>,
) -> HostReport {
    let (Some(host), Some(ports)) = (context.host(&name), context.ports(&name)) else {
        return HostReport {
            host: name,
            ending: Ending::Returned,
            failure: None,
            mend: Vec::new(),
            was_swapped: false,
            was_touched: false,
        };
    };
    let (mut gate_told, mut revert_told) = (false, false);
    let ending = loop {
        cycle.steer(*orders.borrow_and_update());
        match cycle.next() {
            Action::End(ending) => break ending,
            Action::AwaitGate => {
                if !std::mem::replace(&mut gate_told, true) {
                    tell(&news, News::AtGate(name.clone()));
                }
                if orders.changed().await.is_err() {
                    cycle.strand(Failure::new("its batch ended before its gate was decided"));
                }
            }
            action @ (Action::Do(_) | Action::Undo(_)) => {
                let swapped = cycle.was_swapped();
                if matches!(action, Action::Undo(_))
                    && swapped
                    && !std::mem::replace(&mut revert_told, true)
                {
                    say_reverting(&context, host, &name, batch).await;
                }
                let mut turn = Turn {
                    context: &context,
                    host,
                    ports,
                    name: &name,
                    batch,
                    orders: &mut orders,
                    cycle: &mut cycle,
                };
                let result = perform(&mut turn, action).await;
                account(&mut turn, action, result, &news).await;
            }
        }
    };
    conclude(
        &context,
        host,
        ports,
        &cycle,
        Place {
            name,
            batch,
            ending,
        },
    )
    .await
}

fn tell(news: &mpsc::UnboundedSender<News>, what: News) {
    // A batch that stopped listening has already decided.
    drop(news.send(what));
}

async fn perform(turn: &mut Turn<'_>, action: Action) -> StepResult {
    match action {
        Action::Do(Step::Hook(point)) => hooks::at_host(turn, point).await,
        Action::Do(Step::Drain) => steps::drain(turn).await,
        Action::Do(Step::Swap) => steps::swap(turn).await,
        Action::Do(Step::Prove) => steps::prove(turn).await,
        Action::Do(Step::Enable) => steps::enable(turn).await,
        Action::Do(Step::Soak) => steps::soak(turn).await,
        Action::Undo(Undo::DrainAgain) => steps::drain_again(turn).await,
        Action::Undo(Undo::SwapBack) => {
            hooks::at_host_warning(turn, HookPoint::OnRevert).await;
            steps::swap_back(turn).await
        }
        Action::Undo(Undo::ProveBefore) => steps::prove_before(turn).await,
        Action::Undo(Undo::Restore) => steps::restore(turn).await,
        Action::AwaitGate | Action::End(_) => Ok(()),
    }
}

/// Tells the cycle how it went, and the world about a failure.
async fn account(
    turn: &mut Turn<'_>,
    action: Action,
    result: StepResult,
    news: &mpsc::UnboundedSender<News>,
) {
    let (failure, lost) = match result {
        Ok(()) => return turn.cycle.done(),
        Err(StepEnd::Steered) => return,
        Err(StepEnd::Fenced(failure)) => {
            turn.cycle.strand(failure);
            return tell(news, News::Fenced);
        }
        Err(StepEnd::NoRoom(failure)) => {
            let reason = failure.line();
            turn.cycle.turn_back(failure);
            return tell(news, News::NoRoom(reason));
        }
        Err(StepEnd::Failed(failure)) => (failure, false),
        Err(StepEnd::Lost(failure)) => (failure, true),
    };
    if let Action::Do(step) = action {
        let logs = if lost {
            Vec::new()
        } else {
            last_words(turn, step).await
        };
        turn.host.ledger().logs.clone_from(&logs);
        let (host, batch) = (turn.name.clone(), turn.batch);
        turn.say(EventKind::HostFailed {
            host,
            batch,
            step: step.as_str().to_owned(),
            failure: failure.clone(),
            logs,
        })
        .await;
        turn.context.note_failed(turn.name);
        hooks::after_failure(turn).await;
    }
    if lost && turn.cycle.was_touched() {
        turn.cycle.strand(failure);
    } else {
        turn.cycle.fail(failure);
    }
    if matches!(action, Action::Do(_)) {
        tell(news, News::Failed(turn.name.clone()));
    }
}

/// The service's last log lines, where the new release may have written them.
async fn last_words(turn: &Turn<'_>, step: Step) -> Vec<String> {
    if !turn.cycle.was_swapped() && step != Step::Swap {
        return Vec::new();
    }
    let Ok(run) = turn
        .context
        .world
        .recipes
        .run(turn.name, &turn.host.release)
    else {
        return Vec::new();
    };
    turn.ports
        .driver
        .logs(&run, LOG_LINES)
        .await
        .unwrap_or_default()
}

async fn say_reverting(context: &Context, host: &HostContext, name: &HostName, batch: usize) {
    let revision = host
        .planned
        .current
        .as_ref()
        .map(|current| current.revision);
    context
        .say(EventKind::HostReverting {
            host: name.clone(),
            batch,
            revision,
        })
        .await;
}

struct Place {
    name: HostName,
    batch: usize,
    ending: Ending,
}

/// Says how the host ended; one that needs a person keeps the words in its own record.
async fn conclude(
    context: &Context,
    host: &HostContext,
    ports: &HostPorts,
    cycle: &HostCycle,
    place: Place,
) -> HostReport {
    let Place {
        name,
        batch,
        ending,
    } = place;
    let mut mend = Vec::new();
    match ending {
        Ending::Reverted => {
            let revision: Option<Revision> = host
                .planned
                .current
                .as_ref()
                .map(|current| current.revision);
            let seconds = host
                .ledger()
                .durations
                .get("revert")
                .copied()
                .unwrap_or_default();
            context
                .say(EventKind::HostReverted {
                    host: name.clone(),
                    batch,
                    revision,
                    seconds,
                })
                .await;
        }
        Ending::Stranded | Ending::HeldOut => {
            mend = mend_commands(context, host, &name);
            let seen = cycle
                .failure()
                .map_or_else(|| "left out of traffic".to_owned(), Failure::line);
            strand(context, host, ports, &name, (&seen, &mend)).await;
            context
                .say(EventKind::HostStranded {
                    host: name.clone(),
                    batch,
                    seen,
                    mend: mend.clone(),
                })
                .await;
        }
        Ending::Passed | Ending::Returned => {}
    }
    context.traffic.let_go(&name);
    context.traffic.expect_no_more(&name);
    HostReport {
        host: name,
        ending,
        failure: cycle.failure().cloned(),
        mend,
        was_swapped: cycle.was_swapped(),
        was_touched: cycle.was_touched(),
    }
}

async fn strand(
    context: &Context,
    host: &HostContext,
    ports: &HostPorts,
    name: &HostName,
    words: (&str, &[String]),
) {
    if context.leases.lost_reason().is_some() {
        return;
    }
    let servers = context
        .traffic
        .servers(&host.found())
        .await
        .unwrap_or_default();
    let left: Vec<FoundTraffic> = servers
        .into_iter()
        .map(|(entry, seen)| FoundTraffic {
            admin: seen.admin,
            usable: seen.usable,
            weight: seen.weight,
            agent: seen.agent,
            ..entry
        })
        .collect();
    let record = context.stranded_record(host, words.0, words.1, left);
    let sent = context.leases.now();
    let result = ports.driver.write_record(&record).await;
    context.leases.learn(name, sent, &result);
}

fn mend_commands(context: &Context, host: &HostContext, name: &HostName) -> Vec<String> {
    let mut mend = vec![format!(
        "look at the service on `{name}`, mend it, and check {}",
        host.spec.ready_url
    )];
    for entry in host
        .found()
        .iter()
        .filter(|entry| entry.admin == crate::model::Admin::Ready)
    {
        if let Some(driver) = context.traffic.driver(&entry.balancer) {
            mend.push(driver.enable_by_hand(&entry.pool, &entry.server));
        }
    }
    mend.push(
        "or run `rollgate deploy` again with a release that works: it mends the host first"
            .to_owned(),
    );
    mend
}
