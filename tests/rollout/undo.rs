//! Back to an earlier revision: an ordinary rollout that sends nothing.

use std::fs;

use rustix::process::Signal;

use super::is;
use crate::support::cli::{Said, TestLab};
use crate::support::lab::FIRST;

fn undo(lab: &TestLab, more: &[&str]) -> Said {
    let file = lab.playbook_file(&lab.playbook());
    let mut arguments = vec!["undo", &file, "--output", "json"];
    arguments.extend(more);
    lab.rollgate(&arguments)
}

fn sent(said: &Said) -> u64 {
    let staged = said.named("host.staged");
    let sent = staged
        .iter()
        .map(|event| event["sent_bytes"].as_u64().unwrap());
    sent.sum()
}

/// A fleet that ran 1.0 (found), 2.0 (revision 1) and 4.0 (revision 2).
fn fleet() -> TestLab {
    let lab = TestLab::start(4);
    lab.make("4.0", &[]).unwrap();
    lab.deploy(&lab.playbook(), "2.0").expect(0);
    lab.deploy(&lab.playbook(), "4.0").expect(0);
    lab
}

#[test]
fn undo_goes_back_one_and_twice_goes_back_two_and_nothing_is_sent() {
    let lab = fleet();
    let load = lab.load();
    let said = undo(&lab, &[]).expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(sent(&said), 0, "{said}");
    assert_eq!(said.finished()["outcome"], "succeeded");
    let said = undo(&lab, &[]).expect(0);
    let summary = load.stop().unwrap();
    lab.assert_all_on(FIRST, &said);
    assert_eq!(summary["failed"], 0, "{summary:#}");
    // There is nothing before what was found.
    let said = undo(&lab, &[]).expect(5);
    assert!(said.stderr.contains("no earlier release"), "{said}");
    // A cron job never puts back what a person took away.
    lab.deploy(&lab.playbook(), "4.0").expect(5);
    lab.deploy(&lab.playbook(), "2.0").expect(5);
    let said = lab
        .deploy_with(&lab.playbook(), "4.0", &["--again"])
        .expect(0);
    lab.assert_all_on("4.0", &said);
    assert_eq!(sent(&said), 0, "{said}");
}

#[test]
fn undo_to_a_revision_goes_there_also_forward() {
    let lab = fleet();
    let said = undo(&lab, &["--to-revision", "1", "--dry-run"]).expect(0);
    lab.assert_all_on("4.0", &said);
    assert_eq!(said.document()["revision"], 1, "{said}");
    let said = undo(&lab, &["--to-revision", "1"]).expect(0);
    lab.assert_all_on("2.0", &said);
    let said = undo(&lab, &["--to-revision", "2"]).expect(0);
    lab.assert_all_on("4.0", &said);
    let said = undo(&lab, &["--to-revision", "2"]).expect(0);
    assert!(said.named("host.draining").is_empty(), "{said}");
    let said = undo(&lab, &["--to-revision", "7"]).expect(5);
    for word in ["revision 7", "1 (2.0)", "2 (4.0)"] {
        assert!(said.stderr.contains(word), "{word}: {said}");
    }
}

/// An undo that was taken back takes nothing away from the good name of what it went to.
#[test]
fn an_undo_that_was_aborted_is_tried_again_to_the_same_revision() {
    let lab = fleet();
    let file = lab.playbook_file(&lab.playbook());
    let arguments = ["undo", &file, "--output", "json"];
    let running = lab.read_until(&arguments, is("host.soaked")).unwrap();
    running.signal(Signal::KILL);
    running.wait();
    let said = lab
        .rollgate(&["abort", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("4.0", &said);
    let said = undo(&lab, &[]).expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn a_revision_that_a_host_lacks_comes_from_another_host_or_from_the_source() {
    let lab = fleet();
    let remove = |host: usize| {
        let folder = lab.hosts[host].home.join("srv/releases/1-2.0");
        fs::remove_dir_all(folder).unwrap();
    };
    let source = lab.dir().join("artifacts/2.0/app");
    let aside = lab.dir().join("artifacts/2.0/aside");
    fs::rename(&source, &aside).unwrap();
    remove(1);
    let said = undo(&lab, &[]).expect(0);
    lab.assert_all_on("2.0", &said);
    assert!(sent(&said) > 0, "{said}");
    undo(&lab, &["--to-revision", "2"]).expect(0);
    (0..4).for_each(remove);
    let said = undo(&lab, &["--to-revision", "1"]).expect(5);
    lab.assert_all_on("4.0", &said);
    let reasons = said.finished()["reasons"].to_string();
    assert!(
        reasons.contains("web-02") && reasons.contains("does not have revision 1"),
        "{said}"
    );
    fs::rename(&aside, &source).unwrap();
    let said = undo(&lab, &["--to-revision", "1"]).expect(0);
    lab.assert_all_on("2.0", &said);
    assert!(sent(&said) > 0, "{said}");
}

#[test]
fn an_undo_that_was_killed_is_resumed_or_aborted() {
    for (command, version) in [("resume", FIRST), ("abort", "2.0")] {
        let lab = TestLab::start(4);
        lab.deploy(&lab.playbook(), "2.0").expect(0);
        let file = lab.playbook_file(&lab.playbook());
        let running = lab
            .read_until(&["undo", &file, "--output", "json"], is("host.swapped"))
            .unwrap();
        running.signal(Signal::KILL);
        running.wait();
        let said = lab.rollgate_from("elsewhere", &[command, &file, "--output", "json"]);
        let said = said.expect(0);
        lab.assert_all_on(version, &said);
    }
}
