//! The sequence: look and lock, plan, record and stage, batches, finish.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::batch::{self, BatchVerdict, Limits};
use super::context::{Context, HostContext, HostLedger, Stopwatch, rounded};
use super::finish::{self, History, Reports};
use super::inspect::{self, HostLooks};
use super::lease::Leases;
use super::locks::{self, Taken};
use super::outcome::{RunEnd, decide};
use super::traffic::Traffic;
use super::{Job, StopWish, World, bound, hooks, staging, watch as balancer_watch, worker};
use crate::cycle::{Ending, HostCycle, Order};
use crate::event::{Emitter, EventKind, Level};
use crate::model::{Failure, HookPoint, HostName, LockSeen, OnFailure, Outcome, Pause, Target};
use crate::plan::{HostAction, Plan, Standing, release};

/// Between two looks while others use the bound up.
const BOUND_PAUSE: Duration = Duration::from_secs(1);

/// Runs a rollout from its first look to its last event, and returns how it ended.
pub async fn deploy(
    job: Job,
    world: World,
    emitter: Arc<Emitter>,
    mut stop: watch::Receiver<StopWish>,
) -> Outcome {
    let watch = Stopwatch::start();
    emitter
        .say(EventKind::RolloutStarted {
            command: job.command.clone(),
            service: job.service.to_string(),
            version: job.version.clone(),
            hosts: job
                .fleet
                .iter()
                .map(|member| member.spec.name.clone())
                .collect(),
        })
        .await;
    let deadline = Instant::now() + job.strategy.deadline;
    let closing = Closing {
        emitter: Arc::clone(&emitter),
        watch,
    };
    let leases = Arc::new(Leases::new(Arc::clone(&world.clock), world.hosts.clone()));
    let (hosts, settle) = match locks::take(&job, &world, &leases, &emitter).await {
        Taken::All { hosts, settle } => (hosts, settle),
        Taken::Held(reason) => return closing.without_plan(Outcome::Locked, vec![reason]).await,
    };
    emitter
        .say(EventKind::LockAcquired {
            hosts: locked(&hosts),
        })
        .await;
    let keeper = Arc::clone(&leases);
    let names = locked(&hosts);
    let _keeper = AbortOnDropHandle::new(tokio::spawn(async move { keeper.keep(names).await }));
    tokio::time::sleep(settle).await;
    let (facts, problems) = inspect::facts(&job, &world, hosts.clone()).await;
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
            .with_plan(
                Outcome::Interrupted,
                vec!["stopped before the first change".to_owned()],
                &plan,
            )
            .await;
    }
    let context = Arc::new(context(job, world, plan, emitter, leases, &hosts));
    Run {
        context,
        looks: hosts,
        deadline,
        stop,
        reports: Reports::new(),
        failures: 0,
        batch: 0,
        closing,
    }
    .go()
    .await
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
        .filter(|host| host.action != HostAction::Update)
        .map(|host| (host.host.clone(), host.reason.clone()))
        .collect();
    emitter
        .say(EventKind::RolloutPlanned {
            revision: plan.revision,
            batches: plan.batches.clone(),
            skipped: skipped.clone(),
            least_usable: plan.least_usable,
            warnings: plan.warnings.clone(),
        })
        .await;
    for (host, reason) in skipped {
        emitter.say(EventKind::HostSkipped { host, reason }).await;
    }
}

fn context(
    job: Job,
    world: World,
    plan: Plan,
    emitter: Arc<Emitter>,
    leases: Arc<Leases>,
    looks: &HostLooks,
) -> Context {
    let mut hosts = BTreeMap::new();
    for member in &job.fleet {
        let name = &member.spec.name;
        let planned = plan
            .host(name)
            .filter(|host| host.action == HostAction::Update);
        let (Some(planned), Some(Ok(facts))) = (planned, looks.get(name)) else {
            continue;
        };
        let target = Target {
            revision: plan.revision,
            version: job.version.clone(),
            sha256: job.artifact.sha256.clone(),
            config: member.config.clone(),
        };
        let ledger = HostLedger {
            found: planned.found.clone(),
            ..HostLedger::default()
        };
        hosts.insert(
            name.clone(),
            HostContext {
                spec: member.spec.clone(),
                planned: planned.clone(),
                facts: facts.clone(),
                release: release::release_ref(&member.spec.root, plan.revision, &job.version),
                target,
                state: Mutex::new(ledger),
            },
        );
    }
    let traffic = Traffic::new(
        world.balancers.clone(),
        inspect::pools(&job),
        hosts.keys().cloned(),
        Arc::clone(&leases),
    );
    Context {
        job,
        world,
        plan,
        emitter,
        leases,
        traffic,
        hosts,
        hooks: Mutex::default(),
        failed: Mutex::default(),
    }
}

/// Why no further batch is begun, with words for people.
struct Ended {
    end: RunEnd,
    reason: Option<String>,
}

impl Ended {
    fn new(end: RunEnd, reason: impl Into<String>) -> Self {
        Self {
            end,
            reason: Some(reason.into()),
        }
    }
}

/// A rollout whose plan stands.
struct Run {
    context: Arc<Context>,
    looks: HostLooks,
    deadline: Instant,
    stop: watch::Receiver<StopWish>,
    reports: Reports,
    failures: usize,
    batch: usize,
    closing: Closing,
}

impl Run {
    async fn go(mut self) -> Outcome {
        if self.context.plan.is_empty() {
            return self.nothing_to_do().await;
        }
        if let Some(outcome) = self.prepare().await {
            return outcome;
        }
        let ended = {
            let context = Arc::clone(&self.context);
            let _watch = AbortOnDropHandle::new(tokio::spawn(balancer_watch::keep(context)));
            let mut ended = self.batches().await;
            if ended.end == RunEnd::BatchFailed
                && self.context.job.strategy.on_failure == OnFailure::RevertAll
            {
                self.revert_earlier().await;
            }
            if ended.end == RunEnd::Completed {
                ended = self.after_rollout(ended).await;
            }
            ended
        };
        self.finish(ended).await
    }

    async fn nothing_to_do(self) -> Outcome {
        let waits = self
            .context
            .plan
            .hosts
            .iter()
            .any(|host| host.action == HostAction::Leave);
        let reason = if waits {
            "nothing to do on the hosts that were chosen and reached"
        } else {
            "every host runs it already"
        };
        // Words about hosts that a person has mended end here; a run that did nothing is no line of the history.
        let end = (Outcome::Succeeded, History::Nothing);
        let (released, _) = finish::close(&self.context, &self.looks, &self.reports, end).await;
        self.context
            .say(EventKind::LockReleased { hosts: released })
            .await;
        self.closing
            .with_plan(
                Outcome::Succeeded,
                vec![reason.to_owned()],
                &self.context.plan,
            )
            .await
    }

    /// Staging and the hooks before the first drain: what fails here has cost nothing.
    async fn prepare(&mut self) -> Option<Outcome> {
        let context = Arc::clone(&self.context);
        let mut stop = self.stop.clone();
        let failed = tokio::select! {
            biased;
            () = stopped(&mut stop) => return Some(self.undone(Outcome::Interrupted, vec!["stopped while staging".to_owned()]).await),
            () = tokio::time::sleep_until(self.deadline) => {
                return Some(self.undone(Outcome::Refused, vec!["the deadline passed while staging".to_owned()]).await);
            }
            failed = staging::stage_all(&context) => failed,
        };
        if let Some(reason) = context.leases.lost_reason() {
            return Some(
                self.closing
                    .with_plan(Outcome::Locked, vec![reason], &context.plan)
                    .await,
            );
        }
        if !failed.is_empty() {
            let reasons = failed
                .iter()
                .map(|(host, failure)| format!("host `{host}`: {}", failure.line()))
                .collect();
            return Some(self.undone(Outcome::Refused, reasons).await);
        }
        let everybody: BTreeSet<HostName> = context.hosts.keys().cloned().collect();
        if let Err(failure) =
            hooks::at_batch(&context, HookPoint::BeforeRollout, 0, &everybody).await
        {
            return Some(self.undone(Outcome::Refused, vec![failure.line()]).await);
        }
        None
    }

    /// Ends a run that changed nothing that counts.
    async fn undone(&self, outcome: Outcome, reasons: Vec<String>) -> Outcome {
        // No line in the hosts' history, and no record: nothing was begun.
        let end = (Outcome::Refused, History::Nothing);
        let (released, complaints) =
            finish::close(&self.context, &self.looks, &self.reports, end).await;
        for complaint in complaints {
            self.context.warn(None, complaint).await;
        }
        self.context
            .say(EventKind::LockReleased { hosts: released })
            .await;
        self.closing
            .with_plan(outcome, reasons, &self.context.plan)
            .await
    }

    async fn batches(&mut self) -> Ended {
        let mut queue: VecDeque<Vec<HostName>> = self.context.plan.batches.clone().into();
        let mut sick_left = self.context.plan.sick_batches;
        while let Some(mut hosts) = queue.pop_front() {
            let sick = sick_left > 0;
            if let Some(ended) = self.before_batch(&mut hosts, &mut queue, sick).await {
                return ended;
            }
            self.batch += 1;
            let total = self.batch + queue.len();
            let failures_left = usize::try_from(self.context.job.strategy.max_failures)
                .unwrap_or(usize::MAX)
                .saturating_sub(self.counted());
            let limits = Limits {
                stop: &mut self.stop,
                deadline: self.deadline,
                failures_left: u32::try_from(failures_left).unwrap_or(u32::MAX),
            };
            let end = batch::run(&self.context, self.batch, total, &hosts, limits).await;
            self.reports.extend(
                end.reports
                    .into_iter()
                    .map(|report| (report.host.clone(), report)),
            );
            self.failures = self.context.failed_hosts().len();
            if end.verdict == BatchVerdict::Interrupted
                && queue.is_empty()
                && self.everybody_passed()
            {
                // The wish came when the last hosts could only be carried to their end, and they were.
                return Ended {
                    end: RunEnd::Completed,
                    reason: None,
                };
            }
            if let Some(ended) = after_batch(&self.context, end.verdict) {
                return ended;
            }
            sick_left = sick_left.saturating_sub(1);
            if sick && sick_left == 0 && self.every_sick_host_failed() {
                return Ended::new(
                    RunEnd::Stopped,
                    "every host that was out of traffic failed on the new release",
                );
            }
        }
        Ended {
            end: RunEnd::Completed,
            reason: None,
        }
    }

    /// Failures that count: of hosts that were in traffic.
    fn counted(&self) -> usize {
        let healthy = |name: &HostName| {
            self.context
                .host(name)
                .is_some_and(|host| host.planned.standing == Standing::InTraffic)
        };
        self.context
            .failed_hosts()
            .iter()
            .filter(|name| healthy(name))
            .count()
    }

    fn everybody_passed(&self) -> bool {
        let passed = |name| {
            self.reports
                .get(name)
                .is_some_and(|report| report.ending == Ending::Passed)
        };
        self.context.hosts.keys().all(passed)
    }

    fn every_sick_host_failed(&self) -> bool {
        let mut sick = self
            .context
            .hosts
            .iter()
            .filter(|(_, host)| host.planned.standing != Standing::InTraffic)
            .peekable();
        let failed = self.context.failed_hosts();
        sick.peek().is_some() && sick.all(|(name, _)| failed.contains(name))
    }

    /// What stands between two batches: pause, approval, the journal, and the bound.
    async fn before_batch(
        &mut self,
        hosts: &mut Vec<HostName>,
        queue: &mut VecDeque<Vec<HostName>>,
        sick: bool,
    ) -> Option<Ended> {
        if self.batch > 0
            && let Some(ended) = self.pause(hosts).await
        {
            return Some(ended);
        }
        if *self.stop.borrow() > StopWish::None {
            return Some(Ended::new(RunEnd::Interrupted, "interrupted"));
        }
        if let Some(reason) = self.context.emitter.journal_failure() {
            return Some(Ended::new(
                RunEnd::Stopped,
                format!("the journal cannot be written: {reason}"),
            ));
        }
        if Instant::now() >= self.deadline {
            return Some(Ended::new(RunEnd::Deadline, "the deadline passed"));
        }
        if sick {
            None
        } else {
            self.within_bound(hosts, queue).await
        }
    }

    async fn pause(&mut self, hosts: &[HostName]) -> Option<Ended> {
        let mut stop = self.stop.clone();
        match self.context.job.strategy.pause {
            Pause::For(time) => tokio::select! {
                biased;
                () = stopped(&mut stop) => Some(Ended::new(RunEnd::Interrupted, "interrupted")),
                () = tokio::time::sleep_until(self.deadline) => Some(Ended::new(RunEnd::Deadline, "the deadline passed")),
                () = tokio::time::sleep(time) => None,
            },
            Pause::Manual if self.context.job.approved => None,
            Pause::Manual => {
                let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                let question = format!(
                    "go on with batch {} ({})?",
                    self.batch + 1,
                    names.join(", ")
                );
                let asked = Instant::now();
                let approved = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => return Some(Ended::new(RunEnd::Interrupted, "interrupted")),
                    approved = self.context.world.people.approve(&question) => approved,
                };
                // Time spent waiting for a person is left out of the deadline.
                self.deadline += asked.elapsed();
                (!approved)
                    .then(|| Ended::new(RunEnd::Stopped, "a person did not approve the next batch"))
            }
        }
    }

    /// Makes the batch smaller, or waits, while the bound is used up by others (F8).
    async fn within_bound(
        &mut self,
        hosts: &mut Vec<HostName>,
        queue: &mut VecDeque<Vec<HostName>>,
    ) -> Option<Ended> {
        let started = Instant::now();
        loop {
            let room = match bound::room(&self.context, hosts).await {
                Ok(room) => room,
                Err(error) => {
                    return Some(Ended::new(
                        RunEnd::Stopped,
                        format!("the balancers could not be read: {error}"),
                    ));
                }
            };
            if room >= hosts.len() {
                return None;
            }
            if room > 0 {
                queue.push_front(hosts.split_off(room));
                return None;
            }
            if started.elapsed() >= self.context.job.ready.deadline {
                let text = format!(
                    "no host may be taken out: {} are out of traffic already, by others",
                    self.context.plan.max_unavailable
                );
                return Some(Ended::new(RunEnd::Stopped, text));
            }
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return Some(Ended::new(RunEnd::Interrupted, "interrupted")),
                () = tokio::time::sleep(BOUND_PAUSE) => {}
            }
        }
    }

    /// `revert-all`: hosts of earlier batches go back too, last first, as many at once as the bound allows.
    async fn revert_earlier(&mut self) {
        let mut passed: Vec<HostName> = self
            .reports
            .values()
            .filter(|report| report.ending == Ending::Passed)
            .map(|report| report.host.clone())
            .collect();
        let place = |name: &HostName| {
            self.context
                .plan
                .batches
                .iter()
                .flatten()
                .position(|host| host == name)
        };
        passed.sort_by_key(|name| std::cmp::Reverse(place(name)));
        while !passed.is_empty() {
            let room = bound::room(&self.context, &passed)
                .await
                .unwrap_or(1)
                .clamp(1, passed.len());
            let rest = passed.split_off(room);
            let hosts = std::mem::replace(&mut passed, rest);
            for report in futures::future::join_all(hosts.into_iter().map(|name| self.revert(name)))
                .await
                .into_iter()
                .flatten()
            {
                self.reports.insert(report.host.clone(), report);
            }
        }
    }

    async fn revert(&self, name: HostName) -> Option<super::worker::HostReport> {
        let cycle = HostCycle::passed_earlier(
            batch::traits(&self.context, &name)?,
            Failure::new("a later batch failed"),
        );
        let orders = watch::Sender::new(Order::Go);
        let (news, _unheard) = mpsc::unbounded_channel();
        Some(
            worker::run(
                Arc::clone(&self.context),
                name,
                self.batch,
                cycle,
                orders.subscribe(),
                news,
            )
            .await,
        )
    }

    async fn after_rollout(&self, ended: Ended) -> Ended {
        let everybody: BTreeSet<HostName> = self.context.hosts.keys().cloned().collect();
        match hooks::at_batch(&self.context, HookPoint::AfterRollout, 0, &everybody).await {
            Ok(()) => ended,
            Err(failure) => Ended::new(RunEnd::Stopped, failure.line()),
        }
    }

    async fn finish(self, ended: Ended) -> Outcome {
        let endings: Vec<Ending> = self.reports.values().map(|report| report.ending).collect();
        let outcome = decide(ended.end, &endings, self.failures);
        let reasons: Vec<String> = ended.reason.into_iter().collect();
        if ended.end != RunEnd::Completed
            && let Some(reason) = reasons.first()
        {
            self.context
                .say(EventKind::RolloutHalted {
                    reason: reason.clone(),
                })
                .await;
            self.failure_hooks().await;
        }
        let abandoned = *self.stop.borrow() == StopWish::Now;
        if outcome != Outcome::Locked && !abandoned {
            let history = if outcome == Outcome::Interrupted {
                History::Nothing
            } else {
                History::Line
            };
            let (released, complaints) = finish::close(
                &self.context,
                &self.looks,
                &self.reports,
                (outcome, history),
            )
            .await;
            for complaint in complaints {
                self.context.warn(None, complaint).await;
            }
            self.context
                .say(EventKind::LockReleased { hosts: released })
                .await;
        }
        let seen = if abandoned {
            BTreeMap::new()
        } else {
            self.context.traffic.observe_all().await.unwrap_or_default()
        };
        let ends = finish::host_ends(
            &self.context.plan,
            &self.context.hosts,
            &self.reports,
            &seen,
        );
        self.closing.finished(outcome, reasons, ends).await
    }

    async fn failure_hooks(&self) {
        if *self.stop.borrow() == StopWish::Now || self.context.leases.lost_reason().is_some() {
            return;
        }
        let failed: BTreeSet<HostName> = self.context.failed_hosts().into_iter().collect();
        if failed.is_empty()
            && let Err(failure) =
                hooks::at_batch(&self.context, HookPoint::OnFailure, self.batch, &failed).await
        {
            self.context.warn(None, failure.line()).await;
        }
    }
}

fn after_batch(context: &Context, verdict: BatchVerdict) -> Option<Ended> {
    Some(match verdict {
        BatchVerdict::Passed => return None,
        BatchVerdict::Failed(reason) => Ended::new(RunEnd::BatchFailed, reason),
        BatchVerdict::Interrupted | BatchVerdict::Abandoned => {
            Ended::new(RunEnd::Interrupted, "interrupted")
        }
        BatchVerdict::Deadline => Ended::new(RunEnd::Deadline, "the deadline passed"),
        BatchVerdict::LostLock => Ended::new(
            RunEnd::LostLock,
            context
                .leases
                .lost_reason()
                .unwrap_or_else(|| "a lock was taken away".to_owned()),
        ),
    })
}

/// Returns when a person or the system wants the run to end.
async fn stopped(stop: &mut watch::Receiver<StopWish>) {
    if stop.wait_for(|wish| *wish > StopWish::None).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Says the last event.
struct Closing {
    emitter: Arc<Emitter>,
    watch: Stopwatch,
}

impl Closing {
    async fn without_plan(&self, outcome: Outcome, reasons: Vec<String>) -> Outcome {
        self.finished(outcome, reasons, Vec::new()).await
    }

    async fn with_plan(&self, outcome: Outcome, reasons: Vec<String>, plan: &Plan) -> Outcome {
        let ends = finish::host_ends(plan, &BTreeMap::new(), &Reports::new(), &BTreeMap::new());
        self.finished(outcome, reasons, ends).await
    }

    async fn finished(
        &self,
        outcome: Outcome,
        reasons: Vec<String>,
        hosts: Vec<crate::event::HostEnd>,
    ) -> Outcome {
        let mixed = finish::is_mixed(&hosts);
        let level = if outcome == Outcome::Succeeded {
            Level::Info
        } else {
            Level::Warning
        };
        tracing::debug!(?level, outcome = outcome.as_str(), "rollout ended");
        self.emitter
            .say(EventKind::RolloutFinished {
                outcome,
                exit_code: outcome.exit_status().code(),
                mixed,
                reasons,
                hosts,
                seconds: rounded(self.watch.elapsed()),
            })
            .await;
        outcome
    }
}
