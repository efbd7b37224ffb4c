//! Changes that are told to a balancer together: where telling costs a reload, the hosts of a batch share one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::Instant;

use super::traffic::TrafficError;
use crate::drivers::balancer::Change;
use crate::model::HostName;

/// How long the first of a batch waits for the others.
const COMPANY: Duration = Duration::from_secs(1);
/// Between two looks at who has come.
const LOOK: Duration = Duration::from_millis(10);

/// What came of one host's changes.
type Told = Result<(), TrafficError>;

/// One host's changes, waiting to be told.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) host: HostName,
    pub(super) changes: Vec<Change>,
    answer: oneshot::Sender<Told>,
}

impl Waiting {
    /// Whether anybody still waits for it: a host's task that was ended tells nothing any more.
    pub(super) fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Tells whoever waits for it.
    pub(super) fn answer(self, told: Told) {
        // Whoever is gone meanwhile wants no answer.
        drop(self.answer.send(told));
    }
}

/// The waiting room of one balancer.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    waiting: Mutex<Vec<Waiting>>,
    telling: AsyncMutex<()>,
}

impl Gathering {
    /// Waits for `company` (hosts that are expected to have something to tell soon), a moment at most, then lets `tell` tell all that
    /// wait; whoever finds the telling under way waits for its own turn, in which everybody who came meanwhile is told together.
    pub(super) async fn tell<F, Fut>(
        &self,
        host: &HostName,
        changes: Vec<Change>,
        company: impl Fn() -> BTreeSet<HostName>,
        tell: F,
    ) -> Told
    where
        F: Fn(Vec<Waiting>) -> Fut,
        Fut: Future<Output = ()>,
    {
        loop {
            let (answer, mut told) = oneshot::channel();
            self.lock().push(Waiting {
                host: host.clone(),
                changes: changes.clone(),
                answer,
            });
            let lead = tokio::select! {
                biased;
                told = &mut told => match told {
                    Ok(told) => return told,
                    // Whoever was telling it was stopped in the middle: what is told twice does no harm.
                    Err(_gone) => continue,
                },
                lead = self.telling.lock() => lead,
            };
            if let Ok(told) = told.try_recv() {
                return told;
            }
            self.gather(&company).await;
            let group = std::mem::take(&mut *self.lock());
            tell(group).await;
            drop(lead);
            if let Ok(told) = told.await {
                return told;
            }
        }
    }

    async fn gather(&self, company: &impl Fn() -> BTreeSet<HostName>) {
        let started = Instant::now();
        while started.elapsed() < COMPANY {
            let here: BTreeSet<HostName> = self.lock().iter().map(|one| one.host.clone()).collect();
            if company().is_subset(&here) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    type Groups = Mutex<Vec<Vec<String>>>;

    async fn tell(room: Arc<Gathering>, groups: Arc<Groups>, name: &'static str, company: &[&str]) {
        let company: BTreeSet<HostName> = company.iter().map(|name| host(name)).collect();
        let host = host(name);
        let told = room.tell(
            &host,
            Vec::new(),
            || company.clone(),
            |group| {
                let names = group.iter().map(|one| one.host.to_string()).collect();
                groups.lock().unwrap().push(names);
                async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    for one in group {
                        one.answer(Ok(()));
                    }
                }
            },
        );
        told.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_told_together_and_latecomers_share_the_next_telling() {
        let (room, groups) = (Arc::new(Gathering::default()), Arc::new(Groups::default()));
        let all = ["a", "b", "c"];
        let late = |name, after| {
            let (room, groups) = (Arc::clone(&room), Arc::clone(&groups));
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                tell(room, groups, name, &all).await;
            }
        };
        let started = Instant::now();
        futures::join!(late("a", 0), late("b", 300), late("c", 900));
        assert_eq!(groups.lock().unwrap().concat().len(), 3);
        assert_eq!(groups.lock().unwrap().len(), 1);
        assert!(started.elapsed() < Duration::from_millis(1200));
        groups.lock().unwrap().clear();
        futures::join!(late("a", 0), late("b", 1100), late("c", 1150));
        let told = groups.lock().unwrap().clone();
        assert_eq!(told[0], ["a"]);
        assert_eq!(told[1], ["b", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn alone_nobody_waits() {
        let (room, groups) = (Arc::new(Gathering::default()), Arc::new(Groups::default()));
        let started = Instant::now();
        tell(room, groups, "a", &["a"]).await;
        assert_eq!(started.elapsed(), Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_telling_that_was_stopped_is_told_again() {
        let (room, groups) = (Arc::new(Gathering::default()), Arc::new(Groups::default()));
        let first = tell(Arc::clone(&room), Arc::clone(&groups), "a", &["a", "b"]);
        let second = tell(Arc::clone(&room), Arc::clone(&groups), "b", &["a", "b"]);
        let stopped = tokio::time::timeout(Duration::from_millis(100), first);
        let (stopped, ()) = futures::join!(stopped, second);
        assert!(stopped.is_err());
        assert_eq!(groups.lock().unwrap().last().unwrap(), &["b"]);
    }
}
