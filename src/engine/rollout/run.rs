//! From staging to the last batch.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::between::stopped;
use super::ending::Closing;
use crate::cycle::Ending;
use crate::engine::batch::{self, BatchVerdict, Limits};
use crate::engine::context::Context;
use crate::engine::finish::{self, History, Reports};
use crate::engine::inspect::HostLooks;
use crate::engine::outcome::RunEnd;
use crate::engine::{StopWish, hooks, staging, watch as balancer_watch};
use crate::event::EventKind;
use crate::model::{HookPoint, HostName, OnFailure, Outcome};
use crate::plan::{HostAction, Standing};

/// Why no further batch is begun, with words for people.
pub(super) struct Ended {
    pub(super) end: RunEnd,
    pub(super) reason: Option<String>,
}

impl Ended {
    pub(super) fn new(end: RunEnd, reason: impl Into<String>) -> Self {
        Self {
            end,
            reason: Some(reason.into()),
        }
    }
}

/// A rollout whose plan stands.
pub(super) struct Run {
    pub(super) context: Arc<Context>,
    pub(super) looks: HostLooks,
    pub(super) deadline: Instant,
    pub(super) stop: watch::Receiver<StopWish>,
    pub(super) reports: Reports,
    pub(super) failures: usize,
    /// The batch that was begun last, in the rollout's own count.
    pub(super) batch: usize,
    /// Batches that earlier attempts had gone through.
    pub(super) first: usize,
    pub(super) closing: Closing,
}

impl Run {
    /// A rollout that has begun nothing yet.
    pub(super) fn new(
        context: Arc<Context>,
        looks: HostLooks,
        (deadline, stop): (Instant, watch::Receiver<StopWish>),
        closing: Closing,
    ) -> Self {
        let plan = &context.plan;
        let all = plan
            .resumed
            .as_ref()
            .map_or(0, |resumed| resumed.batches.len());
        let first = all.saturating_sub(plan.batches.len());
        Self {
            failures: context.failed_hosts().len(),
            context,
            looks,
            deadline,
            stop,
            reports: Reports::new(),
            batch: first,
            first,
            closing,
        }
    }

    pub(super) async fn go(mut self) -> Outcome {
        let is_resumed = self.context.plan.resumed.is_some();
        if self.context.plan.is_empty() && !is_resumed {
            return self.nothing_to_do().await;
        }
        if let Some(reason) = self.hook_in_doubt() {
            return self.not_now(Outcome::Interrupted, vec![reason]).await;
        }
        self.seed();
        if !self.context.plan.is_empty()
            && let Some(outcome) = self.prepare().await
        {
            return outcome;
        }
        let ended = {
            let context = Arc::clone(&self.context);
            let _watch = AbortOnDropHandle::new(tokio::spawn(balancer_watch::keep(context)));
            let mut ended = match self.take_up().await {
                Some(ended) => ended,
                None => self.batches().await,
            };
            if ended.end == RunEnd::BatchFailed
                && self.lost_lock().is_none()
                && self.context.job.strategy.on_failure == OnFailure::RevertAll
                && !self.revert_earlier().await
            {
                ended = Ended::new(RunEnd::Interrupted, "interrupted");
            }
            if self.lost_lock().is_none() {
                ended = self.settle_begun(ended).await;
            }
            if ended.end == RunEnd::Completed && self.lost_lock().is_none() {
                ended = self.after_rollout(ended).await;
            }
            self.lost_lock().unwrap_or(ended)
        };
        if ended.end == RunEnd::Interrupted && self.has_begun_nothing() {
            let reasons = vec!["stopped before the first change".to_owned()];
            return self.undone(Outcome::Interrupted, reasons).await;
        }
        self.finish(ended).await
    }

    /// Whether neither a batch nor a hook was begun.
    fn has_begun_nothing(&self) -> bool {
        let hooks = self.context.hooks.lock();
        self.batch == 0
            && self.context.plan.resumed.is_none()
            && hooks
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .is_empty()
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
            () = context.leases.lost() => Vec::new(),
            () = stopped(&mut stop) => return Some(self.undone(Outcome::Interrupted, vec!["stopped while staging".to_owned()]).await),
            () = tokio::time::sleep_until(self.deadline) => {
                return Some(self.undone(Outcome::Refused, vec!["the deadline passed while staging".to_owned()]).await);
            }
            failed = staging::stage_all(&context) => failed,
        };
        if let Some(ended) = self.lost_lock() {
            return Some(self.finish_locked(ended).await);
        }
        if !failed.is_empty() {
            let reasons = failed
                .iter()
                .map(|(host, failure)| format!("host `{host}`: {}", failure.line()))
                .collect();
            return Some(self.undone(Outcome::Refused, reasons).await);
        }
        let everybody: BTreeSet<HostName> = context.hosts.keys().cloned().collect();
        let asked = hooks::at_batch(&context, HookPoint::BeforeRollout, 0, &everybody).await;
        if let Some(ended) = self.lost_lock() {
            return Some(self.finish_locked(ended).await);
        }
        if let Err(failure) = asked {
            return Some(self.undone(Outcome::Refused, vec![failure.line()]).await);
        }
        None
    }

    /// Ends a run that lost a lock before its first batch.
    async fn finish_locked(&self, ended: Ended) -> Outcome {
        let reasons = ended.reason.into_iter().collect();
        let plan = &self.context.plan;
        self.closing.with_plan(Outcome::Locked, reasons, plan).await
    }

    /// Ends a run that changed nothing that counts.
    async fn undone(&self, outcome: Outcome, reasons: Vec<String>) -> Outcome {
        if self.context.plan.resumed.is_some() {
            return self.not_now(outcome, reasons).await;
        }
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

    async fn after_rollout(&self, ended: Ended) -> Ended {
        let everybody: BTreeSet<HostName> = self.context.hosts.keys().cloned().collect();
        match hooks::at_batch(&self.context, HookPoint::AfterRollout, 0, &everybody).await {
            Ok(()) => ended,
            Err(failure) => Ended::new(RunEnd::Stopped, failure.line()),
        }
    }
}

fn after_batch(context: &Context, verdict: BatchVerdict) -> Option<Ended> {
    Some(match verdict {
        BatchVerdict::Passed => return None,
        BatchVerdict::Failed(reason) => Ended::new(RunEnd::BatchFailed, reason),
        BatchVerdict::Stopped(reason) => Ended::new(RunEnd::Stopped, reason),
        BatchVerdict::Interrupted => Ended::new(RunEnd::Interrupted, "interrupted"),
        BatchVerdict::Abandoned => Ended::new(RunEnd::Abandoned, "stopped at once"),
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
