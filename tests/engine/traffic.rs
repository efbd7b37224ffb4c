//! What balancers are told, and when: together, in steps, cut off, again.

use std::time::Duration;

use rollgate::engine::StopWish;
use rollgate::event::{Event, EventKind, RolloutState, Sink};
use rollgate::model::{
    Admin, BalancerName, Floor, Outcome, PoolName, PoolPolicy, Ramp, RecordStep, Size,
};
use tokio::sync::watch;

use super::faults::assert_within_rules;
use crate::support::world::{Events, Fleet, NEW, Shared, lock};

fn ask(fleet: &mut Fleet, policy: PoolPolicy) {
    let pool = (
        BalancerName::new("lb").unwrap(),
        PoolName::new("app").unwrap(),
    );
    let pools = &mut fleet.job.strategy.traffic.pools;
    pools.insert(pool, policy);
}

/// Does something to the fleet at an event.
struct At<F: FnMut(&Event, &Shared) + Send>(Shared, F);

impl<F: FnMut(&Event, &Shared) + Send> Sink for At<F> {
    fn event(&mut self, event: &Event, _state: &RolloutState) {
        (self.1)(event, &self.0);
    }
}

async fn run_with(
    fleet: &Fleet,
    act: impl FnMut(&Event, &Shared) + Send + 'static,
) -> (Outcome, Vec<Event>) {
    let events = Events::default();
    let at = At(fleet.sim.clone(), act);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(events.clone()), Box::new(at)];
    let outcome = fleet
        .run_with(watch::channel(StopWish::None).1, sinks)
        .await;
    let events = events.0.lock().unwrap().clone();
    (outcome, events)
}

fn resets(events: &[Event]) -> usize {
    let is_reset = |event: &&Event| matches!(event.kind, EventKind::BalancerReset { .. });
    events.iter().filter(is_reset).count()
}

#[tokio::test(start_paused = true)]
async fn where_telling_costs_a_reload_a_batch_is_told_together() {
    let fleet = Fleet::new(6);
    lock(&fleet.sim).gathers = true;
    let (outcome, events) = fleet.run().await;
    assert_within_rules(&fleet, outcome, &events, "gathered");
    let sim = lock(&fleet.sim);
    let servers: Vec<usize> = sim.told.iter().map(Vec::len).collect();
    assert_eq!(servers, [2; 6], "three batches, out and back");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_goes_back_is_told_together_too() {
    let fleet = Fleet::new(4);
    {
        let mut sim = lock(&fleet.sim);
        sim.gathers = true;
        sim.bad.insert(NEW.into());
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Reverted);
    assert_within_rules(&fleet, outcome, &events, "gathered");
    let sim = lock(&fleet.sim);
    let servers: Vec<usize> = sim.told.iter().map(Vec::len).collect();
    assert_eq!(servers.first(), Some(&2));
    assert_eq!(servers.iter().sum::<usize>(), 4 * 2 / 2, "{servers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_early_does_not_keep_the_others_waiting_for_long() {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.max_failures = 2;
    {
        let mut sim = lock(&fleet.sim);
        sim.gathers = true;
        let fault = crate::support::world::Fault::Fails(crate::support::world::When::Before);
        sim.faults.push(("h1".into(), "swap", 1, fault));
    }
    let started = tokio::time::Instant::now();
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Partial);
    assert_within_rules(&fleet, outcome, &events, "gathered");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn weights_rise_in_steps_and_end_as_found() {
    let mut fleet = Fleet::new(2);
    let ramp = Ramp {
        steps: vec![10, 50, 100],
        every: Duration::from_secs(10),
    };
    let policy = PoolPolicy {
        ramp: Some(ramp),
        ..PoolPolicy::default()
    };
    ask(&mut fleet, policy);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_within_rules(&fleet, outcome, &events, "ramp");
    let sim = lock(&fleet.sim);
    let weights: Vec<Option<u32>> = sim
        .told
        .iter()
        .flatten()
        .filter(|(name, admin, ..)| name == "h1" && *admin == Admin::Ready)
        .map(|(_, _, weight, _)| *weight)
        .collect();
    assert_eq!(weights, [Some(10), Some(50), Some(100)]);
    assert!(sim.servers.values().all(|server| server.weight == 100));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_on_its_ramp_goes_back_with_its_whole_weight() {
    let mut fleet = Fleet::new(3);
    let ramp = Ramp {
        steps: vec![10, 100],
        every: Duration::from_secs(10),
    };
    let policy = PoolPolicy {
        ramp: Some(ramp),
        ..PoolPolicy::default()
    };
    ask(&mut fleet, policy);
    fleet.job.ready.failure_threshold = 2;
    let (outcome, events) = run_with(&fleet, |event, sim| {
        if matches!(event.kind, EventKind::HostEnabling { .. }) {
            let bad = NEW.to_owned();
            lock(sim).bad.insert(bad);
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Reverted);
    assert_within_rules(&fleet, outcome, &events, "ramp");
    let sim = lock(&fleet.sim);
    assert!(sim.servers.values().all(|server| server.weight == 100));
    assert!(
        sim.servers
            .values()
            .all(|server| server.admin == Admin::Ready)
    );
}

#[tokio::test(start_paused = true)]
async fn clients_that_stick_are_cut_off_when_the_time_is_over_and_the_server_comes_back() {
    let mut fleet = Fleet::new(2);
    let policy = PoolPolicy {
        cut_sticky: true,
        ..PoolPolicy::default()
    };
    ask(&mut fleet, policy);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    {
        let mut sim = lock(&fleet.sim);
        sim.sticky = true;
        sim.hosts.values_mut().for_each(|host| host.in_flight = 3);
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_within_rules(&fleet, outcome, &events, "cut");
    let sim = lock(&fleet.sim);
    let states: Vec<Admin> = sim
        .told
        .iter()
        .flatten()
        .filter(|(name, ..)| name == "h1")
        .map(|(_, admin, ..)| *admin)
        .collect();
    assert_eq!(states, [Admin::Drain, Admin::Maint, Admin::Ready]);
}

#[tokio::test(start_paused = true)]
async fn without_the_wish_clients_that_stick_make_the_drain_fail() {
    let fleet = Fleet::new(2);
    {
        let mut sim = lock(&fleet.sim);
        sim.sticky = true;
        sim.hosts.values_mut().for_each(|host| host.in_flight = 3);
    }
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Reverted);
    assert_within_rules(&fleet, outcome, &events, "kept");
    let told = &lock(&fleet.sim).told;
    assert!(told.iter().flatten().all(|told| told.1 != Admin::Maint));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_dies_after_the_cut_leaves_a_host_that_the_next_one_brings_back() {
    let mut fleet = Fleet::new(2);
    let policy = PoolPolicy {
        cut_sticky: true,
        ..PoolPolicy::default()
    };
    ask(&mut fleet, policy);
    {
        let mut sim = lock(&fleet.sim);
        sim.sticky = true;
        sim.hosts.get_mut("h1").unwrap().in_flight = 3;
        let fault = crate::support::world::Fault::Gone(crate::support::world::When::Before);
        sim.faults.push(("h1".into(), "swap", 1, fault));
    }
    let (outcome, _) = fleet.run().await;
    assert_eq!(outcome, Outcome::Stranded);
    {
        let mut sim = lock(&fleet.sim);
        assert_eq!(sim.servers["h1"].admin, Admin::Maint);
        let host = sim.hosts.get_mut("h1").unwrap();
        assert_eq!(host.record.as_ref().unwrap().step, RecordStep::Drain);
        host.gone = false;
        host.owner = None;
        sim.told.clear();
    }
    fleet.job.wishes.again = true;
    fleet.job.rollout = rollgate::model::RolloutId::new("20260303T000000Z-0003").unwrap();
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded, "{events:#?}");
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_agent_check_rests_while_its_server_is_out_and_runs_again_afterwards() {
    let fleet = Fleet::new(2);
    lock(&fleet.sim).servers.get_mut("h1").unwrap().agent = true;
    let (outcome, _) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    let sim = lock(&fleet.sim);
    let told = sim.told.iter().flatten();
    let agents: Vec<_> = told
        .filter(|told| told.0 == "h1")
        .map(|told| told.3)
        .collect();
    assert_eq!(agents, [Some(false), Some(true)]);
    assert!(sim.servers["h1"].agent && !sim.servers["h2"].agent);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_brings_back_an_old_drain_is_no_operators_word() {
    let fleet = Fleet::new(4);
    let (outcome, events) = run_with(&fleet, |event, sim| {
        if let EventKind::HostEnabled { host, .. } = &event.kind
            && host.as_str() == "h1"
        {
            let mut sim = lock(sim);
            sim.process += 1;
            sim.servers.get_mut("h1").unwrap().admin = Admin::Drain;
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(resets(&events), 1);
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_a_restart_is_an_operators_word() {
    let fleet = Fleet::new(4);
    let (outcome, events) = run_with(&fleet, |event, sim| {
        if let EventKind::HostEnabled { host, .. } = &event.kind
            && host.as_str() == "h1"
        {
            let mut sim = lock(sim);
            sim.operator.insert("h1".into());
            sim.servers.get_mut("h1").unwrap().admin = Admin::Drain;
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(resets(&events), 0);
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Drain);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_leaves_too_few_usable_servers_is_refused_with_the_numbers() {
    for floor in [Floor::Count(3), Floor::Percent(51)] {
        let mut fleet = Fleet::new(4);
        fleet.job.strategy.traffic.min_usable = Some(floor);
        let (outcome, events) = fleet.run().await;
        assert_eq!(outcome, Outcome::Refused);
        assert!(lock(&fleet.sim).told.is_empty());
        let EventKind::RolloutFinished { reasons, .. } = &events.last().unwrap().kind else {
            panic!("no end")
        };
        let said = reasons.join(" ");
        let numbers = ["with 2 usable servers", "`min_usable` wants 3"];
        assert!(numbers.iter().all(|number| said.contains(number)), "{said}");
    }
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.traffic.min_usable = Some(Floor::Percent(50));
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_shrinks_meanwhile_stops_the_rollout_at_its_floor() {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    fleet.job.strategy.max_unavailable = Size::Count(3);
    fleet.job.strategy.traffic.min_usable = Some(Floor::Count(3));
    lock(&fleet.sim).max_unavailable = 3;
    let (outcome, events) = run_with(&fleet, |event, sim| {
        if matches!(event.kind, EventKind::BatchFinished { batch: 1, .. }) {
            let mut sim = lock(sim);
            sim.operator.insert("h4".into());
            sim.servers.get_mut("h4").unwrap().admin = Admin::Maint;
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Partial);
    assert!(!events.is_empty());
    let sim = lock(&fleet.sim);
    let out = sim.told.iter().flatten();
    let out = out.filter(|told| told.1 == Admin::Drain).count();
    assert_eq!(out, 1, "only the first batch went out");
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_goes_back_also_where_its_pool_is_at_its_floor() {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    fleet.job.strategy.traffic.min_usable = Some(Floor::Count(3));
    fleet.job.ready.failure_threshold = 1;
    let (outcome, events) = run_with(&fleet, |event, sim| {
        if let EventKind::HostEnabled { host, .. } = &event.kind
            && host.as_str() == "h1"
        {
            let mut sim = lock(sim);
            // It turns bad in traffic, and a neighbour dies of something else.
            sim.bad.insert(NEW.to_owned());
            sim.operator.insert("h3".into());
            sim.servers.get_mut("h3").unwrap().admin = Admin::Maint;
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Reverted, "{events:#?}");
    let sim = lock(&fleet.sim);
    assert_eq!(sim.hosts["h1"].running.as_deref(), Some("1.0"));
    assert_eq!(sim.servers["h1"].admin, Admin::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_taken_out_on_its_ramp_gets_its_whole_weight_and_stays_out() {
    let mut fleet = Fleet::new(3);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    let ramp = Ramp {
        steps: vec![10, 50, 100],
        every: Duration::from_secs(10),
    };
    let policy = PoolPolicy {
        ramp: Some(ramp),
        ..PoolPolicy::default()
    };
    ask(&mut fleet, policy);
    let (outcome, _) = run_with(&fleet, |event, sim| {
        if let EventKind::Log { text, host, .. } = &event.kind
            && text.contains("gets 50%")
            && host.as_ref().is_some_and(|host| host.as_str() == "h1")
        {
            let mut sim = lock(sim);
            sim.operator.insert("h1".into());
            sim.servers.get_mut("h1").unwrap().admin = Admin::Maint;
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Succeeded);
    let sim = lock(&fleet.sim);
    assert_eq!(
        (sim.servers["h1"].weight, sim.servers["h1"].admin),
        (100, Admin::Maint)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_record_of_the_cut_does_not_make_it_somebody_elses() {
    for nth in 1..6 {
        let mut fleet = Fleet::new(2);
        let policy = PoolPolicy {
            cut_sticky: true,
            ..PoolPolicy::default()
        };
        ask(&mut fleet, policy);
        {
            let mut sim = lock(&fleet.sim);
            sim.sticky = true;
            sim.hosts.get_mut("h1").unwrap().in_flight = 3;
            let slow = crate::support::world::Fault::Slow(Duration::from_secs(5));
            sim.faults.push(("h1".into(), "record", nth, slow));
        }
        let (outcome, events) = fleet.run().await;
        assert_eq!(outcome, Outcome::Succeeded);
        assert_within_rules(&fleet, outcome, &events, "slow record");
        assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Ready, "{nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_host_of_a_batch_neither_fails_nor_holds_up_the_others() {
    let fleet = Fleet::new(4);
    {
        let mut sim = lock(&fleet.sim);
        sim.gathers = true;
        // The balancer is away for so long that every lock must be confirmed anew, which takes one host longer than the others wait.
        let slow = crate::support::world::Fault::Slow(Duration::from_secs(5));
        sim.faults.push(("h1".into(), "confirm", 1, slow));
    }
    let mut away = false;
    let (outcome, events) = run_with(&fleet, move |event, sim| {
        if matches!(event.kind, EventKind::BatchStarted { batch: 1, .. }) && !away {
            away = true;
            lock(sim).balancer_down = true;
            let sim = sim.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(12)).await;
                lock(&sim).balancer_down = false;
            });
        }
    })
    .await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_within_rules(&fleet, outcome, &events, "slow");
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_is_restarted_all_the_time_ends_in_a_failure_and_not_in_a_loop() {
    let mut fleet = Fleet::new(2);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    fleet.job.ready.deadline = Duration::from_secs(5);
    let restart = |sim: &Shared| {
        let mut sim = lock(sim);
        sim.process += 1;
        sim.servers.get_mut("h1").unwrap().admin = Admin::Drain;
    };
    let run = run_with(&fleet, move |event, sim| match &event.kind {
        EventKind::HostEnabling { host, .. } if host.as_str() == "h1" => {
            let sim = sim.clone();
            tokio::spawn(async move {
                for _ in 0..400 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    restart(&sim);
                }
            });
        }
        _ => {}
    });
    let ended = tokio::time::timeout(Duration::from_secs(600), run).await;
    assert!(ended.is_ok(), "it never ended");
}
