//! What is different where a rollout that was cut off is gone on with: some hosts are done, and some go back before anything else.

use std::collections::BTreeSet;

use super::run::{Ended, Run};
use crate::cycle::Ending;
use crate::engine::context::HostContext;
use crate::engine::outcome::RunEnd;
use crate::engine::worker::HostReport;
use crate::engine::{StopWish, finish};
use crate::event::EventKind;
use crate::model::{Failure, HostName, Outcome, RecordStep, TrafficState};
use crate::plan::{Course, PlannedHost, Start};

impl Run {
    /// Counts hosts that an earlier attempt brought to their end.
    pub(super) fn seed(&mut self) {
        for host in &self.context.plan.hosts {
            let (ending, failure) = match &host.start {
                Start::Passed => (Ending::Passed, None),
                Start::Stranded(why) => (Ending::Stranded, Some(Failure::new(why.clone()))),
                Start::First | Start::Proof | Start::Back { .. } | Start::Rest => continue,
            };
            self.reports
                .insert(host.host.clone(), report(host, ending, failure));
        }
    }

    /// The hosts that an earlier attempt had begun to take back, or all that it changed: as the rollout's course wants it. `Some`: no
    /// batch follows.
    pub(super) async fn take_up(&mut self) -> Option<Ended> {
        let course = self.context.plan.resumed.as_ref()?.course.clone();
        let cause = match &course {
            Course::Forward => "it was being taken back when the rollout was cut off".to_owned(),
            Course::Failed(reason) | Course::Ended(reason) => reason.clone(),
            Course::Revert => "the rollout is aborted".to_owned(),
        };
        let all_back = self.go_back(&cause).await;
        match course {
            _ if !all_back => Some(Ended::new(RunEnd::Interrupted, "interrupted")),
            Course::Forward => None,
            Course::Failed(reason) => Some(Ended::new(RunEnd::BatchFailed, reason)),
            Course::Ended(reason) => Some(Ended::new(RunEnd::Stopped, reason)),
            Course::Revert => Some(Ended::new(RunEnd::TakenBack, cause)),
        }
    }

    /// First those that are out of traffic already, then the others, last first, under the bounds. Whether all were gone through.
    async fn go_back(&mut self, cause: &str) -> bool {
        let serves = |host: &&PlannedHost| {
            let mut traffic = host.traffic.iter();
            traffic.any(|entry| entry.state == TrafficState::Ready)
        };
        let back = |host: &&PlannedHost| matches!(host.start, Start::Back { .. });
        let names = |hosts: Vec<&PlannedHost>| -> Vec<HostName> {
            hosts.into_iter().map(|host| host.host.clone()).collect()
        };
        let hosts = self.context.plan.hosts.iter().filter(back);
        let (serving, out): (Vec<&PlannedHost>, Vec<&PlannedHost>) = hosts.partition(serves);
        let (serving, out) = (names(serving), names(out));
        if *self.stop.borrow() > StopWish::None {
            return out.is_empty() && serving.is_empty();
        }
        self.revert_together(out, cause).await;
        if *self.stop.borrow() > StopWish::None {
            return serving.is_empty();
        }
        self.revert_bounded(serving, cause).await
    }

    /// A hook that may have run in an earlier attempt: nobody but a person knows.
    pub(super) fn hook_in_doubt(&self) -> Option<String> {
        let resumed = self.context.plan.resumed.as_ref()?;
        if resumed.course == Course::Revert {
            return None;
        }
        let only_warns = |key: &str| key.contains(":on-failure:") || key.contains(":on-revert:");
        let mut doubtful = resumed.hooks.iter();
        let (key, _) = doubtful.find(|(key, ended)| !**ended && !only_warns(key))?;
        let mut parts = key.splitn(3, ':');
        let (number, at) = (parts.next()?, parts.next()?);
        let host = parts.next().unwrap_or("-");
        Some(format!(
            "hook {number} at {at} ({host}) was begun and is not known to have ended; look at what it did, then run again with `--hook-done` (it is not run again) or `--hook-again` (it is)"
        ))
    }

    /// Ends before anything was changed in this attempt: what the hosts hold stays as it is, for the next one.
    pub(super) async fn not_now(&self, outcome: Outcome, reasons: Vec<String>) -> Outcome {
        let released = finish::give_back(&self.context.job, &self.context.world, &self.looks).await;
        self.context
            .say(EventKind::LockReleased { hosts: released })
            .await;
        self.closing
            .with_plan(outcome, reasons, &self.context.plan)
            .await
    }

    /// Hosts that an earlier attempt had begun, and this one has not brought to an end.
    pub(super) fn unsettled(&self) -> Vec<HostName> {
        let begun = |(name, host): (&HostName, &HostContext)| {
            let earlier = self.context.job.earlier_record(&host.facts)?;
            let rests =
                matches!(host.planned.start, Start::Rest) || earlier.step == RecordStep::Planned;
            (!rests && !self.reports.contains_key(name)).then(|| name.clone())
        };
        self.context.hosts.iter().filter_map(begun).collect()
    }

    /// A run that ends without its last batches leaves no host that an earlier attempt had begun half done: they go back.
    pub(super) async fn settle_begun(&mut self, ended: Ended) -> Ended {
        let closes = matches!(
            ended.end,
            RunEnd::BatchFailed | RunEnd::Stopped | RunEnd::Deadline | RunEnd::TakenBack
        );
        let left = self.unsettled();
        if !closes || left.is_empty() {
            return ended;
        }
        let cause = ended.reason.clone().unwrap_or_default();
        if self.revert_bounded(left, &cause).await {
            ended
        } else {
            Ended::new(RunEnd::Interrupted, "interrupted")
        }
    }

    /// Where each host stands in the order in which the rollout takes, or took, them.
    pub(super) fn place(&self, name: &HostName) -> Option<usize> {
        let mut hosts = self.context.all_batches().iter().flatten();
        hosts.position(|host| host == name)
    }

    /// Whether a host of the rollout is among `names`: an end that only some hosts had.
    pub(super) fn passed_hosts(&self) -> Vec<HostName> {
        let passed = self.reports.values();
        let passed = passed.filter(|report| report.ending == Ending::Passed);
        let passed: BTreeSet<HostName> = passed.map(|report| report.host.clone()).collect();
        passed.into_iter().collect()
    }
}

fn report(host: &PlannedHost, ending: Ending, failure: Option<Failure>) -> HostReport {
    let mend = match ending {
        Ending::Stranded => vec![
            "look at the host; `rollgate status` says how it stands, and `rollgate deploy` of a release that works mends it".to_owned(),
        ],
        Ending::Passed | Ending::Returned | Ending::Reverted | Ending::HeldOut => Vec::new(),
    };
    HostReport {
        host: host.host.clone(),
        ending,
        failure,
        mend,
        was_swapped: true,
        was_touched: true,
    }
}
