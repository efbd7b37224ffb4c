//! Balancers of kind `command` and `health`.

use std::time::Duration;

use super::*;
use crate::model::{BalancerKind, Command, HealthSwitch};

const COMMAND: &str = r#"
[hosts."web-[01:02]"]
address = "10.0.0.{{ n }}"
vars = { port = 8080 }
[balancers.edge]
kind = "command"
drain = ["lb", "drain", "{{ pool }}/{{ server }}", "{{ address }}:{{ vars.port }}"]
enable = "lb enable {{ pool }} \"{{ host }}\" {{ service }}"
state = ["lb", "state"]
"#;

const HEALTH: &str = r#"
[hosts."web-[01:02]"]
vars = { port = 8080 }
[balancers.edge]
kind = "health"
file = "/run/{{ service }}/{{ server }}.out"
"#;

fn kind(inventory: &str) -> BalancerKind {
    loaded(inventory, PLAYBOOK).balancers[0].kind.clone()
}

#[test]
fn commands_are_rendered_for_every_server_that_the_playbook_names() {
    let BalancerKind::Command(spec) = kind(COMMAND) else {
        panic!("another kind");
    };
    assert_eq!(spec.servers.len(), 2);
    let second = &spec.servers[1];
    assert_eq!(second.server.as_str(), "web-02");
    let words = ["lb", "drain", "pool/web-02", "10.0.0.2:8080"].map(str::to_owned);
    assert_eq!(second.drain, Command::Argv(words.into()));
    let text = "lb enable 'pool' \"\"'web-02'\"\" 'app'";
    assert_eq!(second.enable, Command::Shell(text.to_owned()));
    assert_eq!(second.in_flight, None);
    assert_eq!(spec.settle, Duration::from_secs(5));
    assert!(spec.dir.unwrap().starts_with('/'));
}

#[test]
fn who_counts_need_not_settle_and_who_goes_through_a_host_has_no_folder_here() {
    let counted = format!("{COMMAND}in_flight = \"lb conns\"\nvia = \"web-01\"\n");
    let BalancerKind::Command(spec) = kind(&counted) else {
        panic!("another kind");
    };
    assert!(spec.settle.is_zero() && spec.dir.is_none());
    assert!(spec.servers[0].in_flight.is_some());
    let BalancerKind::Command(spec) = kind(&format!("{counted}settle = \"3s\"\n")) else {
        panic!("another kind");
    };
    assert_eq!(spec.settle, Duration::from_secs(3));
}

#[test]
fn a_host_looks_unfit_by_a_file_or_by_commands() {
    let BalancerKind::Health(spec) = kind(HEALTH) else {
        panic!("another kind");
    };
    assert_eq!(spec.notice, Duration::from_secs(6));
    let file = HealthSwitch::File("/run/app/web-02.out".to_owned());
    assert_eq!(spec.servers[1].switch, file);
    assert_eq!(spec.servers[1].host.as_str(), "web-02");
    let commands = HEALTH.replace(
        "file = \"/run/{{ service }}/{{ server }}.out\"",
        "drain = \"out {{ vars.port }}\"\nenable = [\"in\"]\nstate = [\"s\"]\nchecks = 5\ninterval = \"500ms\"",
    );
    let BalancerKind::Health(spec) = kind(&commands) else {
        panic!("another kind");
    };
    assert_eq!(spec.notice, Duration::from_millis(2500));
    let HealthSwitch::Commands { drain, .. } = &spec.servers[0].switch else {
        panic!("another switch");
    };
    assert_eq!(*drain, Command::Shell("out '8080'".to_owned()));
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let inventory = r#"
[hosts."web-[01:02]"]
vars = { port = 8080 }
[balancers.edge]
kind = "command"
drain = ["lb", "{{ version }}", "{{ vars.prot }}"]
state = "lb {{ servr }}"
checks = 3
[balancers.empty]
kind = "health"
via = "web-01"
checks = 0
interval = "0s"
settle = "1s"
[balancers.two]
kind = "health"
file = "run/out"
drain = ["x"]
[balancers.part]
kind = "health"
drain = ["x"]
[balancers.edge-2]
kind = "haproxy"
socket = "tcp://127.0.0.1:1"
interval = "1s"
"#;
    let files = Files::new(inventory, PLAYBOOK);
    insta::assert_snapshot!(files.findings(&files.request()));
    for path in ["run/out", "/run/", "/run/../x"] {
        let inventory = HEALTH.replace("/run/{{ service }}/{{ server }}.out", path);
        assert!(
            titles(&inventory, PLAYBOOK)[0].contains("not a file's path"),
            "{path}"
        );
    }
}
