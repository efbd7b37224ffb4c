//! The process dies before and after every act that it does on a host or a balancer; another one goes on, or back.

use std::collections::BTreeMap;
use std::time::Duration;

use rollgate::engine::StopWish;
use rollgate::event::{Event, EventKind};
use rollgate::model::{
    Admin, HostResult, LockSeen, LockToken, OnFailure, Outcome, RevisionOutcome, RolloutId,
};
use rollgate::plan::unfinished::{Open, open};
use rollgate::plan::{Goal, HookDoubt, Resumes};
use tokio::sync::watch;

use crate::support::world::host::facts;
use crate::support::world::{Fault, Fleet, NEW, OLD, When, lock};

/// More acts than any of these rollouts has.
pub(super) const MOST: u32 = 400;

/// Runs until the process dies. Whether it did.
pub(super) async fn run_and_die(fleet: &Fleet, at: u32, when: When) -> bool {
    {
        let mut sim = lock(&fleet.sim);
        sim.acts = 0;
        sim.dies = Some((at, when));
    }
    let run = fleet.run_until(watch::channel(StopWish::None).1);
    let ended = tokio::time::timeout(Duration::from_secs(600), run).await;
    let mut sim = lock(&fleet.sim);
    sim.dies = None;
    sim.alive = Some(false);
    ended.is_err()
}

fn found(fleet: &Fleet) -> Vec<Open> {
    let sim = lock(&fleet.sim);
    let seen: Vec<_> = sim
        .hosts
        .values()
        .map(|host| facts(host, LockSeen::Free))
        .collect();
    open(seen.iter())
}

/// Makes the job one that goes on with the rollout, as another process; `None` where no host knows of one.
pub(super) fn take_up(fleet: &mut Fleet, goal: Goal) -> Option<Open> {
    let found = found(fleet).into_iter().next()?;
    fleet.job.attempt = found.record.attempt + 1;
    fleet.job.token = LockToken::new(&format!("cafe{}", fleet.job.attempt)).unwrap();
    if found.ended {
        fleet.job.rollout = RolloutId::new("20260303T000000Z-0003").unwrap();
    }
    if goal == Goal::Revert {
        "abort".clone_into(&mut fleet.job.command);
    }
    fleet.job.resumes = Some(Resumes {
        rollout: found.rollout.clone(),
        goal,
        keys: BTreeMap::new(),
        accept_changes: false,
        doubt: HookDoubt::Stop,
        ended: found.ended,
    });
    Some(found)
}

pub(super) fn everywhere(fleet: &Fleet, version: &str, what: &str) {
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new(), "{what}");
    for (name, host) in &sim.hosts {
        assert_eq!(
            (host.running.as_deref(), sim.servers[name].admin),
            (Some(version), Admin::Ready),
            "{what}: {name}"
        );
        assert!(host.record.is_none(), "{what}: {name} keeps its record");
        assert!(host.owner.is_none(), "{what}: {name} keeps its lock");
    }
}

fn results(events: &[Event]) -> Vec<HostResult> {
    let EventKind::RolloutFinished { hosts, .. } = &events.last().unwrap().kind else {
        panic!("no end")
    };
    hosts.iter().map(|end| end.result).collect()
}

async fn sweep(goal: Goal, make: impl Fn() -> Fleet, want: (Outcome, &str)) {
    let mut deaths = 0;
    for at in 1..MOST {
        for when in [When::Before, When::After] {
            let mut fleet = make();
            let what = format!("{goal:?} after a death {when:?} act {at}");
            if !run_and_die(&fleet, at, when).await {
                assert!(deaths > 60, "{deaths} deaths only");
                return;
            }
            deaths += 1;
            let Some(found) = take_up(&mut fleet, goal) else {
                // Nothing was begun, or all of it had ended.
                let sim = lock(&fleet.sim);
                assert_eq!(sim.broken, Vec::<String>::new(), "{what}");
                continue;
            };
            if goal == Goal::Revert && found.ended {
                continue;
            }
            let (outcome, events) = fleet.run().await;
            let text = || format!("{what}: {}", serde_json::to_string(&events).unwrap());
            assert_eq!(outcome, want.0, "{}", text());
            everywhere(&fleet, want.1, &what);
        }
    }
    panic!("a rollout without an end");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_died_anywhere_is_finished() {
    sweep(Goal::Finish, || Fleet::new(4), (Outcome::Succeeded, NEW)).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_died_anywhere_is_taken_back() {
    sweep(Goal::Revert, || Fleet::new(4), (Outcome::Reverted, OLD)).await;
}

/// A bad release goes back also when the process died on the way, or on the way back.
#[tokio::test(start_paused = true)]
async fn a_bad_release_that_died_anywhere_goes_back() {
    for on_failure in [OnFailure::RevertBatch, OnFailure::RevertAll] {
        let make = || {
            let mut fleet = Fleet::new(4);
            fleet.job.strategy.on_failure = on_failure;
            lock(&fleet.sim).bad.insert(NEW.to_owned());
            fleet
        };
        sweep(Goal::Finish, make, (Outcome::Reverted, OLD)).await;
    }
}

/// `revert-all` goes on after a death, also with the batches that had passed.
#[tokio::test(start_paused = true)]
async fn reverting_everything_goes_on() {
    let make = || {
        let mut fleet = Fleet::new(4);
        fleet.job.strategy.on_failure = OnFailure::RevertAll;
        let fails = Fault::Fails(When::Before);
        // Only its first swap, so that going back works; the resumed run must not try again once it is known.
        let mut sim = lock(&fleet.sim);
        sim.faults.push(("h3".into(), "swap", 1, fails));
        drop(sim);
        fleet
    };
    let mut reverted = 0;
    for at in 1..MOST {
        let mut fleet = make();
        if !run_and_die(&fleet, at, When::After).await {
            break;
        }
        if take_up(&mut fleet, Goal::Finish).is_none() {
            continue;
        }
        let (outcome, events) = fleet.run().await;
        let version = match outcome {
            Outcome::Succeeded => NEW,
            Outcome::Reverted => OLD,
            other => panic!("{other:?} after act {at}: {events:?}"),
        };
        everywhere(&fleet, version, &format!("act {at}"));
        reverted += u32::from(outcome == Outcome::Reverted);
    }
    assert!(reverted > 20, "{reverted}");
}

/// What was found before the rollout is what `resume` puts back, not what it finds itself.
#[tokio::test(start_paused = true)]
async fn an_operators_host_stays_out_over_death_and_resume() {
    for at in (1..MOST).step_by(3) {
        let mut fleet = Fleet::new(4);
        {
            let mut sim = lock(&fleet.sim);
            sim.servers.get_mut("h2").unwrap().admin = Admin::Maint;
            sim.servers.get_mut("h2").unwrap().was_usable = false;
            sim.operator.insert("h2".into());
        }
        if !run_and_die(&fleet, at, When::After).await {
            return;
        }
        if take_up(&mut fleet, Goal::Finish).is_none() {
            continue;
        }
        let (outcome, _) = fleet.run().await;
        assert_eq!(outcome, Outcome::Succeeded, "act {at}");
        let sim = lock(&fleet.sim);
        assert_eq!(sim.broken, Vec::<String>::new(), "act {at}");
        assert_eq!(sim.servers["h2"].admin, Admin::Maint, "act {at}");
        assert_eq!(sim.servers["h1"].admin, Admin::Ready, "act {at}");
    }
}

/// A host that vanished meanwhile is named; the others are finished.
#[tokio::test(start_paused = true)]
async fn a_host_that_vanished_meanwhile_is_stranded_and_the_others_finish() {
    let mut fleet = Fleet::new(4);
    assert!(run_and_die(&fleet, 26, When::After).await);
    lock(&fleet.sim).hosts.get_mut("h4").unwrap().gone = true;
    take_up(&mut fleet, Goal::Finish).unwrap();
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Stranded);
    let mut want = vec![HostResult::Updated; 3];
    want.push(HostResult::Stranded);
    assert_eq!(results(&events), want);
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
}

/// Aborted, a release is not put back by the next plain deploy (F4).
#[tokio::test(start_paused = true)]
async fn what_was_aborted_is_not_deployed_again_by_itself() {
    let mut fleet = Fleet::new(4);
    assert!(run_and_die(&fleet, 26, When::After).await);
    take_up(&mut fleet, Goal::Revert).unwrap();
    assert_eq!(fleet.run().await.0, Outcome::Reverted);
    let lines = |fleet: &Fleet| {
        let sim = lock(&fleet.sim);
        let last = sim.hosts["h1"].revisions.last().unwrap();
        (
            last.outcome,
            sim.hosts["h1"].rollouts.last().unwrap().exit_code,
        )
    };
    assert_eq!(lines(&fleet), (RevisionOutcome::Reverted, 0));
    fleet.job.resumes = None;
    "deploy".clone_into(&mut fleet.job.command);
    super::review::again(&mut fleet);
    assert_eq!(fleet.run().await.0, Outcome::Refused);
}

/// The one that goes on dies too, and a third one goes on.
#[tokio::test(start_paused = true)]
async fn a_rollout_that_died_twice_is_finished_or_taken_back() {
    for goal in [Goal::Finish, Goal::Revert] {
        for first in (3..MOST).step_by(2) {
            if !run_and_die(&Fleet::new(4), first, When::After).await {
                break;
            }
            for second in (1..MOST).step_by(3) {
                let what = format!("{goal:?} after deaths at act {first} and {second}");
                let mut fleet = Fleet::new(4);
                run_and_die(&fleet, first, When::After).await;
                let Some(found) = take_up(&mut fleet, goal) else {
                    break;
                };
                if found.ended || !run_and_die(&fleet, second, When::After).await {
                    break;
                }
                let Some(found) = take_up(&mut fleet, goal) else {
                    assert_eq!(lock(&fleet.sim).broken, Vec::<String>::new(), "{what}");
                    continue;
                };
                if goal == Goal::Revert && found.ended {
                    continue;
                }
                let (outcome, _) = fleet.run().await;
                match goal {
                    Goal::Finish => {
                        assert_eq!(outcome, Outcome::Succeeded, "{what}");
                        everywhere(&fleet, NEW, &what);
                    }
                    Goal::Revert => {
                        assert_eq!(outcome, Outcome::Reverted, "{what}");
                        everywhere(&fleet, OLD, &what);
                    }
                }
            }
        }
    }
}

/// Interrupted at any event, a rollout can be finished, and taken back.
#[tokio::test(start_paused = true)]
async fn an_interrupted_rollout_goes_on_or_back() {
    for wish in [StopWish::Gently, StopWish::Now] {
        for (goal, want, version) in [
            (Goal::Finish, Outcome::Succeeded, NEW),
            (Goal::Revert, Outcome::Reverted, OLD),
        ] {
            for at in 1..60 {
                let what = format!("{goal:?} after {wish:?} at event {at}");
                let mut fleet = Fleet::new(4);
                let (say, wishes) = watch::channel(StopWish::None);
                let stop = super::courses::StopAt(at, say, wish);
                let outcome = fleet.run_with(wishes, vec![Box::new(stop)]).await;
                lock(&fleet.sim).alive = Some(false);
                if outcome != Outcome::Interrupted || take_up(&mut fleet, goal).is_none() {
                    continue;
                }
                let (outcome, events) = fleet.run().await;
                assert_eq!(outcome, want, "{what}: {events:?}");
                everywhere(&fleet, version, &what);
            }
        }
    }
}

/// A host that failed within the budget before the death is not tried again, and still counts.
#[tokio::test(start_paused = true)]
async fn failures_are_remembered_over_a_death() {
    let mut seen = 0;
    for at in 1..MOST {
        let mut fleet = Fleet::new(4);
        fleet.job.strategy.max_failures = 1;
        let fails = Fault::Fails(When::After);
        let fault = ("h1".into(), "swap", 1, fails);
        lock(&fleet.sim).faults.push(fault);
        if !run_and_die(&fleet, at, When::After).await {
            break;
        }
        if take_up(&mut fleet, Goal::Finish).is_none() {
            continue;
        }
        let (outcome, events) = fleet.run().await;
        let sim = lock(&fleet.sim);
        assert_eq!(sim.broken, Vec::<String>::new(), "act {at}");
        assert!(
            matches!(outcome, Outcome::Succeeded | Outcome::Partial),
            "act {at}: {outcome:?}: {events:?}"
        );
        let old = if outcome == Outcome::Partial {
            OLD
        } else {
            NEW
        };
        for (name, version) in [("h1", old), ("h2", NEW), ("h3", NEW), ("h4", NEW)] {
            let running = sim.hosts[name].running.as_deref();
            assert_eq!(running, Some(version), "act {at}: {name}: {events:?}");
            assert_eq!(sim.servers[name].admin, Admin::Ready, "act {at}: {name}");
        }
        seen += u32::from(outcome == Outcome::Partial);
    }
    assert!(seen > 10, "{seen}");
}
