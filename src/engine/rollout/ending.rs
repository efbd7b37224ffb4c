//! How a run ends: records and locks on the hosts, and the last event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::run::{Ended, Run};
use crate::cycle::Ending;
use crate::engine::context::{Stopwatch, rounded};
use crate::engine::finish::{self, History, Reports};
use crate::engine::outcome::{RunEnd, decide};
use crate::engine::{Job, StopWish, ends, hooks};
use crate::event::{Emitter, EventKind};
use crate::model::{HookPoint, HostName, Outcome};
use crate::plan::Plan;

impl Run {
    pub(super) async fn finish(self, ended: Ended) -> Outcome {
        let endings: Vec<Ending> = self.reports.values().map(|report| report.ending).collect();
        let mut outcome = decide(ended.end, &endings, self.failures);
        let half_back = ended.end == RunEnd::Interrupted && !self.unsettled().is_empty();
        if half_back {
            // Also beside a host that needs a person: the others are still to be gone on with.
            outcome = Outcome::Interrupted;
        }
        let reasons: Vec<String> = ended.reason.iter().cloned().collect();
        if !matches!(ended.end, RunEnd::Completed | RunEnd::TakenBack)
            && let Some(reason) = reasons.first()
        {
            self.context
                .say(EventKind::RolloutHalted {
                    reason: reason.clone(),
                })
                .await;
            self.failure_hooks().await;
        }
        let abandoned = ended.end == RunEnd::Abandoned;
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
        if self.lost_lock().is_some() {
            // Also when it was noticed by the very last word: nobody knows what its new holder does.
            outcome = Outcome::Locked;
        }
        let seen = if abandoned {
            BTreeMap::new()
        } else {
            self.context.traffic.observe_all().await.unwrap_or_default()
        };
        let ends = ends::host_ends(
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
        if self.context.job.command == "abort" {
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

/// Says the last event.
pub(super) struct Closing {
    pub(super) emitter: Arc<Emitter>,
    pub(super) watch: Stopwatch,
    /// Every host of the playbook, for a run that ends before it has a plan.
    pub(super) fleet: Vec<HostName>,
    /// What was asked for.
    pub(super) command: String,
}

impl Closing {
    /// The clock starts here.
    pub(super) fn new(job: &Job, emitter: &Arc<Emitter>) -> Self {
        Self {
            emitter: Arc::clone(emitter),
            watch: Stopwatch::start(),
            command: job.command.clone(),
            fleet: job
                .fleet
                .iter()
                .map(|member| member.spec.name.clone())
                .collect(),
        }
    }

    pub(super) async fn without_plan(&self, outcome: Outcome, reasons: Vec<String>) -> Outcome {
        let ends = self.fleet.iter().map(ends::untouched).collect();
        self.finished(outcome, reasons, ends).await
    }

    pub(super) async fn with_plan(
        &self,
        outcome: Outcome,
        reasons: Vec<String>,
        plan: &Plan,
    ) -> Outcome {
        let ends = ends::host_ends(plan, &BTreeMap::new(), &Reports::new(), &BTreeMap::new());
        self.finished(outcome, reasons, ends).await
    }

    pub(super) async fn finished(
        &self,
        outcome: Outcome,
        reasons: Vec<String>,
        hosts: Vec<crate::event::HostEnd>,
    ) -> Outcome {
        let mixed = ends::is_mixed(&hosts);
        self.emitter
            .say(EventKind::RolloutFinished {
                outcome,
                exit_code: outcome.exit_status_of(&self.command).code(),
                mixed,
                reasons,
                hosts,
                seconds: rounded(self.watch.elapsed()),
            })
            .await;
        outcome
    }
}
