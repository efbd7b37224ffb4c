//! Others at work meanwhile: operators, balancers that forget, other runs of rollgate; and hosts that were sick before.

use std::time::Duration;

use rollgate::event::{Event, EventKind, RolloutState, Sink};
use rollgate::model::record::{FORMAT, ProcessMark};
use rollgate::model::{Admin, HostResult, LockOwner, LockToken, Outcome, RolloutId};
use tokio::sync::watch;

use super::faults::assert_within_rules;
use crate::support::world::{Events, Fleet, NEW, OLD, Shared, Sim, lock};

/// Does something to the world when an event of that name about that host is heard.
struct Meddler {
    at: (&'static str, &'static str),
    sim: Shared,
    act: fn(&mut Sim),
}

impl Sink for Meddler {
    fn event(&mut self, event: &Event, _state: &RolloutState) {
        let value = serde_json::to_value(event).unwrap();
        if value["event"] == self.at.0 && value["host"] == self.at.1 {
            (self.act)(&mut lock(&self.sim));
        }
    }
}

async fn meddle(
    fleet: &Fleet,
    at: (&'static str, &'static str),
    act: fn(&mut Sim),
) -> (Outcome, Vec<Event>) {
    let events = Events::default();
    let meddler = Meddler {
        at,
        sim: fleet.sim.clone(),
        act,
    };
    let stop = watch::channel(rollgate::engine::StopWish::None).1;
    let outcome = fleet
        .run_with(stop, vec![Box::new(events.clone()), Box::new(meddler)])
        .await;
    let events = events.0.lock().unwrap().clone();
    (outcome, events)
}

fn has(events: &[Event], name: &str) -> bool {
    events
        .iter()
        .any(|event| serde_json::to_value(event).unwrap()["event"] == name)
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_forgets_a_drain_is_told_again() {
    let fleet = Fleet::new(4);
    lock(&fleet.sim).bad.insert(NEW.into());
    let (outcome, events) = meddle(&fleet, ("host.probing", "h1"), |sim| {
        sim.process += 1;
        sim.servers.get_mut("h1").unwrap().admin = Admin::Ready;
    })
    .await;
    assert_eq!(outcome, Outcome::Reverted);
    assert!(has(&events, "balancer.reset"));
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_an_operator_takes_out_meanwhile_is_updated_and_stays_out() {
    let fleet = Fleet::new(4);
    let (outcome, events) = meddle(&fleet, ("host.swapping", "h1"), |sim| {
        sim.servers.get_mut("h3").unwrap().admin = Admin::Maint;
        sim.operator.insert("h3".into());
    })
    .await;
    assert_eq!(outcome, Outcome::Succeeded, "{:?}", lock(&fleet.sim).broken);
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    assert_eq!(
        (sim.hosts["h3"].running.as_deref(), sim.servers["h3"].admin),
        (Some(NEW), Admin::Maint)
    );
    drop(events);
}

#[tokio::test(start_paused = true)]
async fn a_host_put_into_maintenance_while_it_is_held_stays_there() {
    let fleet = Fleet::new(4);
    let (outcome, _) = meddle(&fleet, ("host.swapping", "h1"), |sim| {
        sim.servers.get_mut("h1").unwrap().admin = Admin::Maint;
        sim.operator.insert("h1".into());
    })
    .await;
    assert_eq!(outcome, Outcome::Succeeded);
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    assert_eq!(
        (sim.hosts["h1"].running.as_deref(), sim.servers["h1"].admin),
        (Some(NEW), Admin::Maint)
    );
}

#[tokio::test(start_paused = true)]
async fn when_others_use_the_bound_up_the_run_waits_and_then_halts() {
    let fleet = Fleet::new(6);
    let (outcome, events) = meddle(&fleet, ("host.soaked", "h1"), |sim| {
        for name in ["h5", "h6"] {
            sim.servers.get_mut(name).unwrap().admin = Admin::Maint;
            sim.operator.insert(name.into());
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Partial);
    assert!(has(&events, "rollout.halted"));
    assert_eq!(lock(&fleet.sim).broken, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lock_is_taken_away_touches_nothing_any_more() {
    for at in ["host.drained", "host.probing", "host.ready", "host.enabled"] {
        let fleet = Fleet::new(4);
        let (outcome, events) = meddle(&fleet, (at, "h1"), |sim| {
            for host in sim.hosts.values_mut() {
                host.owner.as_mut().unwrap().token = LockToken::new("beef").unwrap();
            }
        })
        .await;
        assert_eq!(outcome, Outcome::Locked, "taken at {at}");
        let place = events
            .iter()
            .position(|event| serde_json::to_value(event).unwrap()["event"] == at)
            .unwrap();
        let later: Vec<String> = events[place..]
            .iter()
            .map(|event| {
                serde_json::to_value(event).unwrap()["event"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert!(
            !later.contains(&"host.swapped".to_owned()),
            "taken at {at}: {later:?}"
        );
        assert!(
            lock(&fleet.sim)
                .hosts
                .values()
                .all(|host| host.owner.is_some()),
            "a stranger's lock was released"
        );
    }
}

pub(super) fn owner(id: &str, command: &str) -> LockOwner {
    LockOwner {
        v: FORMAT,
        rollout: RolloutId::new(id).unwrap(),
        token: LockToken::new("beef").unwrap(),
        command: command.into(),
        service: None,
        by: "she@there".into(),
        since: "2026-02-02T00:00:00Z".parse().unwrap(),
        process: ProcessMark::default(),
        message: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_of_another_run_is_named_and_nothing_is_kept() {
    let fleet = Fleet::new(4);
    lock(&fleet.sim).hosts.get_mut("h4").unwrap().owner =
        Some(owner("20260101T000000Z-0001", "deploy"));
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Locked);
    let EventKind::RolloutFinished { reasons, .. } = &events.last().unwrap().kind else {
        panic!()
    };
    assert!(
        reasons[0].contains("she@there") && reasons[0].contains("h4"),
        "{reasons:?}"
    );
    let sim = lock(&fleet.sim);
    assert!(
        ["h1", "h2", "h3"]
            .iter()
            .all(|name| sim.hosts[*name].owner.is_none())
    );
    assert!(!has(&events, "host.draining"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for_when_asked() {
    let mut fleet = Fleet::new(4);
    fleet.job.lock_wait = Duration::from_secs(60);
    lock(&fleet.sim).hosts.get_mut("h4").unwrap().owner =
        Some(owner("20260101T000000Z-0001", "deploy"));
    let sim = fleet.sim.clone();
    let release = async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        lock(&sim).hosts.get_mut("h4").unwrap().owner = None;
    };
    let ((outcome, _), ()) = tokio::join!(fleet.run(), release);
    assert_eq!(outcome, Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_lock_by_hand_is_not_even_taken_over() {
    let mut fleet = Fleet::new(4);
    fleet.job.wishes.take_over = true;
    lock(&fleet.sim).hosts.get_mut("h4").unwrap().owner =
        Some(owner("20260303T000000Z-0003", "lock"));
    assert_eq!(fleet.run().await.0, Outcome::Locked);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_rollout_is_taken_over_only_when_asked_and_what_was_found_comes_from_its_record()
 {
    let mut fleet = Fleet::new(4);
    let (say, wishes) = watch::channel(rollgate::engine::StopWish::None);
    let sim = fleet.sim.clone();
    let killer = async move {
        // The first run is killed while h1 and h2 are held out of traffic.
        while lock(&sim).servers["h1"].admin == Admin::Ready {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        say.send_replace(rollgate::engine::StopWish::Now);
    };
    let ((outcome, _), ()) = tokio::join!(fleet.run_until(wishes), killer);
    assert_eq!(outcome, Outcome::Interrupted);
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Drain);
    fleet.job.rollout = RolloutId::new("20260303T000000Z-0003").unwrap();
    fleet.job.token = LockToken::new("cafe").unwrap();
    assert_eq!(fleet.run().await.0, Outcome::Locked);
    fleet.job.wishes.take_over = true;
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_within_rules(&fleet, outcome, &events, "taken over");
}

/// What an unfinished rollout brought keeps its number, and is not brought again.
#[tokio::test(start_paused = true)]
async fn a_takeover_goes_on_where_the_unfinished_rollout_was() {
    let mut fleet = Fleet::new(4);
    let (say, wishes) = watch::channel(rollgate::engine::StopWish::None);
    let sim = fleet.sim.clone();
    let killer = async move {
        // The first run is killed in its second batch.
        while lock(&sim).servers["h3"].admin == Admin::Ready {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        say.send_replace(rollgate::engine::StopWish::Now);
    };
    let ((outcome, _), ()) = tokio::join!(fleet.run_until(wishes), killer);
    assert_eq!(outcome, Outcome::Interrupted);
    fleet.job.rollout = RolloutId::new("20260303T000000Z-0003").unwrap();
    fleet.job.token = LockToken::new("cafe").unwrap();
    fleet.job.wishes.take_over = true;
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    let EventKind::RolloutFinished { hosts, .. } = &events.last().unwrap().kind else {
        panic!()
    };
    let results: Vec<_> = hosts.iter().map(|end| end.result).collect();
    assert_eq!(
        results,
        [
            HostResult::Skipped,
            HostResult::Skipped,
            HostResult::Updated,
            HostResult::Updated
        ]
    );
    let sim = lock(&fleet.sim);
    for host in sim.hosts.values() {
        let numbers: Vec<u64> = host.revisions.iter().map(|line| line.revision.0).collect();
        assert_eq!(numbers, [1, 2]);
        assert!(host.record.is_none() && host.owner.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn sick_hosts_go_first_and_do_not_count_against_the_bound() {
    let fleet = Fleet::new(4);
    for name in ["h3", "h4"] {
        let mut sim = lock(&fleet.sim);
        sim.hosts.get_mut(name).unwrap().running = None;
        sim.servers.get_mut(name).unwrap().was_usable = false;
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    let planned = events.iter().find_map(|event| {
        if let EventKind::RolloutPlanned { batches, .. } = &event.kind {
            Some(batches.clone())
        } else {
            None
        }
    });
    let first: Vec<String> = planned.unwrap()[0]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(first, ["h3", "h4"]);
    assert!(
        lock(&fleet.sim)
            .hosts
            .values()
            .all(|host| host.running.as_deref() == Some(NEW))
    );
}

#[tokio::test(start_paused = true)]
async fn when_every_sick_host_fails_the_healthy_ones_are_left_alone() {
    let fleet = Fleet::new(4);
    {
        let mut sim = lock(&fleet.sim);
        sim.bad.insert(NEW.into());
        sim.hosts.get_mut("h4").unwrap().running = None;
        sim.servers.get_mut("h4").unwrap().was_usable = false;
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Partial);
    let EventKind::RolloutFinished { hosts, .. } = &events.last().unwrap().kind else {
        panic!()
    };
    assert!(
        hosts
            .iter()
            .take(3)
            .all(|end| end.result == HostResult::Untouched)
    );
    assert!(
        ["h1", "h2", "h3"]
            .iter()
            .all(|name| lock(&fleet.sim).hosts[*name].running.as_deref() == Some(OLD))
    );
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_is_away_for_a_moment_is_waited_for() {
    let fleet = Fleet::new(4);
    let sim = fleet.sim.clone();
    let back = async move {
        while !lock(&sim).balancer_down {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        lock(&sim).balancer_down = false;
    };
    let ((outcome, _), ()) = tokio::join!(
        meddle(&fleet, ("host.swapping", "h1"), |sim| sim.balancer_down =
            true),
        back
    );
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(lock(&fleet.sim).broken, Vec::<String>::new());
}
