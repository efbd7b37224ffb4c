//! Locks that others hold: whose they are, and what is done about them (F7). Decides; takes nothing.

use std::time::Duration;

use super::inspect::HostLooks;
use super::{Job, World};
use crate::model::{HostName, LockOwner, LockSeen, RolloutId};

/// For how long the run with the smaller id keeps its part and waits for the other one to give back.
const TIE: Duration = Duration::from_secs(5);
/// What the owner of a lock by hand is doing. Nobody renews it, and only `unlock` ends it.
pub(super) const BY_HAND: &str = "lock";
/// A lock that was not renewed for this long is abandoned; it is still never taken silently.
const ABANDONED: Duration = Duration::from_secs(120);

/// A run whose rollout has ended elsewhere has let go of all its locks after this time, or never will.
const ENDING: Duration = Duration::from_secs(60);

/// Whoever takes a lock from a process that may still live waits this long before it reads or changes a balancer (R3).
pub(super) const SETTLE: Duration = Duration::from_secs(20);

/// A lock that another one holds.
pub(super) struct Conflict {
    pub(super) host: HostName,
    pub(super) owner: Option<Box<LockOwner>>,
    pub(super) file: String,
    pub(super) age: Duration,
}

pub(super) fn conflicts(hosts: &HostLooks, job: &Job) -> Vec<Conflict> {
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

/// What is done about locks that others hold.
pub(super) enum Verdict {
    TakeOver { from: Duration, why: String },
    Wait,
    GiveBack(String),
}

pub(super) fn judge(
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
    // A run that ends just now still closes its hosts one by one.
    let is_left = |conflict: &Conflict| {
        conflict.owner.as_ref().is_some_and(|owner| {
            let gone = world.processes.alive(&owner.process) == Some(false);
            ended(&owner.rollout) && (gone || conflict.age >= ENDING)
        })
    };
    if conflicts.iter().all(is_left) {
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
        return take_over(world, conflicts, Duration::ZERO);
    }
    // A process that is known to be gone, or whose lock is abandoned, has left its rollout to whoever goes on with it (F7).
    let is_resumed = |conflict: &Conflict| {
        let resumes = job.resumes.as_ref();
        conflict
            .owner
            .as_ref()
            .is_some_and(|owner| resumes.is_some_and(|resumes| resumes.rollout == owner.rollout))
    };
    if conflicts.iter().all(is_resumed) {
        return take_over(world, conflicts, ABANDONED);
    }
    let younger = |conflict: &Conflict| {
        conflict
            .owner
            .as_ref()
            .is_none_or(|owner| owner.rollout > job.rollout && owner.command != BY_HAND)
    };
    // One that has written its records has all its locks, and gives none back.
    let has_begun = |conflict: &Conflict| {
        let record = match hosts.get(&conflict.host) {
            Some(Ok(facts)) => facts.record.read(),
            Some(Err(_)) | None => None,
        };
        let owner = conflict.owner.as_ref();
        record.is_some_and(|record| owner.is_some_and(|owner| owner.rollout == record.rollout))
    };
    let holds_some = hosts
        .values()
        .flatten()
        .any(|facts| facts.lock == LockSeen::Ours);
    let may_give_back = !conflicts.iter().any(has_begun) && conflicts.iter().all(younger);
    if holds_some && waited < TIE && may_give_back {
        return Verdict::Wait;
    }
    Verdict::GiveBack(format!("{}; {}", list(conflicts), advice(world, conflicts)))
}

/// Takes the locks over from processes that do not live on this machine; from one that may live elsewhere only when its lock is `old`.
fn take_over(world: &World, conflicts: &[Conflict], old: Duration) -> Verdict {
    let mut settle = Duration::ZERO;
    for conflict in conflicts {
        let Some(owner) = &conflict.owner else {
            // Whoever it is cannot be proven dead.
            settle = SETTLE;
            continue;
        };
        if owner.command == BY_HAND {
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
            None if conflict.age < old => {
                return Verdict::GiveBack(format!(
                    "{}; whether its process still lives cannot be told from here: when it is dead, run with `--take-over`, or wait until its lock is abandoned (two minutes)",
                    list(conflicts)
                ));
            }
            None => settle = SETTLE,
        }
    }
    Verdict::TakeOver {
        from: settle,
        why: format!("taking over the lock of {}", list(conflicts)),
    }
}

/// Whether the lock's holder may still tell a balancer something.
pub(super) fn may_act(world: &World, conflict: &Conflict) -> bool {
    conflict.owner.as_ref().is_none_or(|owner| {
        owner.command != BY_HAND && world.processes.alive(&owner.process) != Some(false)
    })
}

/// Whether nobody holds the lock any more: its process is gone, or did not renew it for long.
pub(super) fn left_behind(world: &World, conflict: &Conflict) -> bool {
    conflict.owner.as_ref().is_some_and(|owner| {
        let by_hand = owner.command == BY_HAND;
        let gone = world.processes.alive(&owner.process);
        !by_hand && (gone == Some(false) || gone.is_none() && conflict.age >= ABANDONED)
    })
}

/// Whose locks they are, for people: the hosts of each holder together.
pub(super) fn list(conflicts: &[Conflict]) -> String {
    let mut holders: Vec<(String, Vec<&Conflict>)> = Vec::new();
    for conflict in conflicts {
        let whom = conflict
            .owner
            .as_ref()
            .map_or_else(|| "somebody unnamed".to_owned(), |owner| holder(owner));
        match holders.iter_mut().find(|(other, _)| *other == whom) {
            Some((_, theirs)) => theirs.push(conflict),
            None => holders.push((whom, vec![conflict])),
        }
    }
    let words: Vec<String> = holders
        .iter()
        .map(|(whom, theirs)| describe(whom, theirs))
        .collect();
    words.join("; ")
}

fn describe(whom: &str, theirs: &[&Conflict]) -> String {
    const MOST: usize = 4;
    let names = theirs.iter().map(|conflict| format!("`{}`", conflict.host));
    let mut names: Vec<String> = names.take(MOST).collect();
    if theirs.len() > MOST {
        names.push(format!("{} more", theirs.len() - MOST));
    }
    let hosts = if theirs.len() == 1 { "host" } else { "hosts" };
    let names = names.join(", ");
    let by_hand = theirs.iter().any(|conflict| {
        conflict
            .owner
            .as_ref()
            .is_some_and(|owner| owner.command == BY_HAND)
    });
    if by_hand {
        return format!("{hosts} {names} (held by {whom})");
    }
    let age = theirs.iter().map(|conflict| conflict.age).min();
    let age = age.unwrap_or_default();
    let state = if age >= ABANDONED { "abandoned, " } else { "" };
    format!(
        "{hosts} {names} ({state}held by {whom}, last renewed {}s ago)",
        age.as_secs()
    )
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
    let owners = || {
        conflicts
            .iter()
            .filter_map(|conflict| conflict.owner.as_ref())
    };
    if owners().any(|owner| owner.command == BY_HAND) {
        return "it was locked by hand: `rollgate unlock` ends that".to_owned();
    }
    if owners().any(|owner| world.processes.alive(&owner.process) == Some(false)) {
        return "its process is gone: `rollgate resume` goes on with it, `rollgate abort` takes it back, and `--take-over` starts afresh from what is found".to_owned();
    }
    "wait for it, queue behind it with `--lock-wait 10m`, or, if it is dead, go on with it (`rollgate resume`), take it back (`rollgate abort`) or start afresh (`--take-over`)".to_owned()
}
