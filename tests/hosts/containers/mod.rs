//! Releases that are containers, on hosts with Docker and with Podman.

mod crash;
mod registry;
mod rolls;
mod sources;
mod trouble;

use std::process::Command;

use serde_json::Value;

use crate::support::cli::{Said, TestLab};
use crate::support::lab::document::{Document, quoted};
use crate::support::lab::fleet::Kind;
use crate::support::lab::{FIRST, LabHost};

/// What the containers are called.
const NAME: &str = "shop";

/// The engine's command on the hosts.
fn engine(kind: Kind) -> &'static str {
    match kind {
        Kind::Docker => "docker",
        Kind::Podman => "podman",
        Kind::Systemd => panic!("these hosts have no engine"),
    }
}

/// Makes an archive of `docker save` with the example application of that version: `dist/shop-VERSION.tar`.
fn pack(lab: &TestLab, version: &str, behaviour: &[&str]) {
    pack_of(lab, version, behaviour, 0);
}

/// The same with that many MB of noise in it.
fn pack_of(lab: &TestLab, version: &str, behaviour: &[&str], megabytes: usize) {
    lab.make(version, behaviour).unwrap();
    let dir = lab.dir().display();
    let script = format!(
        "set -e; cd {dir}; mkdir -p dist; rm -rf rootfs; mkdir rootfs\n\
         cp artifacts/{version}/app rootfs/app\n\
         for file in $(ldd bin/app | grep -o '/[^ ]*'); do mkdir -p rootfs${{file%/*}}; cp -L $file rootfs$file; done\n\
         head -c {megabytes}000000 /dev/urandom >rootfs/noise\n\
         tar -C rootfs -c . >rootfs.tar"
    );
    let done = Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(done.success());
    let name = format!("{}:{version}", lab.fleet.as_ref().unwrap().network);
    let (tar, out) = (
        format!("{dir}/rootfs.tar"),
        format!("{dir}/dist/shop-{version}.tar"),
    );
    lab.docker(&["import", "--change", "ENTRYPOINT [\"/app\"]", &tar, &name])
        .unwrap();
    lab.docker(&["save", "-o", &out, &name]).unwrap();
    lab.docker(&["rmi", &name]).unwrap();
}

/// The lab's playbook for containers whose image is sent.
fn playbook(lab: &TestLab, kind: Kind) -> Document {
    lab.playbook()
        .set("release", "kind", quoted("container"))
        .set("release", "engine", quoted(engine(kind)))
        .set("release", "source", quoted("dist/shop-{{ version }}.tar"))
        .set("release", "name", quoted(NAME))
        .set("release", "network", quoted("host"))
        .set(
            "release",
            "command",
            "[\"serve\", \"--listen\", \"{{ address }}:{{ vars.port }}\"]",
        )
        .without("run", "systemd")
        .set("strategy", "batch", "1")
}

/// Hosts that serve 1.0 out of a container that rollgate started.
fn started(kind: Kind, hosts: usize) -> Option<TestLab> {
    let lab = TestLab::on_hosts(kind, hosts)?;
    let engine = engine(kind);
    if kind == Kind::Podman {
        lab.write_inventory(&lab.inventory().set("ssh", "become", quoted("sudo")));
    }
    for host in &lab.hosts {
        let script = format!(
            "systemctl disable --quiet --now shop; rm /opt/shop/current\n\
             echo 'deploy ALL=(root) NOPASSWD: /usr/bin/{engine}' >/etc/sudoers.d/engine"
        );
        lab.exec(host, &script).unwrap();
    }
    for version in [FIRST, "2.0"] {
        pack(&lab, version, &[]);
    }
    let said = lab.deploy_with(&playbook(&lab, kind), FIRST, &["--allow-downtime"]);
    let said = said.expect(0);
    lab.assert_all_on(FIRST, &said);
    Some(lab)
}

/// A fact about the container of a name on a host; empty where there is none.
fn inspect(lab: &TestLab, kind: Kind, host: &LabHost, name: &str, what: &str) -> String {
    let engine = engine(kind);
    let script = format!("{engine} container inspect --format '{what}' {name} 2>/dev/null || true");
    lab.exec(host, &script).unwrap().trim().to_owned()
}

fn ids(lab: &TestLab, kind: Kind) -> Vec<String> {
    let id = |host| inspect(lab, kind, host, NAME, "{{.Id}}");
    lab.hosts.iter().map(id).collect()
}

fn sent(said: &Said) -> u64 {
    let bytes = |event: &Value| event["sent_bytes"].as_u64();
    said.named("host.staged").iter().filter_map(bytes).sum()
}

/// What the hosts' containers are called, with their states, in order.
fn names(lab: &TestLab, kind: Kind, host: &LabHost) -> Vec<String> {
    let engine = engine(kind);
    let script = format!("{engine} ps -a --format '{{{{.Names}}}}' | sort");
    let text = lab.exec(host, &script).unwrap();
    text.lines().map(str::to_owned).collect()
}
