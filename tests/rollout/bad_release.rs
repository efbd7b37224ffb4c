//! Releases that do not prove themselves are taken back, and cost no request.

use crate::support::cli::{Said, TestLab};
use crate::support::lab::document::Document;

/// Rolls a bad release over four hosts under load: exit 1, no request lost, every host back on 1.0 and in traffic.
fn assert_is_taken_back(behaviour: &[&str], change: impl Fn(Document) -> Document) -> Said {
    let lab = TestLab::start(4);
    let mut arguments = vec!["--behaviour"];
    arguments.extend(behaviour);
    lab.make("3.0-bad", &arguments).unwrap();
    let load = lab.load();
    let playbook = lab.playbook().set("ready", "deadline", "\"1500ms\"");
    let said = lab.deploy(&change(playbook), "3.0-bad");
    let summary = load.stop().unwrap();
    let said = said.expect(1);
    lab.assert_all_on("1.0", &said);
    assert_eq!(summary["failed"], 0, "{summary:#}; {said}");
    let finished = said.finished();
    assert_eq!(finished["outcome"], "reverted", "{said}");
    assert_eq!(finished["exit_code"], 1);
    assert_eq!(finished["mixed"], false);
    assert!(!said.named("rollout.halted").is_empty(), "{said}");
    // The second batch was not begun.
    assert_eq!(said.named("batch.started").len(), 1, "{said}");
    assert!(!said.named("host.reverted").is_empty(), "{said}");
    said
}

#[test]
fn a_release_that_never_becomes_ready_is_reverted() {
    let said = assert_is_taken_back(&["not-ready"], |playbook| playbook);
    assert!(said.named("host.ready").is_empty(), "{said}");
    assert!(said.named("host.enabled").is_empty(), "{said}");
}

#[test]
fn a_release_that_says_the_old_version_is_reverted() {
    let said = assert_is_taken_back(&["liar", "--claims", "1.0"], |playbook| playbook);
    assert!(said.named("host.ready").is_empty(), "{said}");
    let failed = said.named("host.failed");
    assert!(failed[0].to_string().contains("1.0"), "{said}");
}

#[test]
fn a_release_that_crashes_at_its_start_is_reverted_and_its_log_shown() {
    let said = assert_is_taken_back(&["crash"], |playbook| playbook);
    let failed = said.named("host.failed");
    let logs = failed[0]["logs"].to_string();
    assert!(logs.contains("cannot open the database"), "{said}");
}

#[test]
fn a_release_that_flaps_while_it_soaks_is_reverted() {
    // Ready for 300 ms and then not, so that no soak of 500 ms is ever whole.
    let said = assert_is_taken_back(
        &["flap", "--warmup-ms", "0", "--flap-ms", "300"],
        |playbook| playbook.set("strategy", "soak", "\"500ms\""),
    );
    assert!(!said.named("host.enabled").is_empty(), "{said}");
    assert!(said.named("host.soaked").is_empty(), "{said}");
}

#[test]
fn earlier_batches_stay_on_the_new_release_under_revert_batch() {
    let (lab, said) = fails_in_the_second_batch("revert-batch");
    let said = said.expect(1);
    assert_eq!(lab.versions(), ["2.0", "1.0", "1.0"], "{said}");
    assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
    let finished = said.finished();
    assert_eq!(finished["outcome"], "reverted");
    assert_eq!(finished["mixed"], true);
}

#[test]
fn earlier_batches_go_back_too_under_revert_all() {
    let (lab, said) = fails_in_the_second_batch("revert-all");
    let said = said.expect(1);
    lab.assert_all_on("1.0", &said);
    assert_eq!(said.finished()["mixed"], false);
}

#[test]
fn what_failed_stays_out_of_traffic_under_halt() {
    let (lab, said) = fails_in_the_second_batch("halt");
    let said = said.expect(3);
    let out = lab.out_of_traffic().unwrap();
    assert_eq!(out.len(), 1, "{out:?}; {said}");
    assert!(out[0].starts_with("web-02"), "{out:?}");
    assert_eq!(lab.versions()[0], "2.0");
    assert_eq!(lab.versions()[2], "1.0");
    let finished = said.finished();
    assert_eq!(finished["outcome"], "halted");
    assert_eq!(finished["exit_code"], 3);
    lab.assert_no_locks(&said);
}

/// Three hosts, one at a time; on the second the release is broken by a hook that runs on that host alone.
fn fails_in_the_second_batch(on_failure: &str) -> (TestLab, Said) {
    let lab = TestLab::start(3);
    let playbook = lab
        .playbook()
        .set("strategy", "batch", "1")
        .set("strategy", "max_unavailable", "1")
        .set("strategy", "on_failure", format!("\"{on_failure}\""))
        .and(
            r#"
            [[hooks]]
            at = "before-enable"
            on = "local"
            run = 'test "$ROLLGATE_HOST" != web-02'
            "#,
        );
    let said = lab.deploy(&playbook, "2.0");
    (lab, said)
}
