//! Rollouts behind balancers that rollgate does not know: told by commands, or not told at all.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::cli::TestLab;
use crate::support::haproxy::Haproxy;
use crate::support::lab::document::{Document, quoted};

#[track_caller]
fn assert_no_request_lost(summary: &Value) {
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(summary["sent"].as_u64() > Some(100), "{summary:#}");
}

/// The lab's inventory with its first balancer's keys replaced by these.
fn inventory(lab: &TestLab, keys: &[(&str, String)]) -> Document {
    let mut inventory = lab.inventory().without("balancers.edge-a", "socket");
    for (key, value) in keys {
        inventory = inventory.set("balancers.edge-a", key, value.clone());
    }
    inventory
}

/// A command of the script that a user might write, as the inventory has it.
fn command(lab: &TestLab, verb: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/lb.sh");
    let socket = lab.balancers[0].socket.display();
    format!(
        r#"["{}", "{socket}", "{verb}", "{{{{ pool }}}}", "{{{{ server }}}}"]"#,
        script.display()
    )
}

#[test]
fn commands_take_hosts_out_and_put_them_back_under_load() {
    let lab = TestLab::start(4);
    let mut keys = vec![("kind", quoted("command"))];
    for (key, verb) in [
        ("drain", "drain"),
        ("enable", "enable"),
        ("state", "state"),
        ("in_flight", "conns"),
    ] {
        keys.push((key, command(&lab, verb)));
    }
    lab.write_inventory(&inventory(&lab, &keys));
    let load = lab.load();
    let said = lab.deploy(&lab.playbook(), "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_no_request_lost(&summary);
}

#[test]
fn commands_on_another_host_where_nobody_counts() {
    let lab = TestLab::start(3);
    let mut keys = vec![
        ("kind", quoted("command")),
        ("via", quoted("lb-1")),
        ("settle", quoted("1s")),
    ];
    for verb in ["drain", "enable", "state"] {
        keys.push((verb, command(&lab, verb)));
    }
    let balancer = format!("\"{}\"", lab.hosts[2].app.ip());
    let inventory = inventory(&lab, &keys).set("hosts.lb-1", "address", balancer);
    lab.write_inventory(&inventory);
    let load = lab.load();
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_no_request_lost(&summary);
    for drained in said.named("host.drained") {
        assert!(drained["seconds"].as_f64() >= Some(1.0), "{drained}");
    }
}

#[test]
fn a_command_that_fails_is_told_and_the_host_stays_as_it_was() {
    let lab = TestLab::start(2);
    let mut keys = vec![("kind", quoted("command"))];
    for verb in ["enable", "state"] {
        keys.push((verb, command(&lab, verb)));
    }
    keys.push((
        "drain",
        quoted("echo 'the licence has run out' >&2; exit 4"),
    ));
    lab.write_inventory(&inventory(&lab, &keys));
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "2.0").expect(1);
    assert!(said.stdout.contains("the licence has run out"), "{said}");
    assert_eq!(lab.versions(), ["1.0", "1.0"], "{said}");
    assert_eq!(
        lab.out_of_traffic().unwrap(),
        Vec::<String>::new(),
        "{said}"
    );
}

#[test]
fn a_server_that_the_commands_do_not_know_is_refused_before_anything_is_touched() {
    let lab = TestLab::start(2);
    let mut keys = vec![("kind", quoted("command"))];
    for verb in ["drain", "enable", "state"] {
        keys.push((
            verb,
            command(&lab, verb).replace("{{ server }}", "{{ server }}-x"),
        ));
    }
    lab.write_inventory(&inventory(&lab, &keys));
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "2.0").expect(5);
    assert!(
        format!("{said}").contains("refused `state shop/web-01`: exit 1: no such server"),
        "{said}"
    );
    lab.assert_untouched(&said);
}

/// A balancer that only asks the applications whether they are fit, and that nobody can tell anything.
async fn untouchable(lab: &TestLab, front: SocketAddr) -> Haproxy {
    let mut config = format!(
        "
frontend front
  bind {front}
  default_backend shop
backend shop
  balance roundrobin
  option httpchk GET /health/traffic
  option redispatch 1
  default-server check inter 200ms rise 1 fall 3
"
    );
    for host in &lab.hosts {
        writeln!(config, "  server {} {}", host.name, host.app).unwrap();
    }
    Haproxy::start(&config).await
}

#[tokio::test]
async fn a_file_takes_hosts_out_of_a_balancer_that_nobody_may_touch_under_load() {
    let lab = TestLab::start(4);
    let mut front = lab.balancers[0].front;
    front.set_port(front.port() + 7);
    let _balancer = untouchable(&lab, front).await;
    let file = format!("{}/hosts/{{{{ host }}}}/out", lab.dir().display());
    let keys = [
        ("kind", quoted("health")),
        ("file", quoted(file)),
        ("checks", "4".to_owned()),
        ("interval", quoted("250ms")),
    ];
    lab.write_inventory(&inventory(&lab, &keys));
    let load = lab.load_at(front);
    let said = lab.deploy(&lab.playbook(), "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_no_request_lost(&summary);
    for version in ["1.0", "2.0"] {
        assert!(
            summary["versions"][version].as_u64() > Some(0),
            "{summary:#}"
        );
    }
    for host in &lab.hosts {
        assert!(!host.home.join("out").exists(), "{said}");
    }
    for drained in said.named("host.drained") {
        assert!(drained["seconds"].as_f64() >= Some(1.0), "{drained}");
    }
}

#[test]
fn a_host_whose_file_cannot_be_made_is_refused_before_anything_is_touched() {
    let lab = TestLab::start(2);
    let keys = [
        ("kind", quoted("health")),
        ("file", quoted("/nowhere/at/all/out")),
    ];
    lab.write_inventory(&inventory(&lab, &keys));
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = lab.deploy(&playbook, "2.0").expect(5);
    assert!(
        format!("{said}").contains("there is no folder /nowhere/at/all"),
        "{said}"
    );
    lab.assert_untouched(&said);
}
