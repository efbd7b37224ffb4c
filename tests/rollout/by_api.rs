//! Rollouts over the APIs of balancers: the Data Plane API as a double before the lab's real `HAProxy`, and a double of NGINX Plus.

use std::process::Command;
use std::sync::Arc;

use crate::support::api::Api;
use crate::support::cli::{Said, TestLab};
use crate::support::dataplane::Dataplane;
use crate::support::lab::document::{Document, quoted};
use crate::support::nginx_plus::{NginxPlus, Server, Upstream};

/// The lab's inventory with an API instead of its first balancer's socket, which wants a login.
fn inventory(lab: &TestLab, kind: &str, url: &str) -> Document {
    [
        ("kind", kind),
        ("url", url),
        ("username_env", "TEST_API_USER"),
        ("password_env", "TEST_API_PASSWORD"),
    ]
    .into_iter()
    .fold(
        lab.inventory().without("balancers.edge-a", "socket"),
        |inventory, (key, value)| inventory.set("balancers.edge-a", key, quoted(value)),
    )
}

fn deploy(lab: &TestLab, playbook: &Document, password: Option<&str>) -> Said {
    let file = lab.playbook_file(playbook);
    let arguments = ["deploy", &file, "--version", "2.0", "--output", "json"];
    let mut command: Command = lab.command("state", &arguments);
    command.env("TEST_API_USER", "deployer");
    if let Some(password) = password {
        command.env("TEST_API_PASSWORD", password);
    }
    lab.finish(&mut command)
}

/// `deployer:open sesame`, as a header has it.
fn wants_a_login(api: &Api) {
    *api.controls.wanted.lock().unwrap() = Some("Basic ZGVwbG95ZXI6b3BlbiBzZXNhbWU=".to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_rolled_over_the_data_plane_api_under_load() {
    for version in [2, 3] {
        let lab = TestLab::start(4);
        let product = Dataplane::new(version, lab.balancers[0].socket.clone());
        let api = Api::start(Arc::new(product)).await;
        wants_a_login(&api);
        lab.write_inventory(&inventory(&lab, "dataplane", &api.url("")));
        let load = lab.load();
        let said = deploy(&lab, &lab.playbook(), Some("open sesame"));
        let summary = load.stop().unwrap();
        let said = said.expect(0);
        lab.assert_all_on("2.0", &said);
        assert_eq!(summary["failed"], 0, "{summary:#}");
        assert!(summary["sent"].as_u64() > Some(100), "{summary:#}");
        assert!(!format!("{said:?}").contains("sesame"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_variable_is_2_and_a_wrong_password_5_and_nothing_was_touched() {
    let lab = TestLab::start(2);
    let product = Dataplane::new(3, lab.balancers[0].socket.clone());
    let api = Api::start(Arc::new(product)).await;
    wants_a_login(&api);
    lab.write_inventory(&inventory(&lab, "dataplane", &api.url("")));
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = deploy(&lab, &playbook, None).expect(2);
    assert!(
        said.stderr.contains("`TEST_API_PASSWORD` is not set"),
        "{said}"
    );
    assert_eq!(api.asked(), Vec::<String>::new());
    let said = deploy(&lab, &playbook, Some("hunter2")).expect(5);
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(words.contains("does not take this user name"), "{said}");
    assert!(!words.contains("hunter2"), "{said}");
    lab.assert_untouched(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_rolled_over_the_nginx_plus_api() {
    let lab = TestLab::start(3);
    let hosts = lab.hosts.iter().enumerate();
    let servers = hosts.map(|(id, host)| Server::new(id as u64, &host.app.to_string()));
    let product = NginxPlus::new(vec![Upstream {
        kind: "http",
        name: "shop",
        zone: true,
        state: false,
        servers: servers.collect(),
    }]);
    let api = Api::start(Arc::new(product.clone())).await;
    wants_a_login(&api);
    lab.write_inventory(&inventory(&lab, "nginx-plus", &api.url("/api")));
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    let said = deploy(&lab, &playbook, Some("open sesame")).expect(0);
    assert_eq!(lab.versions(), ["2.0", "2.0", "2.0"], "{said}");
    let told: Vec<String> = api
        .asked()
        .into_iter()
        .filter(|line| line.starts_with("PATCH"))
        .collect();
    for id in 0..3 {
        let of = format!("/servers/{id} ");
        let of: Vec<&String> = told.iter().filter(|line| line.contains(&of)).collect();
        assert_eq!(of.len(), 2, "{told:#?}");
        assert!(of[0].ends_with(r#"{"drain":true}"#), "{told:#?}");
        assert!(
            of[1].ends_with(r#"{"down":false,"drain":false}"#),
            "{told:#?}"
        );
    }
}
