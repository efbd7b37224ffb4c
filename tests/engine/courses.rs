//! How rollouts go: well, badly, halted, interrupted, too late.

use std::time::Duration;

use rollgate::engine::StopWish;
use rollgate::event::{Event, EventKind, RolloutState, Sink};
use rollgate::model::{HostResult, OnFailure, Outcome, RevisionOutcome, Size};
use tokio::sync::watch;

use super::faults::assert_within_rules;
use crate::support::world::{Fault, Fleet, NEW, OLD, When, lock};

fn results(events: &[Event]) -> Vec<HostResult> {
    let EventKind::RolloutFinished { hosts, .. } = &events.last().unwrap().kind else {
        panic!("no end")
    };
    hosts.iter().map(|end| end.result).collect()
}

fn names(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            serde_json::to_value(event).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_good_release_reaches_every_host() {
    let fleet = Fleet::new(4);
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_within_rules(&fleet, outcome, &events, "good");
    let sim = lock(&fleet.sim);
    for host in sim.hosts.values() {
        assert_eq!(
            host.revisions
                .iter()
                .map(|line| (line.revision.0, line.outcome))
                .collect::<Vec<_>>(),
            [
                (1, RevisionOutcome::Succeeded),
                (2, RevisionOutcome::Succeeded)
            ]
        );
        assert_eq!(host.rollouts.len(), 1);
    }
    let said = names(&events);
    assert_eq!(said.first().map(String::as_str), Some("rollout.started"));
    assert_eq!(
        said.iter().filter(|name| *name == "batch.finished").count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_run_has_nothing_to_do_and_is_no_line_of_the_history() {
    let fleet = Fleet::new(4);
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(results(&events), [HostResult::Skipped; 4]);
    assert!(!names(&events).contains(&"host.draining".to_owned()));
    assert_eq!(lock(&fleet.sim).hosts["h1"].rollouts.len(), 1);
    assert!(lock(&fleet.sim).hosts["h1"].owner.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_is_taken_back_and_refused_until_asked_again() {
    let mut fleet = Fleet::new(4);
    lock(&fleet.sim).bad.insert(NEW.into());
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Reverted);
    assert_within_rules(&fleet, outcome, &events, "bad");
    assert_eq!(
        results(&events),
        [
            HostResult::Reverted,
            HostResult::Reverted,
            HostResult::Untouched,
            HostResult::Untouched
        ]
    );
    lock(&fleet.sim).bad.clear();
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Refused);
    let EventKind::RolloutFinished { reasons, .. } = &events.last().unwrap().kind else {
        panic!()
    };
    assert!(reasons[0].contains("--again"), "{reasons:?}");
    fleet.job.wishes.again = true;
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn failures_within_the_budget_cost_only_their_own_hosts() {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.max_failures = 1;
    lock(&fleet.sim)
        .faults
        .push(("h1".into(), "swap", 1, Fault::Fails(When::After)));
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Partial);
    assert_eq!(
        results(&events),
        [
            HostResult::Reverted,
            HostResult::Updated,
            HostResult::Updated,
            HostResult::Updated
        ]
    );
    assert_within_rules(&fleet, outcome, &events, "one failure allowed");
}

#[tokio::test(start_paused = true)]
async fn halt_leaves_what_failed_out_of_traffic_and_named() {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.on_failure = OnFailure::Halt;
    lock(&fleet.sim)
        .faults
        .push(("h1".into(), "swap", 1, Fault::Fails(When::After)));
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Halted);
    assert_eq!(results(&events)[0], HostResult::Stranded);
    assert_eq!(results(&events)[2..], [HostResult::Untouched; 2]);
    assert_within_rules(&fleet, outcome, &events, "halt");
}

#[tokio::test(start_paused = true)]
async fn revert_all_takes_earlier_batches_back_too() {
    let mut fleet = Fleet::new(6);
    fleet.job.strategy.on_failure = OnFailure::RevertAll;
    lock(&fleet.sim)
        .faults
        .push(("h5".into(), "swap", 1, Fault::Fails(When::Before)));
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Reverted);
    assert_within_rules(&fleet, outcome, &events, "revert-all");
    assert!(
        lock(&fleet.sim)
            .hosts
            .values()
            .all(|host| host.running.as_deref() == Some(OLD))
    );
    let EventKind::RolloutFinished { mixed, .. } = &events.last().unwrap().kind else {
        panic!()
    };
    assert!(!mixed);
}

#[tokio::test(start_paused = true)]
async fn a_later_batch_that_fails_leaves_earlier_ones_on_the_new_release() {
    let fleet = Fleet::new(6);
    lock(&fleet.sim)
        .faults
        .push(("h5".into(), "swap", 1, Fault::Fails(When::Before)));
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Reverted);
    let EventKind::RolloutFinished { mixed, .. } = &events.last().unwrap().kind else {
        panic!()
    };
    assert!(mixed);
}

/// Wants the run to end when it hears the nth event.
pub(super) struct StopAt(
    pub(super) u64,
    pub(super) watch::Sender<StopWish>,
    pub(super) StopWish,
);

impl Sink for StopAt {
    fn event(&mut self, event: &Event, _state: &RolloutState) {
        if event.seq == self.0 {
            self.1.send_replace(self.2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_at_any_event_leaves_every_host_in_traffic_on_a_proven_release() {
    for at in 1..=60 {
        let fleet = Fleet::new(4);
        let (say, wishes) = watch::channel(StopWish::None);
        let events = crate::support::world::Events::default();
        let sinks: Vec<Box<dyn Sink>> = vec![
            Box::new(events.clone()),
            Box::new(StopAt(at, say, StopWish::Gently)),
        ];
        let outcome = fleet.run_with(wishes, sinks).await;
        let events = events.0.lock().unwrap().clone();
        let what = format!("interrupted at event {at}");
        assert!(
            matches!(outcome, Outcome::Interrupted | Outcome::Succeeded),
            "{what}: {outcome:?}"
        );
        assert_within_rules(&fleet, outcome, &events, &what);
        let sim = lock(&fleet.sim);
        assert!(sim.hosts.keys().all(|name| sim.usable(name)), "{what}");
        assert!(
            sim.hosts.values().all(|host| host.owner.is_none()),
            "{what}: a lock stays"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_ends_at_once_and_leaves_records() {
    let fleet = Fleet::new(4);
    let (say, wishes) = watch::channel(StopWish::None);
    let events = crate::support::world::Events::default();
    let sinks: Vec<Box<dyn Sink>> = vec![
        Box::new(events.clone()),
        Box::new(StopAt(14, say, StopWish::Now)),
    ];
    assert_eq!(fleet.run_with(wishes, sinks).await, Outcome::Interrupted);
    assert!(lock(&fleet.sim).hosts["h1"].record.is_some());
    let events = events.0.lock().unwrap().clone();
    // Nobody is called untouched whose state is open.
    assert_eq!(results(&events)[..2], [HostResult::Stranded; 2]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_takes_back_the_batch_under_way() {
    let mut fleet = Fleet::new(4);
    fleet.job.strategy.deadline = Duration::from_secs(8);
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Deadline);
    assert_within_rules(&fleet, outcome, &events, "deadline");
    assert_eq!(results(&events)[..2], [HostResult::Updated; 2]);
    assert_eq!(results(&events)[2..], [HostResult::Reverted; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_of_one_is_refused_unless_downtime_is_allowed() {
    let mut fleet = Fleet::new(1);
    fleet.job.strategy.batch = vec![Size::Count(1)];
    assert_eq!(fleet.run().await.0, Outcome::Refused);
    assert!(lock(&fleet.sim).hosts["h1"].owner.is_none());
    fleet.job.strategy.allow_downtime = true;
    assert_eq!(fleet.run().await.0, Outcome::Succeeded);
}
