//! Hosts are taken out of traffic, and put back, by hand.

use std::fs;

use crate::support::cli::{Said, TestLab};
use crate::support::lab::Lab;

fn by_hand(lab: &TestLab, command: &str, hosts: &str, more: &[&str]) -> Said {
    let file = lab.playbook_file(&lab.playbook());
    let mut arguments = vec![command, hosts, "-p", &file, "--output", "json"];
    arguments.extend(more);
    lab.rollgate(&arguments)
}

/// Hosts that some balancer sends nothing to.
fn out(lab: &TestLab) -> Vec<String> {
    let out = lab.out_of_traffic().unwrap().into_iter();
    let name = |words: String| words.split(' ').next().unwrap_or_default().to_owned();
    out.map(name).collect()
}

#[test]
fn a_drained_host_is_an_operators_until_it_is_enabled() {
    let lab = TestLab::start(4);
    let load = lab.load();
    let said = by_hand(&lab, "drain", "web-02", &[]).expect(0);
    assert_eq!(out(&lab), ["web-02"], "{said}");
    lab.assert_no_locks(&said);
    let left = Lab::records(&lab.hosts[1]);
    assert!(!left.iter().any(|name| name == "rollout.json"), "{left:?}");
    // Drained twice, it is drained.
    by_hand(&lab, "drain", "web-02", &[]).expect(0);
    // A rollout updates it, and leaves it out.
    lab.deploy(&lab.playbook(), "2.0").expect(0);
    assert_eq!(lab.versions(), ["2.0"; 4]);
    assert_eq!(out(&lab), ["web-02"]);
    let said = by_hand(&lab, "enable", "web-02", &[]).expect(0);
    let summary = load.stop().unwrap();
    lab.assert_all_on("2.0", &said);
    assert_eq!(summary["failed"], 0, "{summary:#}");
}

#[test]
fn a_drain_by_hand_keeps_the_bounds() {
    let lab = TestLab::start(4);
    // The playbook allows two.
    let said = by_hand(&lab, "drain", "web-[01:03]", &[]).expect(5);
    assert!(said.stdout.contains("max_unavailable"), "{said}");
    lab.assert_untouched(&said);
    by_hand(&lab, "drain", "web-[01:02]", &[]).expect(0);
    // A person may go on, but not to the last one.
    by_hand(&lab, "drain", "web-03", &[]).expect(0);
    let said = by_hand(&lab, "drain", "web-04", &[]).expect(5);
    assert!(said.stdout.contains("no usable server"), "{said}");
    assert_eq!(lab.out_of_traffic().unwrap().len(), 3, "{said}");
    by_hand(&lab, "drain", "web-04", &["--allow-downtime"]).expect(0);
    by_hand(&lab, "enable", "web-[01:04]", &[]).expect(0);
    assert_eq!(out(&lab), Vec::<String>::new());
}

#[test]
fn a_host_that_is_not_ready_is_not_enabled() {
    let lab = TestLab::start(3);
    by_hand(&lab, "drain", "web-01", &[]).expect(0);
    let pid = fs::read_to_string(lab.hosts[0].home.join("app.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let said = by_hand(&lab, "enable", "web-01", &[]).expect(1);
    assert_eq!(said.finished()["outcome"], "partial");
    assert_eq!(out(&lab), ["web-01"], "{said}");
    lab.assert_no_locks(&said);
}

#[test]
fn hands_are_kept_off_a_fleet_that_somebody_works_on() {
    let lab = TestLab::start(3);
    let file = lab.playbook_file(&lab.playbook());
    lab.rollgate(&["lock", &file, "-m", "hands off"]).expect(0);
    let said = by_hand(&lab, "drain", "web-01", &[]).expect(4);
    assert!(said.stdout.contains("hands off"), "{said}");
    assert_eq!(out(&lab), Vec::<String>::new());
    let said = lab.rollgate(&["drain", "web-01", "-p", &file]).expect(4);
    assert!(!said.stderr.contains("shop 0"), "{said}");
    lab.rollgate(&["drain", "web-09", "-p", &file]).expect(2);
}
