//! The unit and its limits belong to a revision, and come back with it.

use super::{reloads, shown, with_sudo, with_unit};
use crate::support::cli::TestLab;
use crate::support::lab::document::{Document, quoted};

fn limited(playbook: Document, memory: &str) -> Document {
    playbook
        .set("run.resources", "memory_max", quoted(memory))
        .set("run.resources", "cpu_quota", quoted("50%"))
}

/// What systemd has loaded on both hosts: description, limit.
fn loaded(lab: &TestLab) -> Vec<(String, String)> {
    (0..lab.hosts.len())
        .map(|host| {
            (
                shown(lab, host, "Description"),
                shown(lab, host, "MemoryMax"),
            )
        })
        .collect()
}

fn both(mark: &str, limit: &str) -> Vec<(String, String)> {
    (1..=2)
        .map(|host| (format!("{mark} of web-0{host}"), limit.to_owned()))
        .collect()
}

#[test]
fn a_unit_changes_with_its_release_and_comes_back_with_a_revert_and_an_undo() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    let found = loaded(&lab);
    let second = limited(with_unit(playbook.clone(), "second", ""), "256M");
    let said = lab.deploy(&second, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(loaded(&lab), both("second", "268435456"));
    assert_eq!(shown(&lab, 0, "CPUQuotaPerSecUSec"), "500ms");
    assert_eq!(shown(&lab, 0, "NeedDaemonReload"), "no");

    // A release that fails takes its unit away with it.
    lab.make("3.0", &["--behaviour", "not-ready"]).unwrap();
    let third = limited(with_unit(playbook.clone(), "third", ""), "128M");
    let said = lab.deploy(&third, "3.0").expect(1);
    lab.assert_all_on("2.0", &said);
    assert_eq!(loaded(&lab), both("second", "268435456"));

    // The same version with another unit is another revision, and the limit goes with the key.
    let load = lab.load();
    let other = with_unit(playbook.clone(), "other", "");
    let said = lab.deploy(&other, "2.0").expect(0);
    assert_eq!(load.stop().unwrap()["failed"], 0);
    assert_eq!(said.named("host.swapped").len(), 2, "{said}");
    assert_eq!(loaded(&lab), both("other", "infinity"));

    // Back to each revision before, whatever the playbook says now.
    let file = lab.playbook_file(&limited(with_unit(playbook, "now", ""), "1G"));
    let undo = ["undo", &file, "--output", "json"];
    lab.rollgate(&undo).expect(0);
    assert_eq!(loaded(&lab), both("second", "268435456"));
    let said = lab.rollgate(&undo).expect(0);
    lab.assert_all_on("1.0", &said);
    assert_eq!(loaded(&lab), found);
    let drop_in = "ls /etc/systemd/system/shop.service.d/ | wc -l";
    assert_eq!(lab.exec(&lab.hosts[0], drop_in).unwrap().trim(), "0");
}

#[test]
fn systemd_reads_its_units_anew_only_when_one_changed() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    let playbook = with_unit(playbook, "same", "");
    let before = reloads(&lab, 0);
    lab.deploy(&playbook, "2.0").expect(0);
    assert_eq!(reloads(&lab, 0), before + 1);
    lab.make("2.1", &[]).unwrap();
    let said = lab.deploy(&playbook, "2.1").expect(0);
    lab.assert_all_on("2.1", &said);
    assert_eq!(reloads(&lab, 0), before + 1);
}

#[test]
fn a_first_release_that_fails_leaves_no_unit_behind() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    for host in &lab.hosts {
        let script = "systemctl disable -q --now shop; rm -rf /etc/systemd/system/shop.service /opt/shop/current /opt/shop/releases\n\
                      systemctl daemon-reload";
        lab.exec(host, script).unwrap();
    }
    lab.make("3.0", &["--behaviour", "not-ready"]).unwrap();
    let playbook = limited(with_unit(playbook, "first", ""), "64M");
    lab.deploy(&playbook, "3.0").expect(1);
    for number in 0..2 {
        assert_eq!(shown(&lab, number, "LoadState"), "not-found");
        assert_eq!(shown(&lab, number, "ActiveState"), "inactive");
    }
    let said = lab.deploy(&playbook, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(loaded(&lab), both("first", "67108864"));
}

#[test]
fn a_template_file_is_the_unit() {
    let Some((lab, playbook)) = with_sudo(2) else {
        return;
    };
    let text = "[Unit]\nDescription={{ service }} {{ version }} in {{ release_dir }}\n[Service]\nUser=deploy\n\
                ExecStart={{ release_dir }}/app serve --listen {{ address }}:{{ vars.port }}\n";
    std::fs::write(lab.dir().join("shop.service.j2"), text).unwrap();
    let playbook = playbook.set("run.unit", "template", quoted("shop.service.j2"));
    let said = lab.deploy(&playbook, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    let description = shown(&lab, 0, "Description");
    assert_eq!(description, "shop 2.0 in /opt/shop/releases/1-2.0");
    // A number and a folder in it do not make a host look changed.
    let again = lab.deploy(&playbook, "2.0").expect(0);
    assert!(again.named("host.swapping").is_empty(), "{again}");
    // What it names and nobody knows is told with its line, before anything.
    std::fs::write(
        lab.dir().join("shop.service.j2"),
        format!("{text}X={{{{ vars.nobody }}}}\n"),
    )
    .unwrap();
    let said = lab.deploy(&playbook, "2.0").expect(2);
    assert!(said.stderr.contains("shop.service.j2:6:6"), "{said}");
}
