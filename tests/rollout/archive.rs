//! Releases that are archives: unpacked beside what runs, proven, reverted and resumed as a binary is.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use super::is;
use crate::support::cli::{Said, TestLab};
use crate::support::lab::document::{Document, quoted};
use crate::support::lab::{FIRST, Lab};

/// Packs the application of `version` with some files beside it.
fn pack(lab: &TestLab, version: &str) {
    let script = format!(
        "mkdir -p shop-{version}/conf shop-{version}/log && cp app shop-{version}/ && echo {version} >shop-{version}/conf/version
         ln -sf conf/version shop-{version}/VERSION && tar -czf shop.tar.gz shop-{version}"
    );
    in_artifacts(lab, version, &script);
}

fn in_artifacts(lab: &TestLab, version: &str, script: &str) {
    let folder = lab.dir().join("artifacts").join(version);
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .status();
    assert!(done.unwrap().success(), "{script}");
}

fn playbook(lab: &TestLab) -> Document {
    lab.playbook()
        .set("release", "kind", quoted("archive"))
        .set(
            "release",
            "source",
            quoted("artifacts/{{ version }}/shop.tar.gz"),
        )
        .set("release", "shared", "[\"log\"]")
}

fn start(hosts: usize) -> TestLab {
    let lab = TestLab::start(hosts);
    pack(&lab, "2.0");
    lab
}

fn sent(said: &Said) -> u64 {
    let staged = said.named("host.staged");
    staged
        .iter()
        .filter_map(|event| event["sent_bytes"].as_u64())
        .sum()
}

#[test]
fn an_archive_is_rolled_undone_and_rolled_again_without_a_failed_request() {
    let lab = start(4);
    lab.make("4.0", &[]).unwrap();
    pack(&lab, "4.0");
    let load = lab.load();
    let said = lab.deploy(&playbook(&lab), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    for host in &lab.hosts {
        let at = host.home.join("srv/current");
        assert_eq!(fs::read_to_string(at.join("VERSION")).unwrap(), "2.0\n");
        let log = fs::read_link(at.join("log")).unwrap();
        assert_eq!(log.to_str(), Some("../../shared/log"));
        fs::write(at.join("log/kept"), "x").unwrap();
    }
    let said = lab.deploy(&playbook(&lab), "2.0").expect(0);
    assert!(said.named("host.draining").is_empty(), "{said}");
    let said = lab.deploy(&playbook(&lab), "4.0").expect(0);
    lab.assert_all_on("4.0", &said);
    assert!(lab.hosts[0].home.join("srv/current/log/kept").is_file());
    // The archive of then is gone: what lies on the hosts is enough.
    fs::remove_file(lab.dir().join("artifacts/2.0/shop.tar.gz")).unwrap();
    let file = lab.playbook_file(&playbook(&lab));
    let said = lab.rollgate(&["undo", &file, "--output", "json"]).expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(sent(&said), 0, "{said}");
    let summary = load.stop().unwrap();
    assert_eq!(summary["failed"], 0, "{summary:#}");
}

#[test]
fn a_bad_archive_is_reverted_to_the_one_before() {
    let lab = start(3);
    lab.deploy(&playbook(&lab), "2.0").expect(0);
    lab.make("3.0", &["--behaviour", "not-ready"]).unwrap();
    pack(&lab, "3.0");
    let slow = playbook(&lab).set("ready", "deadline", quoted("1500ms"));
    let load = lab.load();
    let said = lab.deploy(&slow, "3.0").expect(1);
    let summary = load.stop().unwrap();
    lab.assert_all_on("2.0", &said);
    assert_eq!(summary["failed"], 0, "{summary:#}; {said}");
    assert_eq!(said.finished()["outcome"], "reverted", "{said}");
}

#[test]
fn an_archive_that_climbs_out_is_refused_before_anything_is_contacted() {
    let lab = start(2);
    for (script, word) in [
        ("tar -cPzf shop.tar.gz app ../2.0/app", "leads out"),
        ("ln -s /etc out; tar -czf shop.tar.gz app out", "leads out"),
        ("ln -f app hard; tar -czf shop.tar.gz app hard", "hard link"),
        (
            "head -c 50000 shop.tar.gz >cut; mv cut shop.tar.gz",
            "cannot read",
        ),
    ] {
        in_artifacts(&lab, "2.0", script);
        let plan = lab.plan(&playbook(&lab), "2.0").expect(5);
        assert!(plan.stderr.contains(word), "{script}: {plan}");
        let said = lab.deploy(&playbook(&lab), "2.0").expect(5);
        assert!(said.stderr.contains(word), "{script}: {said}");
        lab.assert_untouched(&said);
    }
}

#[test]
fn a_host_without_room_refuses_before_any_drain() {
    let lab = start(2);
    // Small in flight, large on a disk.
    in_artifacts(
        &lab,
        "2.0",
        "truncate -s 60M holes; tar -cf - app holes | gzip -1 >shop.tar.gz; rm holes",
    );
    let root = lab.hosts[0].home.join("srv");
    fs::create_dir_all(root.join("releases")).unwrap();
    let full = root.join("releases");
    let aside = root.join("aside");
    fs::rename(&full, &aside).unwrap();
    fs::create_dir(&full).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(&full)
        .status();
    if !mounted.unwrap().success() {
        eprintln!("skipped: no tmpfs");
        return;
    }
    let copied = Command::new("cp")
        .args(["-a", &format!("{}/.", aside.display())])
        .arg(&full)
        .status();
    assert!(copied.unwrap().success());
    let said = lab.deploy(&playbook(&lab), "2.0");
    let left = Lab::releases(&lab.hosts[0]);
    let unmounted = Command::new("umount").args(["-l"]).arg(&full).status();
    assert!(unmounted.unwrap().success());
    let said = said.expect(5);
    assert!(said.to_string().contains("KiB are free"), "{said}");
    assert!(said.named("host.draining").is_empty(), "{said}");
    assert_eq!(left, ["20260101120000"], "{said}");
}

#[test]
fn a_rollout_of_an_archive_that_was_killed_is_resumed_or_aborted_without_its_source() {
    for (command, version) in [("resume", "2.0"), ("abort", FIRST)] {
        let lab = start(4);
        let book = playbook(&lab);
        let running = lab.deploy_until(&book, "2.0", is("host.swapped")).unwrap();
        running.signal(Signal::KILL);
        running.wait();
        fs::remove_file(lab.dir().join("artifacts/2.0/shop.tar.gz")).unwrap();
        let file = lab.playbook_file(&book);
        let said = lab.rollgate_from("elsewhere", &[command, &file, "--output", "json"]);
        let said = said.expect(0);
        lab.assert_all_on(version, &said);
    }
}

#[test]
fn what_was_cut_while_staging_is_sent_whole_by_the_next_run() {
    let lab = start(3);
    let book = playbook(&lab);
    let running = lab.deploy_until(&book, "2.0", is("host.staged")).unwrap();
    running.signal(Signal::KILL);
    running.wait();
    let file = lab.playbook_file(&book);
    let said = lab
        .rollgate(&["resume", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
}
