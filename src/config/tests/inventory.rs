use std::fs;
use std::time::Duration;

use super::*;
use crate::model::Endpoint;
use crate::model::{BalancerKind, Become, HostKeyChecking, JumpSpec};

#[test]
fn ssh_options_go_from_defaults_over_groups_to_the_host() {
    let inventory = format!(
        "{INVENTORY}
[ssh]
user = \"deploy\"
port = 2200
become = \"sudo\"
known_hosts = [\"keys/known\", \"/etc/known\"]
host_key_checking = \"accept-new\"
[groups.all]
hosts = [\"inner\"]
ssh = {{ user = \"outer\", connect_timeout = \"3s\" }}
[groups.inner]
hosts = [\"web-[01:02]\"]
ssh = {{ user = \"inner\" }}
[hosts.x]
ssh = {{ port = 1 }}
"
    )
    .replace(
        "vars = { port = 8080 }",
        "vars = { port = 8080 }\nssh = { port = 2201, become = \"none\" }",
    );
    let files = Files::new(&inventory, PLAYBOOK);
    let loaded = load(&files.request()).unwrap();
    let ssh = &loaded.fleet[0].ssh;
    assert_eq!(
        ssh.user.as_deref(),
        Some("inner"),
        "the inner group is nearer than the one that holds it"
    );
    assert_eq!(ssh.port, Some(2201));
    assert_eq!(ssh.r#become, Become::None);
    assert_eq!(ssh.host_key_checking, HostKeyChecking::AcceptNew);
    assert_eq!(ssh.connect_timeout, Duration::from_secs(3));
    assert!(ssh.ssh_config);
    assert_eq!(
        ssh.known_hosts,
        [files.path().join("keys/known"), "/etc/known".into()]
    );
}

#[test]
fn addresses_are_rendered_and_default_to_the_name() {
    let inventory = INVENTORY.replace("10.0.0.{{ n }}", "[2001:db8::{{ n }}]:22{{ nn }}")
        + "[hosts.web-x]\nvars = { port = 1 }\n";
    let loaded = loaded(&inventory, PLAYBOOK);
    let hosts: Vec<(&str, Option<u16>)> = loaded
        .fleet
        .iter()
        .map(|host| (host.address.as_str(), host.ssh.port))
        .collect();
    assert_eq!(
        hosts,
        [
            ("2001:db8::1", Some(2201)),
            ("2001:db8::2", Some(2202)),
            ("web-x", None)
        ]
    );
}

#[test]
fn later_files_win_key_by_key() {
    let files = Files::new(INVENTORY, PLAYBOOK);
    let over = files.path().join("over/inventory.toml");
    fs::create_dir(files.path().join("over")).unwrap();
    fs::write(
        &over,
        "[ssh]\nidentity_files = \"id\"\n[hosts.web-02]\nvars = { port = 9 }\nlabels = { zone = 1 }\n[balancers.edge]\nkind = \"haproxy\"\nsocket = \"unix:///x\"\n",
    )
    .unwrap();
    let mut request = files.request();
    request.inventories.push(over);
    let loaded = load(&request).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(loaded.fleet[0].ready_url, "http://127.0.0.1:8080/ready");
    assert_eq!(loaded.fleet[1].ready_url, "http://127.0.0.1:9/ready");
    assert_eq!(
        loaded.fleet[1].address, "10.0.0.2",
        "the number of the range is kept"
    );
    assert_eq!(loaded.fleet[1].labels["zone"], "1");
    let identity = &loaded.fleet[0].ssh.identity_files[0];
    assert_eq!(identity.path, files.path().join("over/id"));
    assert!(identity.required);
    let balancer = &loaded.balancers[0];
    let endpoint = Endpoint::Unix("/x".to_owned());
    assert_eq!(balancer.kind, BalancerKind::Haproxy { endpoint });
    assert_eq!(balancer.timeout, Duration::from_secs(30));
}

#[test]
fn hops_are_hosts_or_addresses_and_helpers_are_found_through_hops() {
    let inventory = INVENTORY.replace(
        "vars =",
        "ssh = { jump = [\"b\", \"ops@[::1]:2222\"] }\nvars =",
    ) + "[hosts.a]\n[hosts.b]\nssh = { jump = \"a\" }\n[hosts.unused]\n";
    let loaded = loaded(&inventory, PLAYBOOK);
    let address = JumpSpec::Address {
        user: Some("ops".to_owned()),
        address: "::1".to_owned(),
        port: Some(2222),
    };
    assert_eq!(loaded.fleet[0].ssh.jump[1], address);
    let helpers: Vec<&str> = loaded
        .helpers
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(helpers, ["a", "b"]);
    assert!(
        loaded
            .helpers
            .iter()
            .all(|host| host.root.is_empty() && host.traffic.is_empty())
    );
}

#[test]
fn mistakes_of_an_inventory_are_named() {
    for (add, title) in [
        (
            "[hosts.web-01]\n",
            "the host `web-01` is named twice in this file",
        ),
        ("[hosts.\"w[1:\"]\n", "`w[1:` is not a name for hosts"),
        ("[hosts.\"a b\"]\n", "`a b` is not a host name"),
        (
            "[hosts.x]\nssh = { jump = \"x\" }\n",
            "`x` cannot be reached through itself",
        ),
        (
            "[hosts.x]\nssh = { jump = \"web01\" }\n",
            "`web01` is not a hop",
        ),
        (
            "[hosts.x]\naddress = \"{{ n }}\"\n",
            "`n` cannot be used here",
        ),
        ("[hosts.x]\naddress = \"a b\"\n", "`a b` is not an address"),
        ("[groups.web-01]\n", "`web-01` names a group and a host"),
        (
            "[groups.a]\nhosts = [\"b\"]\n[groups.b]\nhosts = [\"a\"]\n",
            "the group `a` holds itself",
        ),
        (
            "[groups.a]\nhosts = [\"zone=a\"]\n",
            "`zone=a` is not a member of a group",
        ),
        ("[ssh]\nport = 0\n", "0 is not a port"),
        (
            "[ssh]\nport = 70000\n",
            "this is the wrong kind of value: integer `70000`",
        ),
        (
            "[ssh]\nidentity_files = [\"~x/id\"]\n",
            "`~x/id` is not a path that can be used",
        ),
        (
            "[balancers.x]\nkind = \"haproxy\"\nsocket = \"tcp://a:1\"\nvia = \"web-1\"\n",
            "no host of the inventory is called `web-1`",
        ),
        ("[balancers.x]\nkind = \"haproxy\"\n", "`socket` is missing"),
        (
            "[balancers.x]\nkind = \"harpoxy\"\nsocket = \"tcp://a:1\"\n",
            "unknown kind of balancer `harpoxy`",
        ),
    ] {
        let found = titles(&format!("{INVENTORY}{add}"), PLAYBOOK);
        assert_eq!(found, [title], "{add}");
    }
}
