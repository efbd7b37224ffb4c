//! Taking the locks of all hosts concerned, all or none, in the same round trip as the look (F7).

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::inspect::{self, HostLooks};
use super::lease::Leases;
use super::{Job, Member, World};
use crate::drivers::host::{FinishOrder, HostError, LockWish};
use crate::event::{Emitter, EventKind, Level};
use crate::model::record::FORMAT;
use crate::model::{HostName, LockOwner, LockSeen, RecordSeen, RolloutId};

/// For how long the run with the smaller id keeps its part and waits for the other one to give back.
const TIE: Duration = Duration::from_secs(5);
/// Between two tries for a lock that is held.
const AGAIN: Duration = Duration::from_millis(300);
/// A lock that was not renewed for this long is abandoned; it is still never taken silently.
pub(super) const ABANDONED: Duration = Duration::from_secs(120);

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
}

/// Whoever takes a lock from a process that may still live waits this long before it reads or changes a balancer (R3).
const SETTLE: Duration = Duration::from_secs(20);

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
        message: None,
    }
}

/// Takes all locks, or none.
pub(super) async fn take(job: &Job, world: &World, leases: &Leases, emitter: &Emitter) -> Taken {
    let started = Instant::now();
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
        let conflicts = conflicts(&hosts, job);
        if conflicts.is_empty() {
            return finished(job, world, hosts, settle).await;
        }
        let verdict = judge(job, world, &hosts, &conflicts, started.elapsed());
        match verdict {
            Verdict::TakeOver { from, why } => {
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
                tokio::time::sleep(AGAIN).await;
                retake(job, world, &me, &conflicts, &mut hosts, false).await;
            }
            Verdict::GiveBack(reason) => {
                give_back(world, &hosts).await;
                if started.elapsed() >= job.lock_wait {
                    return Taken::Held(reason);
                }
                tokio::time::sleep(AGAIN * 3).await;
                hosts = inspect::hosts(job, world, |member| first_wish(member, &me)).await;
            }
        }
    }
}

fn first_wish(member: &Member, me: &LockOwner) -> LockWish {
    if member.selected {
        LockWish::Take(Box::new(me.clone()))
    } else {
        LockWish::Look
    }
}

/// A lock that another one holds.
struct Conflict {
    host: HostName,
    owner: Option<Box<LockOwner>>,
    file: String,
    age: Duration,
}

fn conflicts(hosts: &HostLooks, job: &Job) -> Vec<Conflict> {
    let chosen = job.fleet.iter().filter(|member| member.selected);
    chosen
        .filter_map(|member| match hosts.get(&member.spec.name) {
            Some(Ok(facts)) => match &facts.lock {
                LockSeen::Held { owner, file, age } => Some(Conflict {
                    host: member.spec.name.clone(),
                    owner: owner.clone(),
                    file: file.clone(),
                    age: *age,
                }),
                LockSeen::Free | LockSeen::Ours => None,
            },
            _ => None,
        })
        .collect()
}

enum Verdict {
    TakeOver { from: Duration, why: String },
    Wait,
    GiveBack(String),
}

fn judge(
    job: &Job,
    world: &World,
    hosts: &HostLooks,
    conflicts: &[Conflict],
    waited: Duration,
) -> Verdict {
    let ended = |id: &RolloutId| {
        hosts
            .values()
            .flatten()
            .any(|facts| facts.rollouts.iter().any(|line| line.id == *id))
    };
    if conflicts.iter().all(|conflict| {
        conflict
            .owner
            .as_ref()
            .is_some_and(|owner| ended(&owner.rollout))
    }) {
        let why = format!(
            "breaking the lock of {}, whose rollout has ended elsewhere",
            list(conflicts)
        );
        return Verdict::TakeOver {
            from: Duration::ZERO,
            why,
        };
    }
    if job.wishes.take_over {
        return take_over(world, conflicts);
    }
    let younger = |conflict: &Conflict| {
        conflict
            .owner
            .as_ref()
            .is_none_or(|owner| owner.rollout > job.rollout && owner.command != "lock")
    };
    let holds_some = hosts
        .values()
        .flatten()
        .any(|facts| facts.lock == LockSeen::Ours);
    if holds_some && waited < TIE && conflicts.iter().all(younger) {
        return Verdict::Wait;
    }
    Verdict::GiveBack(format!("{}; {}", list(conflicts), advice(world, conflicts)))
}

fn take_over(world: &World, conflicts: &[Conflict]) -> Verdict {
    let mut settle = Duration::ZERO;
    for conflict in conflicts {
        let Some(owner) = &conflict.owner else {
            continue;
        };
        if owner.command == "lock" {
            return Verdict::GiveBack(format!(
                "{}; a lock by hand is ended by `rollgate unlock` only",
                list(conflicts)
            ));
        }
        match world.processes.alive(&owner.process) {
            Some(true) => {
                return Verdict::GiveBack(format!(
                    "{}; its process still lives on this machine: end it first",
                    list(conflicts)
                ));
            }
            Some(false) => {}
            None => settle = SETTLE,
        }
    }
    Verdict::TakeOver {
        from: settle,
        why: format!("taking over the lock of {}", list(conflicts)),
    }
}

fn list(conflicts: &[Conflict]) -> String {
    let describe = |conflict: &Conflict| {
        let whom = conflict
            .owner
            .as_ref()
            .map_or_else(|| "somebody unnamed".to_owned(), |owner| holder(owner));
        let state = if conflict.age >= ABANDONED {
            "abandoned, "
        } else {
            ""
        };
        format!(
            "host `{}` ({state}held by {whom}, last renewed {}s ago)",
            conflict.host,
            conflict.age.as_secs()
        )
    };
    let mut words: Vec<String> = conflicts.iter().take(3).map(describe).collect();
    if conflicts.len() > 3 {
        words.push(format!("and {} more", conflicts.len() - 3));
    }
    words.join(", ")
}

/// Whose lock it is, for people.
pub(super) fn holder(owner: &LockOwner) -> String {
    let what = owner
        .service
        .as_ref()
        .map_or_else(String::new, |service| format!(" of {service}"));
    let words = owner
        .message
        .as_ref()
        .map_or_else(String::new, |message| format!(", \"{message}\""));
    format!(
        "{} {}{what} by {} since {:.0}{words}",
        owner.command, owner.rollout, owner.by, owner.since
    )
}

fn advice(world: &World, conflicts: &[Conflict]) -> String {
    let alive = |conflict: &Conflict| {
        conflict
            .owner
            .as_ref()
            .and_then(|owner| world.processes.alive(&owner.process))
    };
    if conflicts
        .iter()
        .any(|conflict| alive(conflict) == Some(false))
    {
        "its process is gone: run again with `--take-over` to start afresh from what is found"
            .to_owned()
    } else if conflicts.iter().any(|conflict| {
        conflict
            .owner
            .as_ref()
            .is_some_and(|owner| owner.command == "lock")
    }) {
        "it was locked by hand".to_owned()
    } else {
        "wait for it, queue behind it with `--lock-wait 10m`, or, if it is dead, run with `--take-over`".to_owned()
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
        Some(reason) if !job.wishes.take_over => {
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
        let open = record.stranded.is_none() && record.rollout != job.rollout && !ended(&record.rollout);
        open.then(|| {
            format!(
                "host `{}` has an unfinished rollout: {} {} to {} by {} since {:.0}; run with `--take-over` to start afresh from what is found",
                member.spec.name, record.command, record.rollout, record.target.version, record.by, record.started
            )
        })
    })
}

/// What would be in the way of a command that changes hosts, seen by one that only looks.
pub(super) fn in_the_way(job: &Job, hosts: &HostLooks) -> Option<String> {
    let held = conflicts(hosts, job);
    if held.is_empty() {
        unfinished(job, hosts).filter(|_| !job.wishes.take_over)
    } else {
        Some(list(&held))
    }
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
