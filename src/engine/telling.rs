//! What is told to balancers, under the host's lease, with patience; where telling costs a reload, for a whole batch at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use futures::future::try_join_all;
use tokio::sync::Mutex as AsyncMutex;

use super::BalancerPort;
use super::gather::Waiting;
use super::traffic::{Traffic, TrafficError, patiently};
use crate::drivers::balancer::Change;
use crate::model::{Admin, BalancerName, FoundTraffic, HostName};

impl Traffic {
    /// Tells every balancer concerned, side by side, that these servers of `host` are to be in `admin` state, with their weights and
    /// agent checks as `servers` say where they are put back; under [`Traffic::turn`].
    pub(super) async fn tell(
        &self,
        host: &HostName,
        servers: &[FoundTraffic],
        admin: Admin,
    ) -> Result<(), TrafficError> {
        let mut by_balancer: BTreeMap<&BalancerName, Vec<Change>> = BTreeMap::new();
        for entry in servers {
            let change = change(entry, admin);
            by_balancer.entry(&entry.balancer).or_default().push(change);
        }
        let told = by_balancer
            .into_iter()
            .map(|(name, changes)| self.tell_one(name, host, changes));
        let told = try_join_all(told).await.map(|_| ());
        if admin == Admin::Ready || servers.is_empty() {
            self.expect_no_more(host);
        }
        told
    }

    async fn tell_one(
        &self,
        name: &BalancerName,
        host: &HostName,
        changes: Vec<Change>,
    ) -> Result<(), TrafficError> {
        let (Some(port), Some(room)) = (self.balancers.get(name), self.gatherings.get(name)) else {
            return Ok(());
        };
        if !port.driver.gathers() {
            return self.tell_alone(port, host, &changes).await;
        }
        let company = || {
            let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
            let behind = self.behind.get(name);
            behind.map_or_else(BTreeSet::new, |hosts| {
                hosts.intersection(&expected).cloned().collect()
            })
        };
        let tell = |group| self.tell_group(port, group);
        room.tell(host, changes, company, tell).await
    }

    async fn tell_alone(
        &self,
        port: &BalancerPort,
        host: &HostName,
        changes: &[Change],
    ) -> Result<(), TrafficError> {
        patiently(port.patience, || async {
            self.leases
                .ensure(host)
                .await
                .map_err(TrafficError::Lease)?;
            Ok(port.driver.tell(changes).await?)
        })
        .await
    }

    /// Tells the changes of several hosts at once; the lock of each is confirmed before every try.
    async fn tell_group(&self, port: &BalancerPort, group: Vec<Waiting>) {
        let group = AsyncMutex::new(group);
        let told = patiently(port.patience, || async {
            let mut group = group.lock().await;
            *group = self.confirmed(std::mem::take(&mut *group)).await;
            let changes = group.iter().flat_map(|one| one.changes.iter().cloned());
            let changes: Vec<Change> = changes.collect();
            if changes.is_empty() {
                return Ok(());
            }
            Ok(port.driver.tell(&changes).await?)
        })
        .await;
        let group = group.into_inner();
        match told {
            Err(TrafficError::Balancer(error)) if group.len() > 1 && !error.is_retriable() => {
                // What one of them asks in vain is not to be the others' failure.
                for one in group {
                    let told = self.tell_alone(port, &one.host, &one.changes).await;
                    one.answer(told);
                }
            }
            Err(TrafficError::Balancer(error)) => {
                for one in group {
                    one.answer(Err(error.clone().into()));
                }
            }
            Ok(()) | Err(TrafficError::Lease(_) | TrafficError::Gone { .. }) => {
                for one in group {
                    one.answer(Ok(()));
                }
            }
        }
    }

    /// Those whose lock could be confirmed; the others have their answer.
    async fn confirmed(&self, mut group: Vec<Waiting>) -> Vec<Waiting> {
        group.retain(Waiting::is_wanted);
        let ensured = group.iter().map(|one| self.leases.ensure(&one.host));
        let ensured = futures::future::join_all(ensured).await;
        let mut held = Vec::new();
        for (one, ensured) in group.into_iter().zip(ensured) {
            match ensured {
                Ok(()) => held.push(one),
                Err(error) => one.answer(Err(TrafficError::Lease(error))),
            }
        }
        held
    }

    /// These hosts will have something to tell soon, about the same time.
    pub(super) fn expect<'a>(&self, hosts: impl Iterator<Item = &'a HostName>) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.extend(hosts.cloned());
    }

    /// This one will not.
    pub(super) fn expect_no_more(&self, host: &HostName) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.remove(host);
    }
}

/// What is told of one server. An agent check, which would override what is told, rests while its server is out.
fn change(entry: &FoundTraffic, admin: Admin) -> Change {
    let ready = admin == Admin::Ready;
    Change {
        pool: entry.pool.clone(),
        server: entry.server.clone(),
        admin,
        weight: entry.weight.filter(|_| ready),
        agent: entry.agent.then_some(ready),
    }
}
