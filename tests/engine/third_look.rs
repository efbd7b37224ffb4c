//! Faults that a third look found, in rollouts that are gone on with: each of these failed before it was mended.

use std::collections::BTreeMap;

use rollgate::engine::StopWish;
use rollgate::event::{Event, EventKind};
use rollgate::model::{Admin, LockToken, OnFailure, Outcome, RolloutId, Version};
use rollgate::plan::{Goal, HookDoubt, Resumes};
use tokio::sync::watch;

use super::courses::StopAt;
use super::resume::{MOST, everywhere, run_and_die, take_up};
use super::review::again;
use crate::support::world::{Fault, Fleet, NEW, OLD, When, lock};

fn reasons(events: &[Event]) -> String {
    let EventKind::RolloutFinished { reasons, .. } = &events.last().unwrap().kind else {
        panic!("no end")
    };
    reasons.join("; ")
}

/// What was to be aborted has ended meanwhile: its release is not rolled anew.
#[tokio::test(start_paused = true)]
async fn an_abort_that_comes_too_late_touches_nothing() {
    for goal in [Goal::Finish, Goal::Revert] {
        let mut fleet = Fleet::new(4);
        lock(&fleet.sim).bad.insert(NEW.to_owned());
        assert_eq!(fleet.run().await.0, Outcome::Reverted);
        lock(&fleet.sim).bad.clear();
        let swaps = lock(&fleet.sim).counts.clone();
        fleet.job.resumes = Some(Resumes {
            rollout: fleet.job.rollout.clone(),
            goal,
            keys: BTreeMap::new(),
            accept_changes: false,
            doubt: HookDoubt::Stop,
            ended: false,
        });
        fleet.job.token = LockToken::new("f00d").unwrap();
        let (outcome, events) = fleet.run().await;
        assert_eq!(outcome, Outcome::Refused, "{events:?}");
        everywhere(&fleet, OLD, "too late");
        let swaps_of = |counts: &BTreeMap<(String, &'static str), u32>| {
            let swaps = counts.iter().filter(|((_, op), _)| *op == "swap");
            swaps.map(|(_, count)| *count).sum::<u32>()
        };
        assert_eq!(swaps_of(&swaps), swaps_of(&lock(&fleet.sim).counts));
    }
}

fn fails_late() -> Fleet {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.on_failure = OnFailure::RevertAll;
    let fails = Fault::Fails(When::Before);
    let fault = ("h3".into(), "swap", 1, fails);
    lock(&fleet.sim).faults.push(fault);
    fleet
}

async fn stopped_at(fleet: &Fleet, at: u64) -> Outcome {
    let (say, wishes) = watch::channel(StopWish::None);
    let stop = StopAt(at, say, StopWish::Gently);
    fleet.run_with(wishes, vec![Box::new(stop)]).await
}

/// Ctrl-C on the way back leaves what is not back yet to `resume`, and forgets none of it.
#[tokio::test(start_paused = true)]
async fn a_revert_that_was_interrupted_goes_on() {
    let mut went_on = 0;
    for at in 1..90 {
        let mut fleet = fails_late();
        let outcome = stopped_at(&fleet, at).await;
        if outcome != Outcome::Interrupted || take_up(&mut fleet, Goal::Finish).is_none() {
            continue;
        }
        let (outcome, events) = fleet.run().await;
        let version = match outcome {
            Outcome::Succeeded => NEW,
            Outcome::Reverted => OLD,
            other => panic!("event {at}: {other:?}: {events:?}"),
        };
        everywhere(&fleet, version, &format!("event {at}"));
        went_on += u32::from(outcome == Outcome::Reverted);
    }
    assert!(went_on > 0, "no revert was interrupted");
}

/// The same for one that goes on with a rollout that had died.
#[tokio::test(start_paused = true)]
async fn a_resume_that_was_interrupted_goes_on() {
    for died in (8..MOST).step_by(5) {
        for at in [4, 6, 8, 11, 15] {
            for goal in [Goal::Finish, Goal::Revert] {
                let mut fleet = fails_late();
                if !run_and_die(&fleet, died, When::After).await {
                    return;
                }
                if take_up(&mut fleet, goal).is_none_or(|open| open.ended) {
                    continue;
                }
                let what = format!("{goal:?}: died at {died}, stopped at {at}");
                let outcome = stopped_at(&fleet, at).await;
                lock(&fleet.sim).alive = Some(false);
                let (outcome, events) = match outcome {
                    Outcome::Interrupted if take_up(&mut fleet, goal).is_some() => {
                        fleet.run().await
                    }
                    outcome => (outcome, Vec::new()),
                };
                let version = match outcome {
                    Outcome::Succeeded => NEW,
                    Outcome::Reverted => OLD,
                    Outcome::Interrupted => continue,
                    other => panic!("{what}: {other:?}: {events:?}"),
                };
                everywhere(&fleet, version, &what);
            }
        }
    }
}

/// A fleet that has moved on is not taken back to an older release by a late `resume`.
#[tokio::test(start_paused = true)]
async fn a_rollout_that_was_superseded_is_not_resumed() {
    let mut fleet = Fleet::new(4);
    assert!(run_and_die(&fleet, 12, When::After).await);
    let old = fleet.job.clone();
    again(&mut fleet);
    fleet.job.version = Version::new("3.0").unwrap();
    fleet.job.wishes.take_over = true;
    for member in &mut fleet.job.fleet {
        member.selected = ["h1", "h2"].contains(&member.spec.name.as_str());
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded, "{events:?}");
    fleet.job = old;
    let open = {
        // The older one's records are left on the others.
        take_up(&mut fleet, Goal::Finish).unwrap()
    };
    assert_eq!(open.record.target.version.as_str(), NEW);
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Refused, "{events:?}");
    assert!(reasons(&events).contains("moved on"), "{events:?}");
    let sim = lock(&fleet.sim);
    assert_eq!(sim.hosts["h1"].running.as_deref(), Some("3.0"));
}

/// Hosts that are out already are finished although others use the bound up.
#[tokio::test(start_paused = true)]
async fn what_is_out_already_is_finished_whoever_uses_the_bound_up() {
    // Both hosts of the first batch are drained, and no further.
    let mut at = 20;
    let mut fleet = loop {
        let fleet = Fleet::new(6);
        assert!(run_and_die(&fleet, at, When::After).await);
        let out = |name: &str| lock(&fleet.sim).servers[name].admin == Admin::Drain;
        if out("h1") && out("h2") {
            break fleet;
        }
        at += 1;
        assert!(at < 60);
    };
    for name in ["h5", "h6"] {
        let mut sim = lock(&fleet.sim);
        sim.servers.get_mut(name).unwrap().admin = Admin::Drain;
        sim.operator.insert(name.into());
    }
    take_up(&mut fleet, Goal::Finish).unwrap();
    let (outcome, events) = fleet.run().await;
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    for name in ["h1", "h2"] {
        let now = (sim.hosts[name].running.as_deref(), sim.servers[name].admin);
        assert_eq!(now, (Some(NEW), Admin::Ready), "{outcome:?}: {events:?}");
    }
}

/// `abort` of hosts that need a person can be tried again when one of them did not answer.
#[tokio::test(start_paused = true)]
async fn a_stranded_host_goes_back_at_the_second_try() {
    let mut fleet = Fleet::new(4);
    {
        let mut sim = lock(&fleet.sim);
        sim.bad.insert(NEW.to_owned());
        // Going back fails on both hosts of the batch.
        for name in ["h1", "h2"] {
            let fails = Fault::Fails(When::Before);
            sim.faults.push((name.into(), "swap", 2, fails));
        }
    }
    assert_eq!(fleet.run().await.0, Outcome::Stranded);
    lock(&fleet.sim).faults.clear();
    lock(&fleet.sim).hosts.get_mut("h2").unwrap().gone = true;
    let open = take_up(&mut fleet, Goal::Revert).unwrap();
    assert!(open.only_stranded && open.ended);
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Stranded, "{events:?}");
    {
        let sim = lock(&fleet.sim);
        assert_eq!(sim.hosts["h1"].running.as_deref(), Some(OLD));
        assert_eq!(sim.servers["h1"].admin, Admin::Ready);
    }
    lock(&fleet.sim).hosts.get_mut("h2").unwrap().gone = false;
    fleet.job.rollout = RolloutId::new("20260404T000000Z-0004").unwrap();
    take_up(&mut fleet, Goal::Revert).unwrap();
    fleet.job.rollout = RolloutId::new("20260404T000000Z-0004").unwrap();
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Reverted, "{events:?}");
    let sim = lock(&fleet.sim);
    assert_eq!(sim.hosts["h2"].running.as_deref(), Some(OLD));
    assert_eq!(sim.servers["h2"].admin, Admin::Ready);
}
