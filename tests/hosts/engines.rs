//! The hosts that have a container engine of their own.

use crate::support::cli::TestLab;
use crate::support::lab::fleet::Kind;

/// Makes an image of the shell and its libraries, and runs it.
fn runs_a_container(kind: Kind, engine: &str) {
    let Some(lab) = TestLab::on_hosts(kind, 1) else {
        return;
    };
    let script = format!(
        "set -e\n\
         libraries=$(ldd /bin/sh | grep -o '/[^ ]*')\n\
         tar -c -h -P /bin/sh $libraries | {engine} import - small:1 >/dev/null 2>&1\n\
         {engine} run --rm --memory 64m -p 9000:9000 small:1 /bin/sh -c 'echo ran'"
    );
    assert_eq!(lab.exec(&lab.hosts[0], &script).unwrap(), "ran\n");
}

#[test]
fn docker_runs_on_a_host() {
    runs_a_container(Kind::Docker, "docker");
}

#[test]
fn podman_runs_on_a_host() {
    runs_a_container(Kind::Podman, "podman");
}
