//! Hooks run where they should, as often as they should, with what they are told.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::is;
use crate::support::cli::TestLab;

/// A hook that writes its environment's part to a file in the lab's folder, a line a run.
fn hook(lab: &TestLab, at: &str, on: &str) -> String {
    format!(
        r#"
        [[hooks]]
        at = "{at}"
        on = "{on}"
        run = 'echo "$ROLLGATE_SERVICE $ROLLGATE_VERSION ${{ROLLGATE_HOST:-none}} $(pwd)" >>{dir}/{at}.{on}'
        "#,
        dir = lab.dir().display()
    )
}

fn lines(lab: &TestLab, file: &str) -> Vec<String> {
    let mut lines: Vec<String> = fs::read_to_string(lab.dir().join(file))
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn hooks_run_here_on_each_host_and_once() {
    let lab = TestLab::start(3);
    let mut playbook = lab.playbook();
    for (at, on) in [
        ("before-rollout", "once"),
        ("after-drain", "local"),
        ("after-swap", "host"),
        ("after-batch", "local"),
        ("after-rollout", "local"),
        ("on-failure", "local"),
    ] {
        playbook = playbook.and(&hook(&lab, at, on));
    }
    let said = lab.deploy(&playbook, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(lines(&lab, "before-rollout.once").len(), 1, "{said}");
    let local = lines(&lab, "after-drain.local");
    let here = lab.dir().display();
    let wanted: Vec<String> = ["web-01", "web-02", "web-03"]
        .iter()
        .map(|host| format!("shop 2.0 {host} {here}"))
        .collect();
    assert_eq!(local, wanted, "{said}");
    for (line, host) in lines(&lab, "after-swap.host").iter().zip(&lab.hosts) {
        let folder = host.home.join("srv/releases/1-2.0");
        assert_eq!(
            *line,
            format!("shop 2.0 {} {}", host.name, folder.display())
        );
    }
    assert_eq!(lines(&lab, "after-swap.host").len(), 3, "{said}");
    assert_eq!(lines(&lab, "after-batch.local").len(), 2, "{said}");
    assert_eq!(lines(&lab, "after-rollout.local").len(), 1, "{said}");
    assert!(lines(&lab, "on-failure.local").is_empty(), "{said}");
    assert_eq!(
        said.named("hook.started").len(),
        said.named("hook.finished").len()
    );
}

#[test]
fn a_failing_hook_before_the_rollout_refuses_it() {
    let lab = TestLab::start(3);
    let playbook = lab.playbook().and(
        r#"
        [[hooks]]
        at = "before-rollout"
        on = "local"
        run = ["false"]
        "#,
    );
    let said = lab.deploy(&playbook, "2.0").expect(5);
    assert_eq!(lab.versions(), ["1.0"; 3]);
    assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
    assert!(said.named("host.draining").is_empty(), "{said}");
    lab.assert_no_locks(&said);
}

#[test]
fn hooks_of_a_failure_and_of_a_revert_run() {
    let lab = TestLab::start(2);
    lab.make("3.0-bad", &["--behaviour", "not-ready"]).unwrap();
    let playbook = lab
        .playbook()
        .set("strategy", "batch", "1")
        .set("ready", "deadline", "\"1s\"")
        .and(&hook(&lab, "on-failure", "local"))
        .and(&hook(&lab, "on-revert", "local"));
    let said = lab.deploy(&playbook, "3.0-bad").expect(1);
    lab.assert_all_on("1.0", &said);
    assert_eq!(lines(&lab, "on-failure.local").len(), 1, "{said}");
    assert_eq!(lines(&lab, "on-revert.local").len(), 1, "{said}");
}

/// A hook that was under way when the run died is not repeated without a word; one that ended is not repeated at all.
#[test]
fn a_hook_that_was_cut_off_is_asked_about() {
    for (answer, runs) in [("--hook-done", 1), ("--hook-again", 2)] {
        let lab = TestLab::start(3);
        let slow = format!(
            r#"
            [[hooks]]
            at = "before-rollout"
            on = "local"
            run = 'echo ran >>{dir}/migrations; sleep 3'
            "#,
            dir = lab.dir().display()
        );
        let playbook = lab
            .playbook()
            .and(&hook(&lab, "before-rollout", "once"))
            .and(&slow);
        let mut started = 0;
        let second = |_: usize, event: &Value| {
            started += usize::from(event["event"] == "hook.started");
            started == 2
        };
        let running = lab.deploy_until(&playbook, "2.0", second).unwrap();
        while lines(&lab, "migrations").is_empty() {
            crate::support::lab::pause(std::time::Duration::from_millis(10));
        }
        running.signal(Signal::KILL);
        running.wait();
        let file = lab.playbook_file(&playbook);
        let said = lab
            .rollgate(&["resume", &file, "--output", "json"])
            .expect(130);
        let reasons = said.finished()["reasons"].to_string();
        assert!(
            reasons.contains("--hook-done") && reasons.contains("--hook-again"),
            "{said}"
        );
        assert_eq!(lab.versions(), ["1.0"; 3]);
        lab.assert_no_locks(&said);
        let said = lab
            .rollgate(&["resume", &file, answer, "--output", "json"])
            .expect(0);
        lab.assert_all_on("2.0", &said);
        assert_eq!(lines(&lab, "migrations").len(), runs, "{said}");
        assert_eq!(lines(&lab, "before-rollout.once").len(), 1, "{said}");
    }
}

#[test]
fn hooks_that_ended_are_not_run_again_by_a_resume() {
    let lab = TestLab::start(4);
    let playbook = lab
        .playbook()
        .and(&hook(&lab, "before-rollout", "local"))
        .and(&hook(&lab, "after-batch", "local"))
        .and(&hook(&lab, "after-rollout", "local"));
    let mut batches = 0;
    let second = |_: usize, event: &Value| {
        batches += usize::from(event["event"] == "batch.started");
        batches == 2 && event["event"] == "host.drained"
    };
    let running = lab.deploy_until(&playbook, "2.0", second).unwrap();
    running.signal(Signal::KILL);
    running.wait();
    let file = lab.playbook_file(&playbook);
    let said = lab
        .rollgate(&["resume", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(lines(&lab, "before-rollout.local").len(), 1, "{said}");
    assert_eq!(lines(&lab, "after-batch.local").len(), 2, "{said}");
    assert_eq!(lines(&lab, "after-rollout.local").len(), 1, "{said}");
}

/// A batch that failed by its last hook alone is known as failed by whoever goes on.
#[test]
fn a_batch_that_its_hook_failed_goes_back_also_over_a_death() {
    let lab = TestLab::start(4);
    let once = format!(
        r#"
        [[hooks]]
        at = "after-batch"
        on = "local"
        run = 'test -e {dir}/again || {{ touch {dir}/again; exit 1; }}'
        "#,
        dir = lab.dir().display()
    );
    let playbook = lab.playbook().and(&once);
    let running = lab
        .deploy_until(&playbook, "2.0", is("host.reverting"))
        .unwrap();
    // Its record on its way is the first that can tell.
    crate::support::lab::pause(std::time::Duration::from_millis(60));
    running.signal(Signal::KILL);
    running.wait();
    let file = lab.playbook_file(&playbook);
    let said = lab.rollgate(&["resume", &file, "--output", "json"]);
    if said.stderr.contains("nothing to do") {
        // It had come to its end within that moment.
        return lab.assert_all_on("1.0", &said);
    }
    let said = said.expect(1);
    assert_eq!(said.finished()["outcome"], "reverted", "{said}");
    lab.assert_all_on("1.0", &said);
}
