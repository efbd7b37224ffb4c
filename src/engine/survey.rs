//! One look at the fleet by a command that asks the hosts what there is to do: which rollouts were cut off, and whose locks are left.

use tokio::sync::watch;

use super::conflict::{Conflict, conflicts, left_behind, list, may_act};
use super::inspect::{self, HostLooks};
use super::lease::Leases;
use super::locks::{self, Taken};
use super::{Job, StopWish, World};
use crate::drivers::host::LockWish;
use crate::event::Emitter;
use crate::model::{HostName, LockSeen, Outcome, RecordSeen, RecordStep};
use crate::plan::unfinished::{Open, open};

/// What a look showed.
#[derive(Debug)]
pub struct Survey {
    looks: HostLooks,
    /// Rollouts of this service that hosts still hold records of, newest first.
    pub open: Vec<Open>,
    /// Hosts that could not be looked at, and why.
    pub away: Vec<(HostName, String)>,
    /// Hosts whose record cannot be read, and why.
    pub damaged: Vec<(HostName, String)>,
}

/// Looks at every host once; touches nothing.
pub async fn survey(job: &Job, world: &World) -> Survey {
    let looks = inspect::hosts(job, world, |_| LockWish::Look).await;
    let seen = looks.values().flatten();
    let mut open = open(seen);
    open.retain(|open| open.record.service == job.service);
    let away = looks.iter().filter_map(|(name, look)| {
        let error = look.as_ref().err()?;
        Some((name.clone(), error.to_string()))
    });
    let away = away.collect();
    let damaged = looks.iter().filter_map(|(name, look)| match look {
        Ok(facts) => match &facts.record {
            RecordSeen::Corrupt(why) => Some((name.clone(), why.clone())),
            RecordSeen::Read(_) | RecordSeen::Absent => None,
        },
        Err(_) => None,
    });
    let damaged = damaged.collect();
    Survey {
        looks,
        open,
        away,
        damaged,
    }
}

impl Survey {
    /// How far each host is, by its record of that rollout.
    pub fn steps(&self, open: &Open) -> Vec<(HostName, RecordStep)> {
        let looks = self.looks.iter();
        let step = |(name, look): (&HostName, &Result<crate::model::HostFacts, _>)| {
            let facts = look.as_ref().ok()?;
            let record = facts
                .record
                .read()
                .filter(|record| record.rollout == open.rollout)?;
            Some((name.clone(), record.step))
        };
        looks.filter_map(step).collect()
    }

    /// Whether the fleet has moved on since that rollout: a later one ended on some host.
    pub fn moved_on(&self, open: &Open) -> Option<String> {
        let seen = self.looks.values().flatten();
        let mut lines = seen.flat_map(|facts| &facts.rollouts);
        let later = lines.find(|line| line.id > open.rollout && line.command != "abort")?;
        Some(format!(
            "{} {} ended as {}",
            later.command, later.id, later.outcome
        ))
    }
}

/// What came of removing locks that nobody holds any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleared {
    /// There was none, or these were removed.
    Removed(Vec<HostName>),
    /// Somebody holds one: who, for people.
    Held(String),
}

/// Removes locks that are abandoned or whose process is gone (F6).
pub async fn clear(
    job: &Job,
    world: &World,
    survey: &Survey,
    stop: &mut watch::Receiver<StopWish>,
) -> Cleared {
    let held = conflicts(&survey.looks, job);
    let (left, kept): (Vec<Conflict>, Vec<Conflict>) = held
        .into_iter()
        .partition(|conflict| left_behind(world, conflict));
    if !kept.is_empty() {
        return Cleared::Held(list(&kept));
    }
    Cleared::Removed(locks::remove(job, world, &left, stop).await)
}

/// A lock that somebody holds, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// On which host.
    pub host: HostName,
    /// By whom, since when, and when it was last renewed.
    pub whose: String,
    /// Whether its holder may still tell a balancer something, so that breaking it takes 20 s.
    pub may_act: bool,
}

impl Survey {
    /// Locks that are held on the chosen hosts.
    pub fn held(&self, job: &Job, world: &World) -> Vec<Held> {
        let held = conflicts(&self.looks, job).into_iter();
        held.map(|conflict| Held {
            host: conflict.host.clone(),
            whose: list(std::slice::from_ref(&conflict)),
            may_act: may_act(world, &conflict),
        })
        .collect()
    }
}

/// Breaks every lock that the survey saw, whoever holds it: a script of its holder that may still run is ended first, and the holder finds
/// itself fenced off. Returns the hosts that are free now.
pub async fn unlock(
    job: &Job,
    world: &World,
    survey: &Survey,
    stop: &mut watch::Receiver<StopWish>,
) -> Vec<HostName> {
    locks::remove(job, world, &conflicts(&survey.looks, job), stop).await
}

/// Locks every chosen host by hand, or none. The locks outlive the process, until [`unlock`].
///
/// # Errors
/// Who holds one already, or that a person stopped it.
pub async fn freeze(
    job: &Job,
    world: &World,
    emitter: &Emitter,
    stop: &mut watch::Receiver<StopWish>,
) -> Result<Vec<HostName>, (Outcome, String)> {
    let leases = Leases::new(std::sync::Arc::clone(&world.clock), world.hosts.clone());
    match locks::take(job, world, (&leases, emitter), stop).await {
        Taken::All { hosts, .. } => {
            let chosen = job.fleet.iter().filter(|member| member.selected);
            let mut chosen = chosen.map(|member| &member.spec.name);
            let away = chosen.find_map(|name| Some((name, hosts.get(name)?.as_ref().err()?)));
            if let Some((name, error)) = away {
                let reason = format!("host `{name}`: {error}");
                locks::give_back(world, &hosts).await;
                return Err((Outcome::Refused, reason));
            }
            let ours = hosts
                .into_iter()
                .filter(|(_, look)| matches!(look, Ok(facts) if facts.lock == LockSeen::Ours));
            Ok(ours.map(|(name, _)| name).collect())
        }
        Taken::Held(reason) => Err((Outcome::Locked, reason)),
        Taken::Stopped => Err((Outcome::Interrupted, "it was stopped".to_owned())),
    }
}
