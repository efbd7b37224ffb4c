//! Every operation on every host fails, or its connection is lost, before or after it happened; once or for good. Whatever strikes, the
//! run ends within R1 to R5.

use rollgate::event::{Event, EventKind};
use rollgate::model::{Admin, HostResult, Outcome};

use crate::support::world::{Fault, Fleet, NEW, OLD, When, lock};

const OPERATIONS: [&str; 8] = [
    "inspect", "confirm", "record", "stage", "swap", "logs", "finish", "hook",
];

#[expect(clippy::too_many_lines, reason = "a list of what must hold")]
/// What R5 allows: on the target and in traffic, on the old release and in traffic, or named as stranded.
pub(super) fn assert_within_rules(fleet: &Fleet, outcome: Outcome, events: &[Event], what: &str) {
    let sim = lock(&fleet.sim);
    assert_eq!(sim.broken, Vec::<String>::new(), "{what}: {outcome:?}");
    let last = events.last().unwrap_or_else(|| panic!("{what}: no events"));
    let EventKind::RolloutFinished {
        hosts, exit_code, ..
    } = &last.kind
    else {
        panic!("{what}: the last event is {last:?}")
    };
    assert_eq!(*exit_code, outcome.exit_status().code(), "{what}");
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(
        numbers,
        (1..=events.len() as u64).collect::<Vec<_>>(),
        "{what}: seq has gaps"
    );
    if hosts.is_empty() {
        assert!(
            matches!(outcome, Outcome::Locked),
            "{what}: no host is named"
        );
        return;
    }
    for end in hosts {
        let host = &sim.hosts[end.host.as_str()];
        let admin = sim.servers[end.host.as_str()].admin;
        match end.result {
            HostResult::Stranded => assert!(
                !end.mend.is_empty(),
                "{what}: {} is stranded without a way to mend it",
                end.host
            ),
            HostResult::Updated => {
                assert_eq!(
                    (host.running.as_deref(), admin),
                    (Some(NEW), Admin::Ready),
                    "{what}: {} is called updated",
                    end.host
                );
            }
            HostResult::Reverted | HostResult::Untouched | HostResult::Skipped if !host.gone => {
                assert_eq!(
                    (host.running.as_deref(), admin),
                    (Some(OLD), Admin::Ready),
                    "{what}: {} is called {:?}",
                    end.host,
                    end.result
                );
            }
            HostResult::Reverted | HostResult::Untouched | HostResult::Skipped => {}
        }
        if !host.gone && end.result != HostResult::Stranded && outcome != Outcome::Locked {
            assert!(
                host.owner.is_none() || lock_may_stay(&sim.faults),
                "{what}: {} keeps its lock",
                end.host
            );
            assert!(
                host.record.is_none()
                    || outcome == Outcome::Interrupted
                    || lock_may_stay(&sim.faults),
                "{what}: {} keeps a record",
                end.host
            );
        }
    }
    let updated = hosts
        .iter()
        .filter(|end| end.result == HostResult::Updated)
        .count();
    assert_eq!(
        outcome == Outcome::Succeeded,
        updated == hosts.len(),
        "{what}: {outcome:?} with {updated} updated"
    );
}

/// A host whose very last word failed is closed by the next run.
fn lock_may_stay(faults: &[(String, &'static str, u32, Fault)]) -> bool {
    faults
        .iter()
        .any(|(_, op, ..)| *op == "finish" || *op == "confirm")
}

async fn sweep(bad: bool) {
    let kinds = [Fault::Fails as fn(When) -> Fault, Fault::Loses, Fault::Gone];
    let mut runs = 0;
    for op in OPERATIONS {
        for host in ["h1", "h2", "h3"] {
            for nth in 1..=6 {
                for kind in kinds {
                    for when in [When::Before, When::After] {
                        let fleet = Fleet::new(4);
                        if bad {
                            lock(&fleet.sim).bad.insert(NEW.into());
                        }
                        let fault = kind(when);
                        lock(&fleet.sim).faults.push((host.into(), op, nth, fault));
                        let (outcome, events) = fleet.run().await;
                        let what =
                            format!("{op} number {nth} on {host}: {fault:?}, bad release: {bad}");
                        assert_within_rules(&fleet, outcome, &events, &what);
                        assert!(!bad || outcome != Outcome::Succeeded, "{what}");
                        runs += 1;
                    }
                }
            }
        }
    }
    assert_eq!(runs, 8 * 3 * 6 * 6);
}

#[tokio::test(start_paused = true)]
async fn any_single_fault_of_a_good_rollout_ends_within_the_rules() {
    sweep(false).await;
}

#[tokio::test(start_paused = true)]
async fn any_single_fault_of_a_rollout_that_reverts_ends_within_the_rules() {
    sweep(true).await;
}

#[tokio::test(start_paused = true)]
async fn two_faults_at_once_end_within_the_rules() {
    for first in ["record", "swap", "logs"] {
        for second in ["record", "swap", "confirm"] {
            for nth in 1..=4 {
                for kind in [
                    Fault::Fails(When::After),
                    Fault::Loses(When::Before),
                    Fault::Gone(When::After),
                ] {
                    let fleet = Fleet::new(4);
                    lock(&fleet.sim).bad.insert(NEW.into());
                    lock(&fleet.sim).faults.extend([
                        ("h1".into(), first, nth, kind),
                        ("h2".into(), second, nth, kind),
                    ]);
                    let (outcome, events) = fleet.run().await;
                    assert_within_rules(
                        &fleet,
                        outcome,
                        &events,
                        &format!("{first} on h1 and {second} on h2, number {nth}: {kind:?}"),
                    );
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_while_swapping_is_looked_at_and_carried_on() {
    for when in [When::Before, When::After] {
        let fleet = Fleet::new(4);
        lock(&fleet.sim)
            .faults
            .push(("h1".into(), "swap", 1, Fault::Loses(when)));
        let (outcome, _) = fleet.run().await;
        assert_eq!(outcome, Outcome::Succeeded, "{when:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_vanishes_in_its_swap_is_stranded_and_the_others_go_back() {
    let fleet = Fleet::new(4);
    lock(&fleet.sim)
        .faults
        .push(("h1".into(), "swap", 1, Fault::Gone(When::After)));
    let (outcome, events) = fleet.run().await;
    assert_eq!(outcome, Outcome::Stranded);
    assert_within_rules(&fleet, outcome, &events, "h1 is gone");
    let sim = lock(&fleet.sim);
    assert_eq!(sim.hosts["h2"].running.as_deref(), Some(OLD));
    assert_eq!(sim.servers["h1"].admin, Admin::Drain);
}
