//! A rollout that is cut off between writing a unit and the end of its start.

use std::time::Duration;

use rustix::process::Signal;

use super::{shown, with_sudo, with_unit};
use crate::support::cli::TestLab;
use crate::support::lab::document::Document;
use crate::support::lab::wait_until;

/// A unit whose start takes longer than the test needs to kill rollgate.
fn slow(playbook: Document) -> Document {
    with_unit(playbook, "slow", "ExecStartPre=/bin/sleep 3")
}

/// Deploys 2.0 and kills rollgate when the first host has its new unit, and is still starting it.
fn kill_between(lab: &TestLab, playbook: &Document) {
    let rollgate = lab
        .deploy_until(playbook, "2.0", |_, event| {
            event["event"] == "host.swapping"
        })
        .unwrap();
    let begun = wait_until(Duration::from_secs(10), || {
        shown(lab, 0, "SubState") == "start-pre"
    });
    assert!(begun);
    rollgate.signal(Signal::KILL);
    assert_eq!(rollgate.wait().0, -1);
    assert_eq!(shown(lab, 0, "Description"), "slow of web-01");
}

#[test]
fn a_killed_rollout_with_a_new_unit_is_gone_on_with() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    let playbook = slow(playbook);
    kill_between(&lab, &playbook);
    // The host itself loses its power in the middle of the start.
    let container = lab.fleet.as_ref().unwrap().container(&lab.hosts[0]);
    lab.docker(&["kill", "-s", "KILL", &container]).unwrap();
    lab.docker(&["start", &container]).unwrap();
    let up = || lab.exec(&lab.hosts[0], "systemctl is-active ssh").is_ok();
    assert!(wait_until(Duration::from_secs(20), up));
    let file = lab.playbook_file(&playbook);
    let said = lab
        .rollgate(&["resume", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
    for number in 0..2 {
        let mark = format!("slow of web-0{}", number + 1);
        assert_eq!(shown(&lab, number, "Description"), mark);
        assert_eq!(shown(&lab, number, "NeedDaemonReload"), "no");
    }
}

#[test]
fn a_killed_rollout_with_a_new_unit_is_taken_back() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    let before = lab
        .exec(&lab.hosts[0], "cat /etc/systemd/system/shop.service")
        .unwrap();
    let playbook = slow(playbook);
    kill_between(&lab, &playbook);
    let file = lab.playbook_file(&playbook);
    let said = lab
        .rollgate(&["abort", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("1.0", &said);
    let after = lab
        .exec(&lab.hosts[0], "cat /etc/systemd/system/shop.service")
        .unwrap();
    assert_eq!(after, before);
    assert_eq!(shown(&lab, 0, "Description"), "shop");
}
