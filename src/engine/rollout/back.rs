//! Hosts that go back outside a batch: those of earlier batches under `on_failure = "revert-all"`, and those of a rollout that was cut off.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::run::Run;
use crate::cycle::{HostCycle, Order};
use crate::engine::worker::HostReport;
use crate::engine::{batch, bound, worker};
use crate::model::{Failure, HostName};
use crate::plan::Start;

impl Run {
    /// `revert-all`: hosts of earlier batches go back too. Whether all were gone through.
    pub(super) async fn revert_earlier(&mut self) -> bool {
        let passed = self.passed_hosts();
        self.revert_bounded(passed, "a later batch failed").await
    }

    /// Takes `hosts` back, last first, as many at once as the bound allows. Whether all were gone through: a wish to stop ends it.
    pub(super) async fn revert_bounded(&mut self, mut hosts: Vec<HostName>, cause: &str) -> bool {
        let began_stopped = *self.stop.borrow();
        hosts.sort_by_key(|name| std::cmp::Reverse(self.place(name)));
        while !hosts.is_empty() {
            if *self.stop.borrow() > began_stopped {
                return false;
            }
            // Every host that is out counts, also those that are to go back and were taken out by others.
            let room = bound::room(&self.context, &[])
                .await
                .unwrap_or(1)
                .clamp(1, hosts.len());
            let rest = hosts.split_off(room);
            let these = std::mem::replace(&mut hosts, rest);
            self.revert_together(these, cause).await;
        }
        true
    }

    /// Takes `hosts` back side by side.
    pub(super) async fn revert_together(&mut self, hosts: Vec<HostName>, cause: &str) {
        let all = hosts.into_iter().map(|name| self.revert(name, cause));
        for report in futures::future::join_all(all).await.into_iter().flatten() {
            self.reports.insert(report.host.clone(), report);
        }
    }

    async fn revert(&self, name: HostName, cause: &str) -> Option<HostReport> {
        let (traits, cause) = (batch::traits(&self.context, &name)?, Failure::new(cause));
        let cycle = match self.context.host(&name)?.planned.start {
            Start::Back { swap, reverted } => HostCycle::back(traits, (swap, reverted), cause),
            Start::First | Start::Proof if !self.context.host(&name)?.ledger().swapped => {
                HostCycle::back(traits, (false, false), cause)
            }
            Start::First | Start::Proof | Start::Passed | Start::Rest | Start::Stranded(_) => {
                HostCycle::passed_earlier(traits, cause)
            }
        };
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
}
