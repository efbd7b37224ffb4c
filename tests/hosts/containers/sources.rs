//! Where an image that is sent comes from; and a host that has no room for it.

use std::fs;

use super::*;

#[test]
fn an_oci_archive_is_sent() {
    let kind = Kind::Podman;
    let Some(lab) = started(kind, 2) else { return };
    let host = &lab.hosts[0];
    fs::copy(
        lab.dir().join("dist/shop-2.0.tar"),
        host.home.join("srv/image.tar"),
    )
    .unwrap();
    let script = "set -e; name=$(podman load -q -i /opt/shop/image.tar | sed -n 's/^Loaded image.*: //p')\n\
         podman save -q --format oci-archive -o /opt/shop/oci.tar $name\n\
         podman rmi $name >/dev/null; chmod 644 /opt/shop/oci.tar";
    lab.exec(host, script).unwrap();
    fs::copy(
        host.home.join("srv/oci.tar"),
        lab.dir().join("dist/shop-2.0.tar"),
    )
    .unwrap();
    let said = lab.deploy(&playbook(&lab, kind), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    assert!(
        said.named("host.staged")
            .iter()
            .all(|event| event["sent_bytes"].as_u64() > Some(0)),
        "{said}"
    );
}

#[test]
fn an_image_of_the_engine_here_is_sent() {
    let kind = Kind::Docker;
    let Some(lab) = started(kind, 2) else { return };
    let fleet = lab.fleet.as_ref().unwrap();
    let archive = lab.dir().join("dist/shop-2.0.tar").display().to_string();
    lab.docker(&["load", "-q", "-i", &archive]).unwrap();
    let name = format!("{}:{{{{ version }}}}", fleet.network);
    let playbook = playbook(&lab, kind)
        .without("release", "source")
        .set("release", "image", quoted(&name))
        .set("release", "pull", quoted("push"));
    let file = lab.playbook_file(&playbook);
    let arguments = ["deploy", &file, "--version", "2.0", "--output", "json"];
    let mut command = lab.command("state", &arguments);
    let said = lab.finish(command.env("DOCKER_HOST", fleet.engine.address()));
    lab.docker(&["rmi", &format!("{}:2.0", fleet.network)])
        .unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    // One that is not there is told apart from an engine that is not.
    let arguments = ["deploy", &file, "--version", "2.7", "--output", "json"];
    let mut command = lab.command("state", &arguments);
    let said = lab.finish(command.env("DOCKER_HOST", fleet.engine.address()));
    assert!(said.stderr.contains("pull = \"host\""), "{said}");
    said.expect(5);
}

#[test]
fn a_full_disk_is_said_before_anything_is_drained() {
    let kind = Kind::Docker;
    let Some(lab) = started(kind, 2) else { return };
    let host = &lab.hosts[0];
    // The engine's data on a disk that is too small, with what it had.
    let script = "set -e; systemctl stop docker.socket docker; mount -t tmpfs -o size=24m tmpfs /var/lib/docker; systemctl start docker";
    lab.exec(host, script).unwrap();
    let dir = lab.dir().display();
    assert!(
        fs::metadata(format!("{dir}/dist/shop-2.0.tar"))
            .unwrap()
            .len()
            > 1_000_000
    );
    pack_of(&lab, "3.0", &[], 40);
    let said = lab.deploy(&playbook(&lab, kind), "3.0").expect(5);
    assert!(
        said.stdout.contains("not enough space in /var/lib/docker"),
        "{said}"
    );
    assert_eq!(said.named("host.draining").len(), 0, "{said}");
}
