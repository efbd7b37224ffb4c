//! Releases that work arrive on every host, and cost no request.

use serde_json::Value;

use crate::support::cli::TestLab;
use crate::support::lab::Lab;

/// Asserts that load lost nothing, and saw both versions.
#[track_caller]
fn assert_no_request_lost(summary: &Value) {
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(summary["sent"].as_u64() > Some(100), "{summary:#}");
}

#[test]
fn rolls_in_batches_under_load_without_a_failed_request() {
    let lab = TestLab::start(6);
    let load = lab.load();
    let said = lab.deploy(&lab.playbook(), "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_no_request_lost(&summary);
    assert!(summary["versions"]["1.0"].as_u64() > Some(0), "{summary:#}");
    assert!(summary["versions"]["2.0"].as_u64() > Some(0), "{summary:#}");
    let batches: Vec<usize> = said
        .named("batch.started")
        .iter()
        .map(|event| event["hosts"].as_array().unwrap().len())
        .collect();
    assert_eq!(batches, [2, 2, 2]);
}

#[test]
fn events_have_no_gaps_and_end_with_rollout_finished() {
    let lab = TestLab::start(3);
    let said = lab
        .deploy(&lab.playbook().set("strategy", "batch", "1"), "2.0")
        .expect(0);
    let events = said.events();
    for (number, event) in (1_u64..).zip(&events) {
        assert_eq!(event["seq"], number, "{event}");
        assert_eq!(event["v"], 1, "{event}");
        assert_eq!(event["attempt"], 1, "{event}");
        assert_eq!(event["rollout"], events[0]["rollout"], "{event}");
    }
    assert_eq!(events[0]["event"], "rollout.started");
    let finished = said.finished();
    assert_eq!(finished["outcome"], "succeeded");
    assert_eq!(finished["exit_code"], 0);
    assert_eq!(finished["mixed"], false);
    let hosts = finished["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 3);
    for host in hosts {
        assert_eq!(host["result"], "updated", "{host}");
        assert_eq!(host["version"], "2.0", "{host}");
        assert_eq!(host["traffic"][0]["state"], "ready", "{host}");
    }
}

#[test]
fn each_host_goes_through_its_cycle_in_order() {
    let lab = TestLab::start(2);
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "2.0").expect(0);
    for host in ["web-01", "web-02"] {
        let seen: Vec<String> = said
            .events()
            .iter()
            .filter(|event| event["host"] == host && event["event"] != "log")
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect();
        let wanted = [
            "host.staged",
            "host.draining",
            "host.drained",
            "host.swapping",
            "host.swapped",
            "host.probing",
            "host.ready",
            "host.enabling",
            "host.enabled",
            "host.soaked",
        ];
        assert_eq!(seen, wanted, "{host}; {said}");
    }
}

#[test]
fn a_fleet_on_the_target_is_left_alone() {
    let lab = TestLab::start(3);
    lab.deploy(&lab.playbook(), "2.0").expect(0);
    let again = lab.deploy(&lab.playbook(), "2.0").expect(0);
    lab.assert_all_on("2.0", &again);
    assert!(again.named("host.draining").is_empty(), "{again}");
    assert!(again.named("host.swapping").is_empty(), "{again}");
    let finished = again.finished();
    assert_eq!(finished["outcome"], "succeeded");
    for host in finished["hosts"].as_array().unwrap() {
        assert_eq!(host["result"], "skipped", "{host}");
    }
}

#[test]
fn two_balancers_are_drained_and_enabled_together() {
    let lab = TestLab::with_balancers(4, 2);
    let load = lab.load();
    let said = lab.deploy(&lab.playbook(), "2.0").expect(0);
    assert_no_request_lost(&load.stop().unwrap());
    lab.assert_all_on("2.0", &said);
    for host in said.finished()["hosts"].as_array().unwrap() {
        assert_eq!(host["traffic"].as_array().unwrap().len(), 2, "{host}");
    }
}

#[test]
fn a_socket_on_another_host_is_reached_through_its_sshd() {
    let lab = TestLab::start(4);
    // The last address of the range is a host of the inventory, but not of the fleet.
    let balancer = format!("\"{}\"", lab.hosts[3].app.ip());
    let inventory = lab.inventory().set("hosts.lb-1", "address", balancer).set(
        "balancers.edge-a",
        "via",
        "\"lb-1\"",
    );
    lab.write_inventory(&inventory);
    let said = lab.deploy(&lab.playbook(), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn a_slow_start_is_waited_for() {
    let lab = TestLab::start(2);
    lab.make("5.0", &["--behaviour", "slow-start", "--warmup-ms", "1500"])
        .unwrap();
    let load = lab.load();
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "5.0").expect(0);
    assert_no_request_lost(&load.stop().unwrap());
    lab.assert_all_on("5.0", &said);
    for ready in said.named("host.ready") {
        assert!(ready["seconds"].as_f64() > Some(1.0), "{ready}");
    }
}

#[test]
fn a_release_that_ignores_sigterm_is_replaced() {
    let lab = TestLab::start(2);
    lab.make("5.0", &["--behaviour", "ignore-term"]).unwrap();
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    lab.deploy(&playbook, "5.0").expect(0);
    let said = lab
        .deploy(&playbook.set("strategy", "deadline", "\"90s\""), "2.0")
        .expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn what_was_there_before_is_kept() {
    let lab = TestLab::start(2);
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "2.0").expect(0);
    for host in &lab.hosts {
        let releases = Lab::releases(host);
        assert!(
            releases.iter().any(|name| name == "20260101120000"),
            "{releases:?}; {said}"
        );
        assert!(releases.iter().any(|name| name == "1-2.0"), "{releases:?}");
        assert_eq!(
            std::fs::read_link(host.home.join("srv/current")).unwrap(),
            std::path::Path::new("releases/1-2.0")
        );
    }
}
