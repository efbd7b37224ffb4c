//! `drain` and `enable` by hand: with the locks, waits and gates of a rollout, and without its records (F7).

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::ending::Closing;
use super::setting::context;
use super::{between, give_back, locked, say_started};
use crate::cycle::{Ending, HostCycle, Order};
use crate::drivers::host::{FinishOrder, RecordEnd};
use crate::engine::context::Context;
use crate::engine::finish::Reports;
use crate::engine::inspect::{self, HostLooks};
use crate::engine::lease::Leases;
use crate::engine::locks::{self, Taken};
use crate::engine::steps::{self, StepEnd, Turn};
use crate::engine::worker::HostReport;
use crate::engine::{Job, StopWish, World, batch, ends};
use crate::event::{Emitter, EventKind};
use crate::model::{Admin, Failure, HostFacts, HostName, Outcome};
use crate::plan::by_hand;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Out of traffic, until nothing is in flight.
    Drain,
    /// Into traffic, once it is ready.
    Enable,
}

/// Takes the chosen hosts out of traffic, or puts them back, and returns how it ended.
pub async fn maintain(
    job: Job,
    world: World,
    emitter: Arc<Emitter>,
    (way, mut stop): (ByHand, watch::Receiver<StopWish>),
) -> Outcome {
    let closing = Closing::new(&job, &emitter);
    say_started(&job, &emitter).await;
    let leases = Arc::new(Leases::new(Arc::clone(&world.clock), world.hosts.clone()));
    let stopped = || vec!["stopped before the first change".to_owned()];
    let said = (leases.as_ref(), emitter.as_ref());
    let (mut looks, settle) = match locks::take(&job, &world, said, &mut stop).await {
        Taken::All { hosts, settle } => (hosts, settle),
        Taken::Held(reason) => return closing.without_plan(Outcome::Locked, vec![reason]).await,
        Taken::Stopped => return closing.without_plan(Outcome::Interrupted, stopped()).await,
    };
    inspect::learn_from_records(&mut looks);
    let names = locked(&looks);
    emitter
        .say(EventKind::LockAcquired {
            hosts: names.clone(),
        })
        .await;
    let keeper = Arc::clone(&leases);
    let _keeper = AbortOnDropHandle::new(tokio::spawn(async move { keeper.keep(names).await }));
    tokio::time::sleep(settle).await;
    let (facts, problems) = inspect::facts(&job, &world, looks.clone()).await;
    let mut plan = match way {
        ByHand::Drain => by_hand::drain(&facts),
        ByHand::Enable => by_hand::enable(&facts),
    };
    plan.refused.extend(problems);
    let is_stopped = *stop.borrow() > StopWish::None;
    if is_stopped || !plan.refused.is_empty() {
        give_back(&job, &world, &emitter, &looks).await;
        let (outcome, reasons) = if is_stopped {
            (Outcome::Interrupted, stopped())
        } else {
            (Outcome::Refused, plan.refused.clone())
        };
        return closing.with_plan(outcome, reasons, &plan).await;
    }
    let context = Arc::new(context(job, world, plan, emitter, leases, &looks));
    let orders = watch::Sender::new(Order::Go);
    let work = all(&context, way, &orders);
    tokio::pin!(work);
    let (reports, is_stopped) = tokio::select! {
        biased;
        () = between::stopped(&mut stop) => {
            // Waits end; an act under way is never cut off.
            orders.send_replace(Order::Revert);
            (work.await, true)
        }
        reports = &mut work => (reports, false),
    };
    close(&context, &looks, (way, reports, is_stopped), &closing).await
}

/// What becomes of the words about a host that an earlier rollout left stranded: put back, it is none any more; drained by hand, it is
/// the operator's, and no rollout's to enable (F7).
fn earlier_words(facts: &HostFacts, way: ByHand) -> Option<RecordEnd> {
    let record = facts.record.read()?;
    Some(match way {
        ByHand::Enable if record.stranded.is_some() => RecordEnd::Remove,
        ByHand::Enable => return None,
        ByHand::Drain => {
            let mut record = record.clone();
            for entry in &mut record.found {
                entry.admin = Admin::Drain;
            }
            RecordEnd::Put(Box::new(record))
        }
    })
}

async fn all(context: &Arc<Context>, way: ByHand, orders: &watch::Sender<Order>) -> Reports {
    let hosts = context.hosts.keys();
    let each = hosts.map(|name| one(context, name, (way, orders.subscribe())));
    let reports = join_all(each).await.into_iter().flatten();
    reports
        .map(|report| (report.host.clone(), report))
        .collect()
}

async fn one(
    context: &Arc<Context>,
    name: &HostName,
    (way, mut heard): (ByHand, watch::Receiver<Order>),
) -> Option<HostReport> {
    let (host, ports) = (context.host(name)?, context.ports(name)?);
    let mut cycle = HostCycle::new(batch::traits(context, name)?, &[]);
    let mut turn = Turn {
        context,
        host,
        ports,
        name,
        batch: 1,
        orders: &mut heard,
        cycle: &mut cycle,
    };
    let (step, result) = match way {
        ByHand::Drain => ("drain", steps::drain_by_hand(&mut turn).await),
        ByHand::Enable => ("enable", steps::enable_by_hand(&mut turn).await),
    };
    context.traffic.let_go(name);
    let failure = match result {
        Ok(()) => None,
        Err(StepEnd::Steered) => Some(Failure::new("it was stopped")),
        Err(
            StepEnd::Failed(failure)
            | StepEnd::NoRoom(failure)
            | StepEnd::Lost(failure)
            | StepEnd::Fenced(failure),
        ) => Some(failure),
    };
    if let Some(failure) = &failure {
        context
            .say(EventKind::HostFailed {
                host: name.clone(),
                batch: 1,
                step: step.to_owned(),
                failure: failure.clone(),
                logs: Vec::new(),
            })
            .await;
    }
    let ending = if failure.is_none() {
        Ending::Passed
    } else {
        Ending::Returned
    };
    Some(HostReport {
        host: name.clone(),
        ending,
        failure,
        mend: Vec::new(),
        was_swapped: false,
        was_touched: true,
    })
}

/// Releases the locks, and tells how it ended. A host that is enabled again is no stranded one any more.
async fn close(
    context: &Arc<Context>,
    looks: &HostLooks,
    (way, reports, is_stopped): (ByHand, Reports, bool),
    closing: &Closing,
) -> Outcome {
    for (name, look) in looks {
        let passed = reports
            .get(name)
            .is_some_and(|report| report.ending == Ending::Passed);
        if let (Ok(facts), Some(ports), true) = (look, context.ports(name), passed)
            && let Some(record) = earlier_words(facts, way)
        {
            let order = FinishOrder {
                record,
                ..FinishOrder::default()
            };
            if let Err(error) = ports.driver.finish(&order).await {
                let text = format!("its record as a stranded host could not be changed: {error}");
                context.warn(Some(name), text).await;
            }
        }
    }
    for name in looks.keys() {
        context.leases.retire(name);
    }
    give_back(&context.job, &context.world, &context.emitter, looks).await;
    let failed: Vec<String> = reports
        .values()
        .filter_map(|report| {
            let failure = report.failure.as_ref()?;
            Some(format!("host `{}`: {}", report.host, failure.line()))
        })
        .collect();
    let lost = context.leases.lost_reason();
    let (outcome, reasons) = match (lost, is_stopped, failed.is_empty()) {
        (Some(reason), ..) => (Outcome::Locked, vec![reason]),
        (None, true, _) => (Outcome::Interrupted, vec!["interrupted".to_owned()]),
        (None, false, true) => (Outcome::Succeeded, Vec::new()),
        (None, false, false) => (Outcome::Partial, failed),
    };
    let seen = context.traffic.observe_all().await.unwrap_or_default();
    let ends = ends::host_ends(&context.plan, &context.hosts, &reports, &seen);
    closing.finished(outcome, reasons, ends).await
}
