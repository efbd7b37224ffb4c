//! What is told to balancers, under the host's lease, with patience; where telling costs a reload, for a whole batch at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex as AsyncMutex;

use super::BalancerPort;
use super::gather::Waiting;
use super::traffic::{Traffic, TrafficError, patiently};
use crate::drivers::balancer::Change;
use crate::model::{Admin, BalancerName, FoundTraffic, HostName};

/// How long the others of a group wait for one host to confirm its lock.
const SOON: Duration = Duration::from_secs(3);

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
        // All are told, whatever the first one answers: an act under way is never cut off.
        let told = join_all(told).await.into_iter().collect();
        if admin == Admin::Ready || servers.is_empty() {
            self.expect_no_more(host);
        }
        told
    }

    /// Leaves servers that are somebody else's now in the states of `servers`, but with the weight and the agent check that were found.
    pub(super) async fn hand_over(
        &self,
        host: &HostName,
        servers: &[FoundTraffic],
    ) -> Result<(), TrafficError> {
        let told = servers.iter().map(|entry| {
            let change = Change {
                weight: entry.weight,
                agent: entry.agent.then_some(true),
                ..change(entry, entry.admin)
            };
            self.tell_one(&entry.balancer, host, vec![change])
        });
        join_all(told).await.into_iter().collect()
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
        let (group, slow) = (AsyncMutex::new(group), AsyncMutex::default());
        let told = patiently(port.patience, || async {
            let mut group = group.lock().await;
            let members = std::mem::take(&mut *group);
            *group = self.confirmed(members, &mut *slow.lock().await).await;
            let changes = group.iter().flat_map(|one| one.changes.iter().cloned());
            let changes: Vec<Change> = changes.collect();
            if changes.is_empty() {
                return Ok(());
            }
            Ok(port.driver.tell(&changes).await?)
        })
        .await;
        self.answer_group(port, group.into_inner(), told).await;
        // Those that could not keep up with the others take their own time.
        let slow: Vec<Waiting> = slow.into_inner();
        join_all(slow.into_iter().map(|one| self.answer_alone(port, one))).await;
    }

    async fn answer_alone(&self, port: &BalancerPort, one: Waiting) {
        let told = self.tell_alone(port, &one.host, &one.changes).await;
        one.answer(told);
    }

    async fn answer_group(
        &self,
        port: &BalancerPort,
        group: Vec<Waiting>,
        told: Result<(), TrafficError>,
    ) {
        match told {
            Err(TrafficError::Balancer(error)) if group.len() > 1 && !error.is_retriable() => {
                // What one of them asks in vain is not to be the others' failure.
                for one in group {
                    self.answer_alone(port, one).await;
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

    /// Those whose lock could be confirmed. The others have their answer, or are `slow`: one host that takes long is not to make the
    /// others' confirmations old.
    async fn confirmed(&self, mut group: Vec<Waiting>, slow: &mut Vec<Waiting>) -> Vec<Waiting> {
        group.retain(Waiting::is_wanted);
        // The second round is for those whose confirmation grew old while others were asked.
        for _ in 0..2 {
            let ensured = group
                .iter()
                .map(|one| tokio::time::timeout(SOON, self.leases.ensure(&one.host)));
            let ensured = join_all(ensured).await;
            let mut held = Vec::new();
            for (one, ensured) in group.into_iter().zip(ensured) {
                match ensured {
                    Ok(Ok(())) => held.push(one),
                    Ok(Err(error)) => one.answer(Err(TrafficError::Lease(error))),
                    Err(_elapsed) => slow.push(one),
                }
            }
            group = held;
        }
        group
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
