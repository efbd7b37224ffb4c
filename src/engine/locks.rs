//! Taking the locks of all hosts concerned, all or none, in the same round trip as the look (F7).

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::conflict::{BY_HAND, Conflict, SETTLE, Verdict, conflicts, judge, list, may_act};
use super::inspect::{self, HostLooks};
use super::lease::Leases;
use super::{Job, Member, StopWish, World};
use crate::drivers::host::{FinishOrder, HostError, LockWish};
use crate::event::{Emitter, EventKind, Level};
use crate::model::record::FORMAT;
use crate::model::{HostName, LockOwner, LockSeen, RecordSeen, RolloutId};

/// Between two tries for a lock that is held.
const AGAIN: Duration = Duration::from_millis(300);

/// What came of taking the locks.
pub(super) enum Taken {
    /// All are ours; the facts were read under them. `settle`: an old process may still live, so balancers are left alone for that long.
    All {
        /// What the hosts said.
        hosts: HostLooks,
        /// How long to wait before a balancer is read or changed (R3).
        settle: Duration,
    },
    /// None is; why, for people.
    Held(String),
    /// None is: a person or the system wants the run to end.
    Stopped,
}

/// How often a takeover is tried: where the holder's script cannot be ended, one more try changes nothing.
const TAKEOVERS: u32 = 3;

/// This process as an owner.
pub(super) fn owner(job: &Job, since: Timestamp) -> LockOwner {
    LockOwner {
        v: FORMAT,
        rollout: job.rollout.clone(),
        token: job.token.clone(),
        command: job.command.clone(),
        service: Some(job.service.clone()),
        by: job.by.clone(),
        since,
        process: job.process.clone(),
        message: job.message.clone(),
    }
}

/// Takes all locks, or none.
pub(super) async fn take(
    job: &Job,
    world: &World,
    (leases, emitter): (&Leases, &Emitter),
    stop: &mut watch::Receiver<StopWish>,
) -> Taken {
    let (started, mut takeovers) = (Instant::now(), 0);
    let me = owner(job, world.clock.wall());
    let mut settle = Duration::ZERO;
    let sent = leases.now();
    let mut hosts = inspect::hosts(job, world, |member| first_wish(member, &me)).await;
    loop {
        for (name, result) in &hosts {
            if matches!(result, Ok(facts) if facts.lock == LockSeen::Ours) {
                leases.confirmed(name, sent);
            }
        }
        if *stop.borrow_and_update() > StopWish::None {
            give_back(world, &hosts).await;
            return Taken::Stopped;
        }
        let conflicts = conflicts(&hosts, job);
        if conflicts.is_empty() {
            return finished(job, world, hosts, settle).await;
        }
        let verdict = judge(job, world, &hosts, &conflicts, started.elapsed());
        match verdict {
            Verdict::TakeOver { .. } if takeovers >= TAKEOVERS => {
                give_back(world, &hosts).await;
                let whose = list(&conflicts);
                return Taken::Held(format!(
                    "{whose}; it could not be taken over: its script still runs there, or `lock` holds other files"
                ));
            }
            Verdict::TakeOver { from, why } => {
                takeovers += 1;
                settle = settle.max(from);
                emitter
                    .say(EventKind::Log {
                        level: Level::Warning,
                        text: why,
                        host: None,
                    })
                    .await;
                retake(job, world, &me, &conflicts, &mut hosts, true).await;
            }
            Verdict::Wait => {
                sleep_unless(stop, AGAIN).await;
                retake(job, world, &me, &conflicts, &mut hosts, false).await;
            }
            Verdict::GiveBack(reason) => {
                give_back(world, &hosts).await;
                if started.elapsed() >= job.lock_wait {
                    return Taken::Held(reason);
                }
                sleep_unless(stop, AGAIN * 3).await;
                if *stop.borrow() > StopWish::None {
                    return Taken::Stopped;
                }
                hosts = inspect::hosts(job, world, |member| first_wish(member, &me)).await;
            }
        }
    }
}

/// Sleeps, unless a person or the system wants the run to end.
async fn sleep_unless(stop: &mut watch::Receiver<StopWish>, time: Duration) {
    let stopped = stop.wait_for(|wish| *wish > StopWish::None);
    // When it ends early its caller looks at the wish.
    drop(tokio::time::timeout(time, stopped).await);
}

fn first_wish(member: &Member, me: &LockOwner) -> LockWish {
    if member.selected {
        LockWish::Take(Box::new(me.clone()))
    } else {
        LockWish::Look
    }
}

async fn retake(
    job: &Job,
    world: &World,
    me: &LockOwner,
    conflicts: &[Conflict],
    hosts: &mut HostLooks,
    over: bool,
) {
    let one = |conflict: &Conflict| {
        let wish = if over {
            LockWish::TakeOver {
                owner: Box::new(me.clone()),
                seen: conflict.file.clone(),
            }
        } else {
            LockWish::Take(Box::new(me.clone()))
        };
        let (name, ports) = (
            conflict.host.clone(),
            world.hosts.get(&conflict.host).cloned(),
        );
        async move {
            let result = match ports {
                Some(ports) => ports.driver.inspect(&wish).await,
                None => Err(HostError::Failed {
                    what: "is not connected".to_owned(),
                    output: Vec::new(),
                }),
            };
            (name, result)
        }
    };
    debug_assert!(!job.fleet.is_empty());
    hosts.extend(join_all(conflicts.iter().map(one)).await);
}

/// After the locks: a rollout that did not end is in the way unless it is taken over.
async fn finished(job: &Job, world: &World, hosts: HostLooks, settle: Duration) -> Taken {
    match unfinished(job, &hosts) {
        // A person may well freeze a fleet because of what was cut off there.
        Some(reason) if !job.wishes.take_over && job.command != BY_HAND => {
            give_back(world, &hosts).await;
            Taken::Held(reason)
        }
        _ => Taken::All { hosts, settle },
    }
}

fn unfinished(job: &Job, hosts: &HostLooks) -> Option<String> {
    let ended = |id: &RolloutId| {
        hosts
            .values()
            .flatten()
            .any(|facts| facts.rollouts.iter().any(|line| line.id == *id))
    };
    job.fleet.iter().filter(|member| member.selected).find_map(|member| {
        let Some(Ok(facts)) = hosts.get(&member.spec.name) else { return None };
        let RecordSeen::Read(record) = &facts.record else { return None };
        let ours = |resumes: &crate::plan::Resumes| resumes.rollout == record.rollout;
        let is_ours = record.rollout == job.rollout || job.resumes.as_ref().is_some_and(ours);
        let open = record.stranded.is_none() && !is_ours && !ended(&record.rollout);
        open.then(|| {
            format!(
                "host `{}` has an unfinished rollout: {} {} to {} by {} since {:.0}; `rollgate resume` goes on with it, `rollgate abort` takes it back, and `--take-over` starts afresh from what is found",
                member.spec.name, record.command, record.rollout, record.target.version, record.by, record.started
            )
        })
    })
}

/// What would be in the way of a command that changes hosts, seen by one that only looks.
pub(super) fn in_the_way(job: &Job, world: &World, hosts: &HostLooks) -> Option<String> {
    let held = conflicts(hosts, job);
    if !held.is_empty()
        && let Verdict::GiveBack(reason) = judge(job, world, hosts, &held, Duration::MAX)
    {
        return Some(reason);
    }
    unfinished(job, hosts).filter(|_| !job.wishes.take_over)
}

/// Removes locks of others: each is taken over first, which ends a script that may still run there, and then released.
/// Its wait ends early when a person wants it; the locks are released all the same.
pub(super) async fn remove(
    job: &Job,
    world: &World,
    conflicts: &[Conflict],
    stop: &mut watch::Receiver<StopWish>,
) -> Vec<HostName> {
    let me = owner(job, world.clock.wall());
    let mut looks = HostLooks::new();
    retake(job, world, &me, conflicts, &mut looks, true).await;
    if conflicts.iter().any(|conflict| may_act(world, conflict)) {
        // Its holder's last word to a balancer must not land on whoever comes next (R3).
        sleep_unless(stop, SETTLE).await;
    }
    give_back(world, &looks).await
}

/// Releases every lock that is, or may be, ours; nothing else changes on the hosts.
pub(super) async fn give_back(world: &World, hosts: &HostLooks) -> Vec<HostName> {
    let one = |name: &HostName| {
        let (name, ports) = (name.clone(), world.hosts.get(name).cloned());
        async move {
            let order = FinishOrder {
                release_lock: true,
                ..FinishOrder::default()
            };
            let released = match ports {
                Some(ports) => ports.driver.finish(&order).await.is_ok(),
                None => false,
            };
            released.then_some(name)
        }
    };
    let ours = hosts
        .iter()
        .filter(|(_, result)| may_be_ours(result))
        .map(|(name, _)| one(name));
    join_all(ours).await.into_iter().flatten().collect()
}

/// A look whose answer was lost on the way may have taken the lock all the same.
pub(super) fn may_be_ours(look: &Result<crate::model::HostFacts, HostError>) -> bool {
    match look {
        Ok(facts) => facts.lock == LockSeen::Ours,
        Err(HostError::Failed { .. } | HostError::Garbled { .. }) => true,
        Err(HostError::Transport(error)) => error.outcome_unknown(),
        Err(HostError::Fenced { .. }) => false,
    }
}
