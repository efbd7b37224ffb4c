//! `on_failure = "revert-all"`: hosts of earlier batches go back too.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::run::Run;
use crate::cycle::{Ending, HostCycle, Order};
use crate::engine::{batch, bound, worker};
use crate::model::{Failure, HostName};

impl Run {
    /// `revert-all`: hosts of earlier batches go back too, last first, as many at once as the bound allows.
    pub(super) async fn revert_earlier(&mut self) {
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
            // Every host that is out counts, also those that are to go back and were taken out by others.
            let room = bound::room(&self.context, &[])
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

    async fn revert(&self, name: HostName) -> Option<crate::engine::worker::HostReport> {
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
}
