//! What stands between two batches: a pause, a person, the journal, the bound.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::run::{Ended, Run};
use crate::engine::outcome::RunEnd;
use crate::engine::traffic::TrafficError;
use crate::engine::{StopWish, bound};
use crate::model::{HostName, Pause};

/// Between two looks while others use the bound up.
const BOUND_PAUSE: Duration = Duration::from_secs(1);

impl Run {
    /// What stands between two batches: pause, approval, the journal, and the bound.
    pub(super) async fn before_batch(
        &mut self,
        hosts: &mut Vec<HostName>,
        queue: &mut VecDeque<Vec<HostName>>,
        sick: bool,
    ) -> Option<Ended> {
        if self.batch > self.first
            && let Some(ended) = self.pause(hosts).await
        {
            return Some(ended);
        }
        if let Some(ended) = self.lost_lock() {
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

    /// Whether a lock was taken away, whatever else happened.
    pub(super) fn lost_lock(&self) -> Option<Ended> {
        let reason = self.context.leases.lost_reason()?;
        Some(Ended::new(RunEnd::LostLock, reason))
    }

    async fn pause(&mut self, hosts: &[HostName]) -> Option<Ended> {
        let mut stop = self.stop.clone();
        let context = std::sync::Arc::clone(&self.context);
        let lost = || self.lost_lock();
        match self.context.job.strategy.pause {
            Pause::For(time) => tokio::select! {
                biased;
                () = context.leases.lost() => lost(),
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
                    () = context.leases.lost() => return lost(),
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
            let seen = async {
                // Hosts that are out already take nothing away, and count as out.
                let serving = bound::serving(&self.context, hosts).await?;
                let room = bound::room(&self.context, &serving).await?;
                Ok::<_, TrafficError>((serving, room))
            };
            let (serving, room) = match seen.await {
                Ok(seen) => seen,
                Err(error) => {
                    return Some(Ended::new(
                        RunEnd::Stopped,
                        format!("the balancers could not be read: {error}"),
                    ));
                }
            };
            if room >= serving.len() {
                return None;
            }
            let (now, later): (Vec<HostName>, Vec<HostName>) = hosts
                .drain(..)
                .partition(|host| !serving.iter().skip(room).any(|later| later == host));
            if !now.is_empty() {
                *hosts = now;
                queue.push_front(later);
                return None;
            }
            *hosts = later;
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
}

/// Returns when a person or the system wants the run to end.
pub(super) async fn stopped(stop: &mut watch::Receiver<StopWish>) {
    if stop.wait_for(|wish| *wish > StopWish::None).await.is_err() {
        std::future::pending::<()>().await;
    }
}
