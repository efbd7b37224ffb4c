//! Services that are units of systemd: restarted, awaited, and seen when they die.

use super::{shown, with_sudo, with_unit};
use crate::support::cli::TestLab;
use crate::support::lab::Lab;
use crate::support::lab::document::{multiline, quoted};
use crate::support::lab::fleet::Kind;

#[test]
fn a_unit_that_is_there_is_restarted_through_sudo_under_load() {
    let Some((lab, playbook)) = with_sudo(4) else {
        return;
    };
    let load = lab.load();
    let said = lab.deploy(&playbook, "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(summary["versions"]["2.0"].as_u64() > Some(0), "{summary:#}");
    // Nothing of the unit's files was rollgate's business.
    assert!(!Lab::records(&lab.hosts[0]).contains(&"units".to_owned()));
}

#[test]
fn root_and_doas_restart_a_unit_too() {
    let Some(lab) = TestLab::on_hosts(Kind::Systemd, 2) else {
        return;
    };
    let playbook = lab.playbook().set("strategy", "max_unavailable", "1");
    for host in &lab.hosts {
        let rules = "permit nopass deploy as root cmd systemctl args restart shop.service\n\
                     permit nopass deploy as root cmd journalctl\n";
        let script = format!("printf '{rules}' >/etc/doas.conf");
        lab.exec(host, &script).unwrap();
    }
    lab.write_inventory(&lab.inventory().set("ssh", "become", quoted("doas")));
    let said = lab.deploy(&playbook, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    lab.make("2.1", &[]).unwrap();
    for host in &lab.hosts {
        lab.exec(host, "chown -R root: /opt/shop").unwrap();
    }
    lab.write_inventory(&lab.inventory().set("ssh", "user", quoted("root")));
    let said = lab.deploy(&playbook, "2.1").expect(0);
    lab.assert_all_on("2.1", &said);
}

#[test]
fn a_start_that_systemd_waits_for_ends_with_its_notification() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    lab.make("5.0", &["--warmup-ms", "1500"]).unwrap();
    let playbook = with_unit(playbook, "notifying", "Type=notify");
    let said = lab.deploy(&playbook, "5.0").expect(0);
    lab.assert_all_on("5.0", &said);
    for swapped in said.named("host.swapped") {
        assert!(swapped["seconds"].as_f64() > Some(1.4), "{swapped}");
    }
    for ready in said.named("host.ready") {
        assert_eq!(ready["probes"], 1, "{ready}");
    }
    // One that never says so does not start, as its unit has it, and is taken back without a probe.
    lab.make("6.0", &["--behaviour", "not-ready"]).unwrap();
    let limited = with_unit(playbook, "notifying", "Type=notify\nTimeoutStartSec=1");
    let said = lab.deploy(&limited, "6.0").expect(1);
    lab.assert_all_on("5.0", &said);
    let failed = &said.named("host.failed")[0];
    assert_eq!(failed["step"], "swap", "{failed}");
    assert!(said.stdout.contains("systemctl restart shop.service"));
}

#[test]
fn a_unit_that_dies_at_once_is_seen_before_any_probe_with_its_journal() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    lab.make("6.0", &["--behaviour", "crash"]).unwrap();
    for restart in ["no", "always"] {
        // The unit that is there, restarted by systemd or not.
        for host in &lab.hosts {
            let script = format!(
                "sed -i 's/^Restart=.*/Restart={restart}/' /etc/systemd/system/shop.service && systemctl daemon-reload"
            );
            lab.exec(host, &script).unwrap();
        }
        let load = lab.load();
        let said = lab.deploy_with(&playbook, "6.0", &["--again"]).expect(1);
        assert_eq!(load.stop().unwrap()["failed"], 0);
        lab.assert_all_on("1.0", &said);
        assert_eq!(said.finished()["outcome"], "reverted", "{said}");
        let failed = &said.named("host.failed")[0];
        assert_eq!(failed["step"], "swap", "{failed}");
        let text = failed.to_string();
        assert!(text.contains("died right after its start"), "{text}");
        let logs = failed["logs"].to_string();
        assert!(logs.contains("cannot open the database"), "{logs}");
        let probed = said.named("host.probing").len();
        assert_eq!(probed, 0, "{said}");
    }
    // However often it died, the release before was not held off by systemd's own limit.
    assert_eq!(shown(&lab, 0, "ActiveState"), "active");
}

#[test]
fn what_sudo_does_not_allow_is_said_before_anything_is_touched() {
    let Some((lab, playbook)) = with_sudo(1) else {
        return;
    };
    let playbook = playbook.set("strategy", "allow_downtime", "true");
    let only = "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop.service";
    let script = format!("echo '{only}' >/etc/sudoers.d/shop");
    lab.exec(&lab.hosts[0], &script).unwrap();
    let said = lab
        .deploy(&with_unit(playbook.clone(), "mine", ""), "2.0")
        .expect(5);
    for missing in [
        "/usr/bin/systemctl stop shop.service",
        "/usr/bin/install -D -m 0644 /opt/shop/.rollgate/text /etc/systemd/system/shop.service",
        "/usr/bin/systemctl daemon-reload",
    ] {
        assert!(said.stdout.contains(missing), "{missing}: {said}");
    }
    assert_eq!(lab.versions(), ["1.0"]);
    assert!(said.named("host.draining").is_empty());
    // A unit that is nowhere is told as early.
    let other = playbook.set("run", "systemd", quoted("other.service"));
    let said = lab.deploy(&other, "2.0").expect(5);
    assert!(said.stdout.contains("no unit other.service"), "{said}");
}

/// The one line of `check` for all hosts, which is then all that they allow.
fn allow_what_check_says(lab: &TestLab, file: &str, place: &str) {
    let said = lab.rollgate(&["check", file, "--output", "json"]);
    let document = said.document();
    let lines = document["rights"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{said}");
    let line = lines[0]["line"].as_str().unwrap();
    for host in &lab.hosts {
        let script = format!("rm -f {place}; cat >{place} <<'END'\n{line}\nEND\n");
        lab.exec(host, &script).unwrap();
    }
}

#[test]
fn the_line_that_check_prints_is_all_that_sudo_has_to_allow() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    for host in &lab.hosts {
        let nothing = "deploy ALL=(root) NOPASSWD: /bin/true";
        lab.exec(host, &format!("echo '{nothing}' >/etc/sudoers.d/shop"))
            .unwrap();
    }
    let of_unit = with_unit(playbook.clone(), "mine", "");
    let of_unit = of_unit.set("run.resources", "memory_max", quoted("300M"));
    // A command with everything in it that means something to sudo.
    let odd = "echo \"a: b,  c=d * [x] !? # ^ \\\\ 'e'\" >/run/odd\nsystemctl restart shop.service";
    let of_commands = playbook
        .without("run", "systemd")
        .set("run", "restart", multiline(odd));
    for (version, playbook) in [("2.0", of_unit), ("3.0", of_commands)] {
        lab.make(version, &[]).unwrap();
        let file = lab.playbook_file(&playbook);
        let said = lab.rollgate(&["check", &file]).expect(5);
        assert!(said.stdout.contains("sudo does not let deploy"), "{said}");
        // Before anything is drained, too.
        let said = lab.deploy(&playbook, version).expect(5);
        assert!(said.named("host.draining").is_empty(), "{said}");
        assert!(said.stdout.contains("sudo does not let deploy"), "{said}");
        allow_what_check_says(&lab, &file, "/etc/sudoers.d/shop");
        lab.exec(&lab.hosts[0], "chmod 0440 /etc/sudoers.d/shop; visudo -c")
            .unwrap();
        let said = lab.rollgate(&["check", &file]).expect(0);
        let line = "deploy ALL=(root) NOPASSWD: /usr/bin/";
        assert!(said.stdout.contains(line), "{said}");
        let said = lab.deploy(&playbook, version).expect(0);
        lab.assert_all_on(version, &said);
    }
}

#[test]
fn the_lines_that_check_prints_are_all_that_doas_has_to_allow() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    lab.write_inventory(&lab.inventory().set("ssh", "become", quoted("doas")));
    let playbook = with_unit(playbook, "mine", "");
    let file = lab.playbook_file(&playbook);
    allow_what_check_says(&lab, &file, "/etc/doas.conf");
    let said = lab.deploy(&playbook, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
}
