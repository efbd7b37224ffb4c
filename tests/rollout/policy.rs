//! Bounds are kept, and what only looks touches nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::cli::TestLab;
use crate::support::lab::{Lab, pause};

/// Runs `act`, and looks at the first balancer all the while: the most servers that were out of traffic at once.
fn most_out_of_traffic<T>(lab: &TestLab, act: impl FnOnce() -> T) -> (usize, T) {
    let is_done = AtomicBool::new(false);
    let fleet: &Lab = lab;
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                let seen = fleet.servers(&fleet.balancers[0]).unwrap();
                most = most.max(seen.values().filter(|server| !server.is_usable()).count());
                pause(Duration::from_millis(10));
            }
            most
        });
        let done = act();
        is_done.store(true, Ordering::Relaxed);
        (watch.join().unwrap(), done)
    })
}

#[test]
fn no_batch_passes_max_unavailable() {
    let lab = TestLab::start(6);
    let playbook =
        lab.playbook()
            .set("strategy", "batch", "4")
            .set("strategy", "max_unavailable", "\"34%\"");
    let (most, said) = most_out_of_traffic(&lab, || lab.deploy(&playbook, "2.0"));
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(most, 2, "{said}");
}

#[test]
fn a_canary_goes_first() {
    let lab = TestLab::start(5);
    let playbook = lab.playbook().set("strategy", "batch", "[1, 2]");
    let said = lab.deploy(&playbook, "2.0").expect(0);
    let sizes: Vec<usize> = said.named("rollout.planned")[0]["batches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|batch| batch.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1, 2, 2]);
}

#[test]
fn a_dry_run_touches_nothing() {
    let lab = TestLab::start(3);
    let (most, said) = most_out_of_traffic(&lab, || {
        lab.deploy_with(&lab.playbook(), "2.0", &["--dry-run"])
    });
    let said = said.expect(0);
    lab.assert_untouched(&said);
    assert_eq!(most, 0);
    for host in &lab.hosts {
        assert_eq!(Lab::records(host), Vec::<String>::new(), "{}", host.name);
    }
    assert_eq!(said.document()["version"], "2.0");
}

#[test]
fn a_plan_is_one_document() {
    let lab = TestLab::start(3);
    let said = lab.plan(&lab.playbook(), "2.0").expect(0);
    lab.assert_untouched(&said);
    let plan = said.document();
    assert_eq!(plan["v"], 1);
    assert_eq!(plan["service"], "shop");
    assert_eq!(plan["version"], "2.0");
    assert_eq!(plan["revision"], 1);
    assert_eq!(
        plan["batches"],
        serde_json::json!([["web-01", "web-02"], ["web-03"]])
    );
    assert_eq!(plan["least_usable"], 1);
    assert_eq!(plan["refused"], serde_json::json!([]));
    let host = &plan["hosts"][0];
    assert_eq!(host["host"], "web-01");
    assert_eq!(host["action"], "update");
    assert_eq!(
        host["traffic"],
        serde_json::json!([
            { "balancer": "edge-a", "pool": "shop", "server": "web-01", "state": "ready" }
        ])
    );
}

#[test]
fn a_host_that_an_operator_drained_is_updated_and_stays_out() {
    let lab = TestLab::start(4);
    Lab::tell(&lab.balancers[0], "set server shop/web-02 state drain").unwrap();
    let said = lab.deploy(&lab.playbook(), "2.0").expect(0);
    assert_eq!(lab.versions(), ["2.0"; 4], "{said}");
    let out = lab.out_of_traffic().unwrap();
    assert_eq!(out.len(), 1, "{out:?}; {said}");
    assert!(out[0].starts_with("web-02"), "{out:?}");
}

#[test]
fn a_limit_leaves_the_others_alone() {
    let lab = TestLab::start(4);
    let said = lab
        .deploy_with(&lab.playbook(), "2.0", &["--limit", "web-0[3:4]"])
        .expect(0);
    assert_eq!(lab.versions(), ["1.0", "1.0", "2.0", "2.0"], "{said}");
    assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
    let finished = said.finished();
    let hosts = finished["hosts"].as_array().unwrap();
    let results: Vec<&str> = hosts
        .iter()
        .map(|host| host["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["untouched", "untouched", "updated", "updated"]);
    assert!(said.named("host.skipped").is_empty(), "{said}");
}

#[test]
fn the_second_release_reverts_to_the_first_that_was_deployed() {
    let lab = TestLab::start(4);
    lab.make("3.0-bad", &["--behaviour", "not-ready"]).unwrap();
    let playbook = lab.playbook().set("ready", "deadline", "\"1500ms\"");
    lab.deploy(&playbook, "2.0").expect(0);
    let said = lab.deploy(&playbook, "3.0-bad").expect(1);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn what_was_taken_back_is_not_tried_again_by_itself() {
    let lab = TestLab::start(3);
    lab.make("3.0-bad", &["--behaviour", "not-ready"]).unwrap();
    let playbook = lab.playbook().set("ready", "deadline", "\"1s\"");
    lab.deploy(&playbook, "3.0-bad").expect(1);
    // So that a cron job never puts back what was taken away.
    let again = lab.deploy(&playbook, "3.0-bad").expect(5);
    lab.assert_all_on("1.0", &again);
    assert!(
        format!("{}{}", again.stdout, again.stderr).contains("--again"),
        "{again}"
    );
}
