//! Rollouts behind a real nginx.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::cli::TestLab;
use crate::support::lab::SERVICE;
use crate::support::lab::document::{Document, quoted};
use crate::support::nginx::Nginx;

/// An nginx in front of all hosts of the lab. Without idle connections: at a reload nginx closes those of its clients, and a request that
/// crosses this is lost, whatever rollgate does.
pub(super) fn in_front(lab: &TestLab) -> Nginx {
    let mut text = format!("keepalive_timeout 0;\nupstream {SERVICE} {{\n  zone {SERVICE} 64k;\n");
    for host in &lab.hosts {
        let _ok = writeln!(text, "  server {}; # {}", host.app, host.name);
    }
    text.push_str("  keepalive 16;\n}\n");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Nginx::start_for(SERVICE, &text))
}

pub(super) fn array(command: &rollgate::model::Command) -> String {
    match command {
        rollgate::model::Command::Argv(argv) => format!("{argv:?}"),
        rollgate::model::Command::Shell(text) => quoted(text),
    }
}

/// The lab's inventory with this nginx as its balancer.
pub(super) fn inventory(lab: &TestLab, nginx: &Nginx) -> Document {
    let spec = nginx.spec();
    lab.inventory()
        .without("balancers.edge-a", "socket")
        .set("balancers.edge-a", "kind", quoted("nginx"))
        .set("balancers.edge-a", "config", quoted(&spec.config))
        .set("balancers.edge-a", "test", array(&spec.test))
        .set("balancers.edge-a", "reload", array(&spec.reload))
}

#[track_caller]
fn assert_no_request_lost(summary: &Value) {
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(summary["sent"].as_u64() > Some(100), "{summary:#}");
    assert!(summary["versions"]["2.0"].as_u64() > Some(0), "{summary:#}");
}

#[test]
fn rolls_behind_nginx_under_load_without_a_failed_request() {
    let lab = TestLab::start(6);
    let nginx = in_front(&lab);
    let before = nginx.text();
    lab.write_inventory(&inventory(&lab, &nginx));
    let load = lab.load_at(nginx.front);
    let said = lab.deploy(&lab.playbook(), "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_no_request_lost(&summary);
    assert_eq!((nginx.text(), nginx.leftovers()), (before, Vec::new()));
    let log = std::fs::read_to_string(nginx.path("error.log")).unwrap();
    eprintln!(
        "{} reloads, {summary}",
        log.matches("(SIGHUP) received").count()
    );
}

#[test]
fn an_nginx_on_another_host_is_edited_through_its_sshd() {
    let lab = TestLab::start(4);
    let nginx = in_front(&lab);
    let before = nginx.text();
    let balancer = format!("\"{}\"", lab.hosts[3].app.ip());
    let inventory = inventory(&lab, &nginx)
        .set("hosts.lb-1", "address", balancer)
        .set("balancers.edge-a", "via", quoted("lb-1"));
    lab.write_inventory(&inventory);
    let said = lab.deploy(&lab.playbook(), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!((nginx.text(), nginx.leftovers()), (before, Vec::new()));
}

#[test]
fn a_release_that_is_never_ready_is_taken_back_and_nginx_is_as_it_was() {
    let lab = TestLab::start(3);
    let nginx = in_front(&lab);
    let before = nginx.text();
    lab.write_inventory(&inventory(&lab, &nginx));
    lab.make("3.0", &["--behaviour", "not-ready"]).unwrap();
    let said = lab
        .deploy(&lab.playbook().set("strategy", "batch", "1"), "3.0")
        .expect(1);
    lab.assert_all_on("1.0", &said);
    assert_eq!((nginx.text(), nginx.leftovers()), (before, Vec::new()));
}
