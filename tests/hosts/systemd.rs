//! Services that are units of systemd.

use crate::support::cli::TestLab;
use crate::support::lab::document::{Document, quoted};
use crate::support::lab::fleet::Kind;

/// The lab's playbook, for the SSH user with sudo.
fn with_sudo(lab: &TestLab) -> Document {
    let inventory = lab.inventory().set("ssh", "become", quoted("sudo"));
    lab.write_inventory(&inventory);
    lab.playbook()
}

#[test]
fn a_unit_that_is_there_is_restarted_through_sudo_under_load() {
    let Some(lab) = TestLab::on_hosts(Kind::Systemd, 4) else {
        return;
    };
    let load = lab.load();
    let said = lab.deploy(&with_sudo(&lab), "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(summary["versions"]["2.0"].as_u64() > Some(0), "{summary:#}");
}
