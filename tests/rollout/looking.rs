//! What the commands that look say, and locks by hand.

use rustix::process::Signal;
use serde_json::Value;

use super::is;
use crate::support::cli::{Said, TestLab};
use crate::support::lab::FIRST;

fn ask(lab: &TestLab, command: &str, more: &[&str]) -> Said {
    let file = lab.playbook_file(&lab.playbook());
    let mut arguments = vec![command, &file, "--output", "json"];
    arguments.extend(more);
    lab.rollgate(&arguments)
}

#[test]
fn status_tells_how_every_host_stands_and_touches_nothing() {
    let lab = TestLab::start(3);
    let said = ask(&lab, "status", &[]).expect(0);
    lab.assert_untouched(&said);
    let status = said.document();
    assert_eq!(status["v"], 1);
    assert_eq!(status["service"], "shop");
    assert_eq!(status["rollout"], Value::Null);
    assert_eq!(status["lock"], Value::Null);
    assert_eq!(status["hosts"][0]["revision"], 0);
    assert_eq!(status["hosts"][0]["version"], FIRST);
    lab.deploy(&lab.playbook(), "2.0").expect(0);
    let status = ask(&lab, "status", &[]).expect(0).document();
    for host in status["hosts"].as_array().unwrap() {
        assert_eq!(host["revision"], 1, "{host}");
        assert_eq!(host["version"], "2.0", "{host}");
        assert_eq!(host["ready"], true, "{host}");
        assert_eq!(host["traffic"][0]["state"], "ready", "{host}");
        assert_eq!(host["stranded"], Value::Null, "{host}");
    }
}

#[test]
fn status_of_a_fleet_that_is_not_well_is_1() {
    let lab = TestLab::start(3);
    let running = lab
        .deploy_until(&lab.playbook(), "2.0", is("host.soaked"))
        .unwrap();
    running.signal(Signal::KILL);
    running.wait();
    let status = ask(&lab, "status", &[]).expect(1).document();
    assert_eq!(status["rollout"]["version"], "2.0", "{status:#}");
    assert_eq!(status["lock"]["command"], "deploy", "{status:#}");
    assert_eq!(status["well"], false);
    // Somebody still holds the lock, as far as can be told.
    ask(&lab, "status", &["--wait", "--timeout", "1s"]).expect(6);
    let said = ask(&lab, "resume", &[]).expect(0);
    lab.assert_all_on("2.0", &said);
    ask(&lab, "status", &["--wait"]).expect(0);
}

#[test]
fn waiting_ends_with_the_rollouts_exit_code() {
    let lab = TestLab::start(4);
    lab.make("3.0-bad", &["--behaviour", "not-ready"]).unwrap();
    let playbook = lab.playbook();
    let running = lab
        .deploy_until(&playbook, "3.0-bad", is("host.swapped"))
        .unwrap();
    let said = ask(&lab, "status", &["--wait", "--timeout", "50s"]);
    let (code, _) = running.wait();
    assert_eq!((said.code, code), (1, 1), "{said}");
}

#[test]
fn history_is_newest_first_with_who_and_where_from() {
    let lab = TestLab::start(2);
    let playbook =
        lab.playbook()
            .set("strategy", "batch", "1")
            .set("strategy", "max_unavailable", "1");
    lab.deploy(&playbook, "2.0").expect(0);
    let history = ask(&lab, "history", &[]).expect(0).document();
    let revisions = history["revisions"].as_array().unwrap();
    let numbers: Vec<u64> = revisions
        .iter()
        .map(|revision| revision["revision"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 0]);
    assert_eq!(revisions[0]["version"], "2.0");
    assert_eq!(revisions[0]["outcome"], "succeeded");
    assert_eq!(revisions[0]["current"], true);
    assert_eq!(revisions[1]["current"], false);
    assert_eq!(revisions[1]["outcome"], "found");
    assert_eq!(revisions[0]["hosts"].as_array().unwrap().len(), 2);
    let by = revisions[0]["by"].as_str().unwrap();
    assert!(by.contains('@'), "{by}");
    let from = revisions[0]["from"].as_str().unwrap();
    assert!(from.ends_with("artifacts/2.0/app"), "{from}");
}

#[test]
fn a_fleet_that_is_locked_by_hand_is_left_alone_until_it_is_unlocked() {
    let lab = TestLab::start(3);
    ask(&lab, "lock", &["-m", "inventory day"]).expect(0);
    let status = ask(&lab, "status", &[]).expect(0).document();
    assert_eq!(status["lock"]["message"], "inventory day", "{status:#}");
    let said = lab.deploy(&lab.playbook(), "2.0").expect(4);
    let reasons = said.finished()["reasons"].to_string();
    assert!(
        reasons.contains("inventory day") && reasons.contains("rollgate unlock"),
        "{said}"
    );
    lab.deploy_with(&lab.playbook(), "2.0", &["--take-over"])
        .expect(4);
    ask(&lab, "resume", &[]).expect(4);
    ask(&lab, "lock", &["-m", "twice"]).expect(4);
    let said = ask(&lab, "unlock", &[]).expect(2);
    assert!(said.stderr.contains("--yes"), "{said}");
    let said = ask(&lab, "unlock", &["--yes"]).expect(0);
    assert!(said.stderr.contains("inventory day"), "{said}");
    ask(&lab, "unlock", &["--yes"]).expect(0);
    let said = lab.deploy(&lab.playbook(), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn a_run_whose_lock_is_broken_stops_where_it_is() {
    let lab = TestLab::start(4);
    let running = lab
        .deploy_until(&lab.playbook(), "2.0", is("host.swapped"))
        .unwrap();
    ask(&lab, "unlock", &["--yes"]).expect(0);
    let (code, events) = running.wait();
    assert_eq!(code, 4, "{events:?}");
    let said = ask(&lab, "abort", &[]).expect(0);
    lab.assert_all_on(FIRST, &said);
}
