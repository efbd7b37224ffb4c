//! The process is killed, stopped or interrupted at any moment; another one, with no file but inventory and playbook, goes on or back.

use std::process::Command;

use rustix::process::Signal;

use super::is;
use crate::support::cli::{Said, TestLab};
use crate::support::lab::{FIRST, Lab};

/// Whether every event is a place to be killed at, and not a few.
fn is_full() -> bool {
    std::env::var_os("ROLLGATE_TEST_FULL").is_some()
}

/// Kills a deploy after its `at`th event, under load, and lets `command` end it from another state folder. What that said; `None` when
/// the rollout ended sooner.
fn killed_after(lab: &TestLab, at: usize, command: &str) -> Option<Said> {
    let playbook = lab.playbook();
    let load = lab.load();
    let Some(running) = lab.deploy_until(&playbook, "2.0", |count, _| count == at) else {
        load.stop().unwrap();
        return None;
    };
    running.signal(Signal::KILL);
    assert_eq!(running.wait().0, -1);
    let file = lab.playbook_file(&playbook);
    let said = lab.rollgate_from("elsewhere", &[command, &file, "--output", "json"]);
    let summary = load.stop().unwrap();
    assert_eq!(
        summary["failed"], 0,
        "killed after event {at}: {summary:#}; {said}"
    );
    Some(said)
}

/// Asserts that nothing is left of a rollout but what it brought.
fn assert_all_closed(lab: &TestLab, at: usize, said: &Said) {
    lab.assert_no_locks(said);
    let out = lab.out_of_traffic().unwrap();
    assert_eq!(out, Vec::<String>::new(), "event {at}: {said}");
    for host in &lab.hosts {
        let left = Lab::records(host);
        let is_open = left.iter().any(|name| name == "rollout.json");
        assert!(!is_open, "event {at}: {left:?}; {said}");
    }
}

/// Events of a rollout over four hosts in two batches: more than there are.
const EVENTS: usize = 80;

fn places() -> Vec<usize> {
    if is_full() {
        return (1..EVENTS).collect();
    }
    // Before the records, while staging, in either batch, at a gate, in the last soak.
    vec![3, 9, 14, 21, 27, 34, 43]
}

#[test]
fn a_killed_rollout_is_finished_from_another_machine() {
    let mut reached = 0;
    for at in places() {
        let lab = TestLab::start(4);
        let Some(said) = killed_after(&lab, at, "resume") else {
            break;
        };
        let said = said.expect(0);
        reached += 1;
        assert_all_closed(&lab, at, &said);
        let versions = lab.versions();
        // Killed before its records were there, it left nothing to be resumed.
        let nothing = said.stderr.contains("nothing to do");
        let whole = versions == ["2.0"; 4] || nothing && versions == [FIRST; 4];
        assert!(whole, "event {at}: {versions:?}; {said}");
    }
    assert!(reached >= 6, "only {reached} places were reached");
}

#[test]
fn a_killed_rollout_is_taken_back_from_another_machine() {
    let mut reached = 0;
    for at in places() {
        let lab = TestLab::start(4);
        let Some(mut said) = killed_after(&lab, at, "abort") else {
            break;
        };
        reached += 1;
        let ended = said.code == 5 && said.stderr.contains("has ended");
        if ended {
            // Only its last words were cut off.
            let file = lab.playbook_file(&lab.playbook());
            said = lab.rollgate_from("elsewhere", &["resume", &file]);
        }
        let said = said.expect(0);
        assert_all_closed(&lab, at, &said);
        let nothing = said.stderr.contains("nothing to do");
        let versions = lab.versions();
        let whole = versions == [FIRST; 4] || (ended || nothing) && versions == ["2.0"; 4];
        assert!(whole, "event {at}: {versions:?}; {said}");
    }
    assert!(reached >= 6, "only {reached} places were reached");
}

#[test]
fn a_killed_connection_is_no_more_than_a_pause() {
    let mut cut = 0;
    for at in places() {
        let lab = TestLab::start(4);
        let load = lab.load();
        let playbook = lab.playbook();
        let Some(running) = lab.deploy_until(&playbook, "2.0", |count, _| count == at) else {
            load.stop().unwrap();
            break;
        };
        cut += lab.cut_connections();
        let (code, events) = running.wait();
        let summary = load.stop().unwrap();
        let Some(last) = events.last() else {
            // That was the last one.
            assert_eq!(code, 0);
            break;
        };
        if code == 5 {
            // Before the first change a host that does not answer refuses the run.
            assert_eq!(lab.versions(), [FIRST; 4], "event {at}: {last}");
        } else {
            assert_eq!(code, 0, "cut after event {at}: {last}");
            assert_eq!(lab.versions(), ["2.0"; 4], "event {at}: {last}");
        }
        assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
        assert_eq!(summary["failed"], 0, "event {at}: {summary:#}");
    }
    assert!(cut > 10, "only {cut} connections were cut");
}

/// What reads the output is gone: the rollout goes on.
#[test]
fn a_closed_pager_ends_no_rollout() {
    let lab = TestLab::start(4);
    let playbook = lab.playbook();
    let running = lab
        .deploy_until(&playbook, "2.0", |count, _| count == 8)
        .unwrap();
    assert_eq!(running.close_and_wait(), 0);
    assert_eq!(lab.versions(), ["2.0"; 4]);
    assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
}

#[test]
fn a_deploy_on_an_unfinished_rollout_offers_both_ways() {
    let lab = TestLab::start(4);
    let running = lab
        .deploy_until(&lab.playbook(), "2.0", is("host.swapped"))
        .unwrap();
    running.signal(Signal::INT);
    assert_eq!(running.wait().0, 130);
    let said = lab.deploy(&lab.playbook(), "2.0").expect(4);
    let reasons = said.finished()["reasons"].to_string();
    for word in ["rollgate resume", "rollgate abort", "--take-over"] {
        assert!(reasons.contains(word), "{word}; {said}");
    }
    let file = lab.playbook_file(&lab.playbook());
    let said = lab
        .rollgate(&["resume", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
    let events = said.events();
    assert!(events.iter().all(|event| event["attempt"] == 2), "{said}");
    let said = lab.rollgate(&["resume", &file]).expect(0);
    assert!(said.stderr.contains("nothing to do"), "{said}");
}

#[test]
fn what_was_aborted_is_not_deployed_again_by_itself() {
    let lab = TestLab::start(4);
    let running = lab
        .deploy_until(&lab.playbook(), "2.0", is("host.soaked"))
        .unwrap();
    running.signal(Signal::KILL);
    running.wait();
    let file = lab.playbook_file(&lab.playbook());
    let said = lab
        .rollgate(&["abort", &file, "--output", "json"])
        .expect(0);
    assert_eq!(said.finished()["outcome"], "reverted");
    lab.assert_all_on(FIRST, &said);
    lab.deploy(&lab.playbook(), "2.0").expect(5);
    let said = lab
        .deploy_with(&lab.playbook(), "2.0", &["--again"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn a_playbook_that_changed_since_is_named_and_wants_consent() {
    let lab = TestLab::start(4);
    let running = lab
        .deploy_until(&lab.playbook(), "2.0", is("host.swapped"))
        .unwrap();
    running.signal(Signal::KILL);
    running.wait();
    let file = lab.playbook_file(&lab.playbook().set("strategy", "soak", "\"300ms\""));
    let said = lab
        .rollgate(&["resume", &file, "--output", "json"])
        .expect(5);
    let reasons = said.finished()["reasons"].to_string();
    assert!(
        reasons.contains("strategy") && reasons.contains("--accept-changes"),
        "{said}"
    );
    let said = lab
        .rollgate(&["resume", &file, "--accept-changes", "--output", "json"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let lab = TestLab::start(2);
    let record = lab.hosts[0].home.join("srv/.rollgate/rollout.json");
    let said = lab
        .deploy(
            &lab.playbook()
                .set("strategy", "batch", "1")
                .set("strategy", "max_unavailable", "1"),
            "2.0",
        )
        .expect(0);
    lab.assert_all_on("2.0", &said);
    std::fs::write(&record, "{\"v\":1,\"rollout\":").unwrap();
    let said = lab
        .deploy_with(&lab.playbook(), "2.0", &["--force"])
        .expect(5);
    let reasons = said.finished()["reasons"].to_string();
    assert!(
        reasons.contains("rollout.json") && reasons.contains("cannot be read"),
        "{said}"
    );
    let file = lab.playbook_file(&lab.playbook());
    for command in ["resume", "abort"] {
        let said = lab.rollgate(&[command, &file]).expect(5);
        assert!(
            said.stderr.contains("web-01") && said.stderr.contains("cannot be read"),
            "{said}"
        );
    }
}

/// In a process namespace of its own, as on another machine.
fn elsewhere(command: &Command) -> Command {
    let mut unshared = Command::new("unshare");
    unshared.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    unshared.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => unshared.env(name, value),
            None => unshared.env_remove(name),
        };
    }
    unshared.current_dir(command.get_current_dir().unwrap());
    unshared
}

fn can_unshare() -> bool {
    let tried = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn a_process_that_slept_touches_nothing_once_its_lock_was_taken_over() {
    if !can_unshare() {
        eprintln!(
            "skipped: no process namespace of its own can be made here, so nothing stands for another machine"
        );
        return;
    }
    let lab = TestLab::start(4);
    let running = lab
        .deploy_until(&lab.playbook(), "2.0", is("host.swapped"))
        .unwrap();
    running.signal(Signal::STOP);
    let file = lab.playbook_file(&lab.playbook());
    // On its own machine it must be ended first; from elsewhere only by word.
    let arguments = ["abort", &file, "--take-over", "--output", "json"];
    let said = lab.rollgate(&arguments).expect(4);
    assert!(said.stdout.contains("end it first"), "{said}");
    let plain = lab.command("elsewhere", &["abort", &file, "--output", "json"]);
    let said = lab.finish(&mut elsewhere(&plain)).expect(4);
    assert!(said.stdout.contains("--take-over"), "{said}");
    let over = lab.command("elsewhere", &arguments);
    let said = lab.finish(&mut elsewhere(&over)).expect(0);
    lab.assert_all_on(FIRST, &said);
    running.signal(Signal::CONT);
    let (code, events) = running.wait();
    assert_eq!(code, 4, "{events:?}");
    let last = events.last().unwrap();
    assert_eq!(last["outcome"], "locked", "{last}");
    assert!(last["reasons"].to_string().contains("taken away"), "{last}");
    lab.assert_all_on(FIRST, &said);
}
