//! The sequence of a rollout.
//!
//! * Here: from the first look to the plan, and everything that ends a run before it began.
//! * [`resumed`]: what is different where a rollout is gone on with.
//! * [`run`]: from staging to the last batch. * [`between`]: what stands between two batches. * [`back`]: `revert-all`.
//! * [`by_hand`]: `drain` and `enable`.
//! * [`setting`]: what all of it shares. [`ending`]: records, locks, the last event.

mod back;
mod between;
mod by_hand;
mod ending;
mod resumed;
mod run;
mod setting;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub use self::by_hand::{ByHand, maintain};
use self::ending::Closing;
use self::run::Run;
use self::setting::context;
use super::finish;
use super::inspect::{self, HostLooks};
use super::lease::Leases;
use super::locks::{self, Taken};
use super::{Job, StopWish, World};
use crate::event::{Emitter, EventKind};
use crate::model::{HostName, LockSeen, Outcome};
use crate::plan::{Course, HostAction, Plan, PlannedHost, Start};

/// Runs a rollout from its first look to its last event, and returns how it ended.
pub async fn deploy(
    job: Job,
    world: World,
    emitter: Arc<Emitter>,
    mut stop: watch::Receiver<StopWish>,
) -> Outcome {
    let closing = Closing::new(&job, &emitter);
    say_started(&job, &emitter).await;
    let deadline = Instant::now() + job.strategy.deadline;
    let leases = Arc::new(Leases::new(Arc::clone(&world.clock), world.hosts.clone()));
    let stopped = || vec!["stopped before the first change".to_owned()];
    let said = (leases.as_ref(), emitter.as_ref());
    let (mut hosts, settle) = match locks::take(&job, &world, said, &mut stop).await {
        Taken::All { hosts, settle } => (hosts, settle),
        Taken::Held(reason) => return closing.without_plan(Outcome::Locked, vec![reason]).await,
        Taken::Stopped => return closing.without_plan(Outcome::Interrupted, stopped()).await,
    };
    inspect::learn_from_records(&mut hosts);
    emitter
        .say(EventKind::LockAcquired {
            hosts: locked(&hosts),
        })
        .await;
    let keeper = Arc::clone(&leases);
    let names = locked(&hosts);
    let _keeper = AbortOnDropHandle::new(tokio::spawn(async move { keeper.keep(names).await }));
    let looking = async {
        tokio::time::sleep(settle).await;
        inspect::facts(&job, &world, hosts.clone()).await
    };
    let looked = tokio::select! {
        biased;
        () = between::stopped(&mut stop) => None,
        looked = looking => Some(looked),
    };
    let Some((facts, problems)) = looked else {
        give_back(&job, &world, &emitter, &hosts).await;
        return closing.without_plan(Outcome::Interrupted, stopped()).await;
    };
    let plan = inspect::plan(&facts, problems);
    say_plan(&emitter, &plan).await;
    if !plan.refused.is_empty() {
        let reasons = plan.refused.clone();
        give_back(&job, &world, &emitter, &hosts).await;
        return closing.with_plan(Outcome::Refused, reasons, &plan).await;
    }
    if *stop.borrow_and_update() > StopWish::None {
        give_back(&job, &world, &emitter, &hosts).await;
        return closing
            .with_plan(Outcome::Interrupted, stopped(), &plan)
            .await;
    }
    let context = Arc::new(context(job, world, plan, emitter, leases, &hosts));
    Run::new(context, hosts, (deadline, stop), closing)
        .go()
        .await
}

async fn say_started(job: &Job, emitter: &Emitter) {
    let hosts = job.fleet.iter().map(|member| member.spec.name.clone());
    let kind = EventKind::RolloutStarted {
        command: job.command.clone(),
        service: job.service.to_string(),
        version: job.version.clone(),
        hosts: hosts.collect(),
    };
    emitter.say(kind).await;
}

fn locked(hosts: &HostLooks) -> Vec<HostName> {
    hosts
        .iter()
        .filter(|(_, look)| matches!(look, Ok(facts) if facts.lock == LockSeen::Ours))
        .map(|(name, _)| name.clone())
        .collect()
}

async fn give_back(job: &Job, world: &World, emitter: &Emitter, hosts: &HostLooks) {
    let released = finish::give_back(job, world, hosts).await;
    emitter
        .say(EventKind::LockReleased { hosts: released })
        .await;
}

async fn say_plan(emitter: &Emitter, plan: &Plan) {
    let skipped: BTreeMap<HostName, String> = plan
        .hosts
        .iter()
        .filter(|host| host.chosen && host.action != HostAction::Update)
        .map(|host| (host.host.clone(), host.reason.clone()))
        .collect();
    emitter
        .say(EventKind::RolloutPlanned {
            revision: plan.revision,
            batches: said_batches(plan),
            skipped: skipped.clone(),
            least_usable: plan.least_usable,
            warnings: plan.warnings.clone(),
        })
        .await;
    for (host, reason) in skipped {
        emitter.say(EventKind::HostSkipped { host, reason }).await;
    }
}

/// Where everything goes back, those that do stand for a batch.
fn said_batches(plan: &Plan) -> Vec<Vec<HostName>> {
    let goes_back = |host: &&PlannedHost| matches!(host.start, Start::Back { .. });
    match &plan.resumed {
        Some(resumed) if resumed.course != Course::Forward => {
            let back = plan.hosts.iter().filter(goes_back);
            vec![back.map(|host| host.host.clone()).collect()]
        }
        _ => plan.batches.clone(),
    }
}
