//! Faults that a second look found: each of these failed before it was mended.

use std::time::Duration;

use rollgate::engine::StopWish;
use rollgate::event::{Event, EventKind};
use rollgate::model::{Admin, HostResult, OnFailure, Outcome, RecordStep};
use tokio::sync::watch;

use super::review::{again, with};
use crate::support::world::{Fault, Fleet, NEW, When, lock};

fn result_of(events: &[Event], host: &str) -> HostResult {
    let EventKind::RolloutFinished { hosts, .. } = &events.last().unwrap().kind else {
        panic!("no end")
    };
    let end = hosts.iter().find(|end| end.host.as_str() == host);
    end.unwrap().result
}

/// A renewal that finds a lock which the run itself has released says nothing about its end.
#[tokio::test(start_paused = true)]
async fn a_slow_end_of_one_host_is_no_lost_lock() {
    let fleet = Fleet::new(4);
    let slow = Fault::Slow(Duration::from_secs(45));
    let fault = ("h1".into(), "finish", 1, slow);
    lock(&fleet.sim).faults.push(fault);
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
}

/// A lock that somebody broke is a loss also when the very last word finds it.
#[tokio::test(start_paused = true)]
async fn a_lock_that_was_broken_before_the_last_word_is_a_loss() {
    let fleet = Fleet::new(4);
    let (outcome, _) = with(&fleet, ("batch.finished", None), |sim| {
        // The first batch is over: nothing asks for this host's lock but the end.
        if let Some(host) = sim.hosts.get_mut("h1") {
            host.owner = None;
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Locked);
}

/// What rollgate left drained stays known as its doing, also when the run that took it over ends before its turn.
#[tokio::test(start_paused = true)]
async fn a_takeover_that_is_stopped_early_forgets_nothing() {
    let mut fleet = Fleet::new(4);
    let (say, wishes) = watch::channel(StopWish::None);
    let sim = fleet.sim.clone();
    let killer = async move {
        while lock(&sim).servers["h1"].admin == Admin::Ready {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        say.send_replace(StopWish::Now);
    };
    let ((outcome, _), ()) = tokio::join!(fleet.run_until(wishes), killer);
    assert_eq!(outcome, Outcome::Interrupted);
    again(&mut fleet);
    fleet.job.wishes.take_over = true;
    lock(&fleet.sim).alive = Some(false);
    let fails = Fault::Fails(When::Before);
    lock(&fleet.sim).counts.clear();
    lock(&fleet.sim)
        .faults
        .push(("h4".into(), "stage", 1, fails));
    assert_eq!(fleet.run().await.0, Outcome::Refused);
    assert!(lock(&fleet.sim).hosts["h1"].record.is_some());
    let token = "beef";
    fleet.job.token = rollgate::model::LockToken::new(token).unwrap();
    lock(&fleet.sim).faults.clear();
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Ready);
}

/// The last usable server of a pool is not taken out, also when its host was sick before the rollout.
#[tokio::test(start_paused = true)]
async fn a_revert_leaves_the_last_usable_server_in_traffic() {
    let mut fleet = Fleet::new(2);
    fleet.job.strategy.on_failure = OnFailure::RevertAll;
    {
        let mut sim = lock(&fleet.sim);
        sim.hosts.get_mut("h1").unwrap().running = None;
        sim.servers.get_mut("h1").unwrap().was_usable = false;
        // Its swap fails, and so does going back.
        for nth in [1, 2] {
            let fault = Fault::Fails(When::Before);
            sim.faults.push(("h2".into(), "swap", nth, fault));
        }
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Stranded);
    let sim = lock(&fleet.sim);
    assert_eq!(result_of(&events, "h2"), HostResult::Stranded);
    assert_eq!(sim.servers["h1"].admin, Admin::Ready);
    assert_eq!(sim.hosts["h1"].running.as_deref(), Some(NEW));
}

/// A host that could not be closed at the end of a good rollout, and that an operator drained since, stays drained.
#[tokio::test(start_paused = true)]
async fn a_drain_after_a_good_rollout_is_an_operators() {
    let mut fleet = Fleet::new(4);
    {
        let mut sim = lock(&fleet.sim);
        for nth in 1..=3 {
            let fault = Fault::Loses(When::Before);
            sim.faults.push(("h3".into(), "finish", nth, fault));
        }
    }
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
    {
        let mut sim = lock(&fleet.sim);
        let record = sim.hosts["h3"].record.as_ref().unwrap();
        assert_eq!(record.step, RecordStep::Enable);
        sim.servers.get_mut("h3").unwrap().admin = Admin::Drain;
        sim.operator.insert("h3".into());
        sim.faults.clear();
        sim.lock_age = Duration::from_secs(60);
    }
    again(&mut fleet);
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    assert_eq!(sim.servers["h3"].admin, Admin::Drain);
}

/// A run that ends just now is not robbed of its last locks by one that queues behind it.
#[tokio::test(start_paused = true)]
async fn a_lock_of_a_run_that_is_just_ending_is_left_to_it() {
    let mut fleet = Fleet::new(4);
    let fault = ("h3".into(), "finish", 1, Fault::Gone(When::Before));
    lock(&fleet.sim).faults.push(fault);
    fleet.run().await;
    lock(&fleet.sim).hosts.get_mut("h3").unwrap().gone = false;
    again(&mut fleet);
    assert_eq!(fleet.run().await.0, Outcome::Locked);
    lock(&fleet.sim).alive = Some(false);
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
}

/// Others that use up the bound in the middle of a batch make no host fail: what was begun is carried to its end, and the run halts.
#[tokio::test(start_paused = true)]
async fn room_that_others_use_up_fails_no_host() {
    let fleet = Fleet::new(6);
    // Its turn comes when the other one is out.
    let late = Fault::Slow(Duration::from_secs(3));
    lock(&fleet.sim)
        .faults
        .push(("h2".into(), "record", 2, late));
    let (outcome, events) = with(&fleet, ("host.drained", Some("h1")), |sim| {
        for name in ["h5", "h6"] {
            sim.servers.get_mut(name).unwrap().admin = Admin::Drain;
            sim.operator.insert(name.into());
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Partial);
    assert_eq!(result_of(&events, "h1"), HostResult::Updated);
    assert_eq!(result_of(&events, "h2"), HostResult::Untouched);
    let failed = events
        .iter()
        .any(|event| matches!(event.kind, EventKind::HostFailed { .. }));
    assert!(!failed, "{events:?}");
    assert_eq!(lock(&fleet.sim).broken, Vec::<String>::new());
}

/// What an operator does while a host waits for its turn is heard when the turn comes.
#[tokio::test(start_paused = true)]
async fn an_operator_is_heard_up_to_the_last_moment() {
    let fleet = Fleet::new(6);
    let sim = fleet.sim.clone();
    let operator = async move {
        while lock(&sim).servers["h1"].admin == Admin::Ready {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut sim = lock(&sim);
        // h2 waits, since h5 is out.
        sim.servers.get_mut("h2").unwrap().admin = Admin::Maint;
        sim.operator.insert("h2".into());
    };
    let run = with(&fleet, ("host.draining", Some("h1")), |sim| {
        sim.servers.get_mut("h5").unwrap().admin = Admin::Drain;
        sim.operator.insert("h5".into());
    });
    let ((outcome, _), ()) = tokio::join!(run, operator);
    assert_eq!(outcome, Outcome::Partial);
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    assert_eq!(sim.servers["h2"].admin, Admin::Maint);
}
