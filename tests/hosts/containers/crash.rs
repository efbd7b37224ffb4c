//! The process is killed at any moment; another one goes on, or back.

use rustix::process::Signal;

use super::*;

fn is_closed(lab: &TestLab, said: &Said) {
    lab.assert_no_locks(said);
    for host in &lab.hosts {
        assert!(
            !host.home.join("srv/.rollgate/rollout.json").exists(),
            "{said}"
        );
    }
}

/// Kills a deploy at some of its events and lets the other command end it.
fn killed(kind: Kind, command: &str) {
    let Some(lab) = started(kind, 2) else { return };
    let before = ids(&lab, kind);
    let places = [
        ("host.staged", 0),
        ("host.drained", 0),
        ("host.swapping", 0),
        ("host.swapped", 0),
        ("host.ready", 1),
    ];
    for (number, (name, skip)) in places.into_iter().enumerate() {
        let version = format!("7.{number}");
        pack(&lab, &version, &[]);
        let playbook = playbook(&lab, kind);
        let load = lab.load();
        let mut seen = 0;
        let running = lab.deploy_until(&playbook, &version, |_, event| {
            seen += u32::from(event["event"] == name);
            seen > skip
        });
        let running = running.unwrap();
        running.signal(Signal::KILL);
        assert_eq!(running.wait().0, -1);
        let file = lab.playbook_file(&playbook);
        let said = lab.rollgate_from(
            "elsewhere",
            &[command, &file, "--take-over", "--output", "json"],
        );
        let summary = load.stop().unwrap();
        let said = said.expect(0);
        assert_eq!(
            summary["failed"], 0,
            "killed at {name}: {summary:#}; {said}"
        );
        is_closed(&lab, &said);
        if command == "resume" {
            lab.assert_all_on(&version, &said);
        } else {
            lab.assert_all_on(FIRST, &said);
            assert_eq!(ids(&lab, kind), before, "killed at {name}; {said}");
        }
    }
}

#[test]
fn docker_is_gone_on_with_after_a_kill() {
    killed(Kind::Docker, "resume");
}

#[test]
fn docker_goes_back_after_a_kill() {
    killed(Kind::Docker, "abort");
}

#[test]
fn podman_is_gone_on_with_after_a_kill() {
    killed(Kind::Podman, "resume");
}

#[test]
fn podman_goes_back_after_a_kill() {
    killed(Kind::Podman, "abort");
}
