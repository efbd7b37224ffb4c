//! Faults that a review found: each of these failed before it was mended.

use std::time::Duration;

use rollgate::engine::StopWish;
use rollgate::event::{Event, RolloutState, Sink};
use rollgate::model::{Admin, LockToken, OnFailure, Outcome, RevisionOutcome, RolloutId};
use tokio::sync::watch;

use crate::support::world::{Events, Fault, Fleet, NEW, OLD, Shared, Sim, When, lock};

type Act = Box<dyn FnOnce(&mut Sim) + Send>;

/// Does something to the world, once, when an event of that name (about that host) is heard.
pub(super) struct Once {
    at: (&'static str, Option<&'static str>),
    sim: Shared,
    act: Option<Act>,
}

impl Sink for Once {
    fn event(&mut self, event: &Event, _state: &RolloutState) {
        let value = serde_json::to_value(event).unwrap();
        let here = self.at.1.is_none_or(|host| value["host"] == host);
        if value["event"] == self.at.0
            && here
            && let Some(act) = self.act.take()
        {
            act(&mut lock(&self.sim));
        }
    }
}

pub(super) async fn with(
    fleet: &Fleet,
    at: (&'static str, Option<&'static str>),
    act: impl FnOnce(&mut Sim) + Send + 'static,
) -> (Outcome, Vec<Event>) {
    let events = Events::default();
    let once = Once {
        at,
        sim: fleet.sim.clone(),
        act: Some(Box::new(act)),
    };
    let stop = watch::channel(StopWish::None).1;
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(events.clone()), Box::new(once)];
    let outcome = fleet.run_with(stop, sinks).await;
    let events = events.0.lock().unwrap().clone();
    (outcome, events)
}

pub(super) fn again(fleet: &mut Fleet) {
    fleet.job.rollout = RolloutId::new("20260303T000000Z-0003").unwrap();
    fleet.job.token = LockToken::new("cafe").unwrap();
}

/// 1: a host that vanished mid-swap and came back is rollgate's own to mend, not an operator's.
#[tokio::test(start_paused = true)]
async fn a_host_lost_in_its_swap_is_mended_by_the_next_deploy() {
    let mut fleet = Fleet::new(4);
    let fault = Fault::Gone(When::After);
    lock(&fleet.sim)
        .faults
        .push(("h1".into(), "swap", 1, fault));
    assert_eq!(fleet.run().await.0, Outcome::Stranded);
    {
        let mut sim = lock(&fleet.sim);
        sim.faults.clear();
        sim.hosts.get_mut("h1").unwrap().gone = false;
        // Nobody renewed its lock since.
        sim.lock_age = Duration::from_secs(60);
        // It is out of traffic now, and no longer counts as one that was in it.
        sim.servers.get_mut("h1").unwrap().was_usable = false;
    }
    again(&mut fleet);
    fleet.job.wishes.again = true;
    let (outcome, _) = fleet.run().await;
    let sim = lock(&fleet.sim);
    assert_eq!(
        (outcome, sim.servers["h1"].admin),
        (Outcome::Succeeded, Admin::Ready)
    );
}

/// 2: what an operator drained after the run was cut off stays drained under `--take-over`.
#[tokio::test(start_paused = true)]
async fn a_takeover_leaves_an_operators_drain_alone() {
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
    {
        let mut sim = lock(&fleet.sim);
        // Its turn had not come.
        sim.servers.get_mut("h4").unwrap().admin = Admin::Drain;
        sim.servers.get_mut("h4").unwrap().was_usable = false;
        sim.operator.insert("h4".into());
    }
    again(&mut fleet);
    fleet.job.wishes.take_over = true;
    fleet.run().await;
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    assert_eq!(sim.servers["h4"].admin, Admin::Drain);
}

/// 3: a revert leaves a host out that an operator took out after it was enabled.
#[tokio::test(start_paused = true)]
async fn a_revert_leaves_an_operators_drain_alone() {
    for admin in [Admin::Drain, Admin::Maint] {
        let fleet = Fleet::new(4);
        lock(&fleet.sim)
            .faults
            .push(("h2".into(), "swap", 1, Fault::Fails(When::Before)));
        // h2 fails only when h1 is in traffic again: its swap is late.
        let mut fleet = fleet;
        fleet.job.strategy.on_failure = OnFailure::RevertAll;
        lock(&fleet.sim).faults.clear();
        lock(&fleet.sim)
            .faults
            .push(("h3".into(), "swap", 1, Fault::Fails(When::Before)));
        let (outcome, _) = with(&fleet, ("batch.finished", None), move |sim| {
            sim.servers.get_mut("h1").unwrap().admin = admin;
            sim.operator.insert("h1".into());
        })
        .await;
        assert_eq!(outcome, Outcome::Reverted, "{admin:?}");
        let sim = lock(&fleet.sim);
        assert_eq!(sim.broken, Vec::<String>::new(), "{admin:?}");
        assert_ne!(sim.servers["h1"].admin, Admin::Ready, "{admin:?}");
        assert_eq!(sim.hosts["h1"].running.as_deref(), Some(OLD), "{admin:?}");
    }
}

/// 4: a lock that is taken away at any time, also late, ends the run with 4 and nothing further.
#[tokio::test(start_paused = true)]
async fn a_lock_taken_in_the_last_soak_is_never_a_success() {
    for host in ["h1", "h3"] {
        let mut fleet = Fleet::new(4);
        fleet.job.strategy.soak = Duration::from_secs(60);
        let (outcome, events) = with(&fleet, ("host.enabled", Some(host)), move |sim| {
            let thief = LockToken::new("beef").unwrap();
            sim.hosts
                .get_mut(host)
                .unwrap()
                .owner
                .as_mut()
                .unwrap()
                .token = thief;
        })
        .await;
        assert_eq!(outcome, Outcome::Locked, "{host}: {:?}", events.last());
        if host == "h1" {
            let said = serde_json::to_string(&events).unwrap();
            assert!(
                !said.contains(r#""host":"h3","batch":2"#),
                "batch 2 was begun"
            );
        }
    }
}

/// 5: Ctrl-C is heard while queueing behind another run's lock.
#[tokio::test(start_paused = true)]
async fn an_interrupt_is_heard_in_the_queue() {
    let mut fleet = Fleet::new(4);
    fleet.job.lock_wait = Duration::from_secs(600);
    let mut stranger = None;
    std::mem::swap(
        &mut stranger,
        &mut lock(&fleet.sim).hosts.get_mut("h4").unwrap().owner,
    );
    lock(&fleet.sim).hosts.get_mut("h4").unwrap().owner =
        Some(super::others::owner("20260101T000000Z-0001", "deploy"));
    let (say, wishes) = watch::channel(StopWish::None);
    let began = tokio::time::Instant::now();
    let press = async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        say.send_replace(StopWish::Gently);
        // Kept until the end, as the real listener is.
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    let ((outcome, _), ()) = tokio::join!(fleet.run_until(wishes), press);
    assert_eq!(outcome, Outcome::Interrupted);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert!(lock(&fleet.sim).hosts["h1"].owner.is_none());
}

/// 7a: `revert-all` counts hosts that others took out.
#[tokio::test(start_paused = true)]
async fn revert_all_counts_hosts_that_others_took_out() {
    let mut fleet = Fleet::new(8);
    fleet.job.strategy.on_failure = OnFailure::RevertAll;
    lock(&fleet.sim)
        .faults
        .push(("h7".into(), "swap", 1, Fault::Fails(When::Before)));
    let (_, _) = with(&fleet, ("host.failed", Some("h7")), |sim| {
        for name in ["h1", "h2"] {
            sim.servers.get_mut(name).unwrap().admin = Admin::Maint;
            sim.operator.insert(name.into());
        }
        // What others took out uses the bound up; one at a time is what is left to a revert.
        sim.max_unavailable = 2;
    })
    .await;
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new());
    assert!(
        sim.most_out_of_all <= 4,
        "{} hosts were out at once",
        sim.most_out_of_all
    );
}

/// 8a: a reload that forgets an operator's drain does not let requests reach a host in its swap.
#[tokio::test(start_paused = true)]
async fn a_forgotten_drain_of_an_operator_is_told_again_too() {
    let fleet = Fleet::new(4);
    {
        let mut sim = lock(&fleet.sim);
        sim.bad.insert(NEW.into());
        sim.servers.get_mut("h1").unwrap().admin = Admin::Drain;
        sim.servers.get_mut("h1").unwrap().was_usable = false;
        sim.operator.insert("h1".into());
    }
    let (_, events) = with(&fleet, ("host.probing", Some("h1")), |sim| {
        sim.servers.get_mut("h1").unwrap().admin = Admin::Ready;
    })
    .await;
    let said = serde_json::to_string(&events).unwrap();
    assert!(said.contains("balancer.reset"));
    assert_eq!(lock(&fleet.sim).servers["h1"].admin, Admin::Drain);
}

/// 10: stopped before its first batch, a run leaves no record, and the next one is not in its way.
#[tokio::test(start_paused = true)]
async fn a_run_stopped_before_its_first_batch_leaves_no_record() {
    for at in 1..=8 {
        let fleet = Fleet::new(4);
        let (say, wishes) = watch::channel(StopWish::None);
        let events = Events::default();
        let stop = super::courses::StopAt(at, say, StopWish::Gently);
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(events.clone()), Box::new(stop)];
        let outcome = fleet.run_with(wishes, sinks).await;
        let said = serde_json::to_string(&*events.0.lock().unwrap()).unwrap();
        if !said.contains("batch.started") {
            assert_eq!(outcome, Outcome::Interrupted, "at {at}");
            let sim = lock(&fleet.sim);
            assert!(
                sim.hosts.values().all(|host| host.record.is_none()),
                "at {at}: {said}"
            );
        }
    }
}

/// 11: a restart of the release that was there already is no release that was taken back.
#[tokio::test(start_paused = true)]
async fn a_failed_restart_of_the_same_release_does_not_block_it() {
    let mut fleet = Fleet::new(4);
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
    again(&mut fleet);
    fleet.job.wishes.force = true;
    let count = lock(&fleet.sim)
        .counts
        .get(&("h1".to_owned(), "swap"))
        .copied()
        .unwrap();
    lock(&fleet.sim)
        .faults
        .push(("h1".into(), "swap", count + 1, Fault::Fails(When::Before)));
    assert_ne!(fleet.run().await.0, Outcome::Succeeded);
    let line = lock(&fleet.sim).hosts["h1"]
        .revisions
        .last()
        .cloned()
        .unwrap();
    assert_eq!(line.outcome, RevisionOutcome::Succeeded);
}
