//! Two runs over overlapping hosts never work at the same time, however they meet.

use std::time::Duration;

use rollgate::engine::StopWish;
use rollgate::event::{Event, EventKind};
use rollgate::model::{LockToken, Outcome, RolloutId};
use tokio::sync::watch;

use crate::support::world::{Events, Fault, Fleet, lock};

/// A run over some hosts of a fleet that it shares with another one.
fn over(shared: &Fleet, number: u32, hosts: &[&str]) -> Fleet {
    let mut job = shared.job.clone();
    job.rollout = RolloutId::new(&format!("20260202T000000Z-000{number}")).unwrap();
    job.token = LockToken::new(&format!("abc{number}")).unwrap();
    for member in &mut job.fleet {
        member.selected = hosts.contains(&member.spec.name.as_str());
    }
    Fleet {
        sim: shared.sim.clone(),
        job,
    }
}

async fn run(fleet: &Fleet, after: Duration) -> (Outcome, Vec<Event>) {
    tokio::time::sleep(after).await;
    let events = Events::default();
    let stop = watch::channel(StopWish::None).1;
    let outcome = fleet.run_with(stop, vec![Box::new(events.clone())]).await;
    let events = events.0.lock().unwrap().clone();
    (outcome, events)
}

fn began_work(events: &[Event]) -> bool {
    let staged = |event: &Event| matches!(event.kind, EventKind::HostStaged { .. });
    events.iter().any(staged)
}

/// Every delay between the two, and every host that is slow to answer one of them.
#[tokio::test(start_paused = true)]
async fn of_two_that_overlap_one_works_and_the_other_touches_nothing() {
    let mut tries = 0;
    for delay in 0..10 {
        for slow in ["h1", "h2", "h3", "h4"] {
            for nth in 1..=3 {
                for pause in [1, 4] {
                    let shared = Fleet::new(4);
                    let late = Fault::Slow(Duration::from_millis(pause));
                    let fault = (slow.to_owned(), "inspect", nth, late);
                    lock(&shared.sim).faults.push(fault);
                    let first = over(&shared, 1, &["h1", "h2", "h3"]);
                    let second = over(&shared, 2, &["h2", "h3", "h4"]);
                    let (first, second) = tokio::join!(
                        run(&first, Duration::ZERO),
                        run(&second, Duration::from_millis(delay))
                    );
                    let what = format!("{delay} ms, {slow} {nth} {pause} ms");
                    let mut outcomes = [first.0, second.0];
                    outcomes.sort_by_key(|outcome| outcome.as_str());
                    let want = [Outcome::Locked, Outcome::Succeeded];
                    assert_eq!(outcomes, want, "{what}");
                    let worked = [began_work(&first.1), began_work(&second.1)];
                    assert!(worked[0] != worked[1], "{what}");
                    let sim = lock(&shared.sim);
                    assert_eq!(sim.broken, Vec::<String>::new(), "{what}");
                    assert!(
                        sim.hosts.values().all(|host| host.owner.is_none()),
                        "{what}"
                    );
                    tries += 1;
                }
            }
        }
    }
    assert!(tries >= 200, "{tries}");
}

/// Runs over disjoint hosts do not hold each other up.
#[tokio::test(start_paused = true)]
async fn disjoint_runs_go_side_by_side() {
    let shared = Fleet::new(4);
    lock(&shared.sim).max_unavailable = 4;
    let first = over(&shared, 1, &["h1", "h2"]);
    let second = over(&shared, 2, &["h3", "h4"]);
    let (first, second) = tokio::join!(
        run(&first, Duration::ZERO),
        run(&second, Duration::from_millis(1))
    );
    // The bound is the fleet's: the second one may have to wait for the first one's hosts, but is never refused its locks.
    assert_eq!(first.0, Outcome::Succeeded);
    assert_ne!(second.0, Outcome::Locked);
}
