//! Weights, agents and cuts after a death at any act: what was found is what is put back.

use std::time::Duration;

use rollgate::model::{BalancerName, Outcome, PoolName, PoolPolicy, Ramp};
use rollgate::plan::Goal;

use super::resume::{MOST, everywhere, run_and_die, take_up};
use crate::support::world::{Fleet, NEW, OLD, When, lock};

fn fleet() -> Fleet {
    let mut fleet = Fleet::new(3);
    let policy = PoolPolicy {
        cut_sticky: true,
        ramp: Some(Ramp {
            steps: vec![10, 50, 100],
            every: Duration::from_secs(10),
        }),
        min_usable: None,
    };
    let pool = (
        BalancerName::new("lb").unwrap(),
        PoolName::new("app").unwrap(),
    );
    fleet.job.strategy.traffic.pools.insert(pool, policy);
    let mut sim = lock(&fleet.sim);
    sim.sticky = true;
    sim.hosts.values_mut().for_each(|host| host.in_flight = 1);
    sim.servers
        .values_mut()
        .for_each(|server| server.agent = true);
    drop(sim);
    fleet
}

#[track_caller]
fn assert_as_found(fleet: &Fleet, what: &str) {
    for (name, server) in &lock(&fleet.sim).servers {
        assert_eq!((server.weight, server.agent), (100, true), "{what}: {name}");
    }
}

async fn sweep(goal: Goal, version: &str) {
    for at in 1..MOST {
        let mut died = false;
        for when in [When::Before, When::After] {
            let mut fleet = fleet();
            died |= run_and_die(&fleet, at, when).await;
            let what = format!("{goal:?}, dead {when:?} act {at}");
            if take_up(&mut fleet, goal).is_none() {
                assert_as_found(&fleet, &what);
                continue;
            }
            let (outcome, _) = fleet.run().await;
            assert!(
                matches!(outcome, Outcome::Succeeded | Outcome::Reverted),
                "{what}: {outcome:?}"
            );
            if outcome == Outcome::Succeeded && goal == Goal::Finish {
                everywhere(&fleet, version, &what);
            }
            assert_as_found(&fleet, &what);
        }
        if !died {
            return;
        }
    }
    panic!("it never ends");
}

#[tokio::test(start_paused = true)]
async fn resume_puts_weights_and_agents_back_wherever_the_process_died() {
    sweep(Goal::Finish, NEW).await;
}

#[tokio::test(start_paused = true)]
async fn abort_puts_weights_and_agents_back_wherever_the_process_died() {
    sweep(Goal::Revert, OLD).await;
}
