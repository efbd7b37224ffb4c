//! The lab itself: what the other tests lean on must be able to fail.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::cli::TestLab;
use crate::support::lab::{Lab, LabHost, wait_until};

/// Puts another release in the place of the one that runs on a host, without any care.
fn replace(lab: &TestLab, host: &LabHost, version: &str) {
    kill_app(host, "-KILL");
    let link = host.home.join("srv/current");
    fs::remove_file(&link).unwrap();
    let release = lab.dir().join("artifacts").join(version);
    std::os::unix::fs::symlink(release, link).unwrap();
    lab.start_app(host).unwrap();
}

fn kill_app(host: &LabHost, signal: &str) {
    let pid = fs::read_to_string(host.home.join("app.pid")).unwrap();
    let done = Command::new("kill")
        .args([signal, pid.trim()])
        .status()
        .unwrap();
    assert!(done.success());
    let exe = format!("/proc/{}/exe", pid.trim());
    assert!(wait_until(Duration::from_secs(5), || fs::metadata(&exe).is_err()));
}

#[test]
fn a_lab_serves_the_first_version_on_every_host() {
    let lab = TestLab::with_balancers(3, 2);
    assert_eq!(lab.versions(), ["1.0"; 3]);
    assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
    Lab::tell(&lab.balancers[1], "set server shop/web-02 state drain").unwrap();
    let out = lab.out_of_traffic().unwrap();
    assert_eq!(out.len(), 1);
    assert!(out[0].starts_with("web-02 in edge-b"), "{out:?}");
    let summary = lab.load().stop().unwrap();
    assert_eq!(summary["failed"], 0, "{summary:#}");
}

#[test]
fn the_load_notices_requests_that_a_killed_application_loses() {
    let lab = TestLab::start(2);
    let load = lab.load();
    // A tenth of the requests take 300 ms, so that now some are in flight.
    kill_app(&lab.hosts[0], "-KILL");
    let summary = load.stop().unwrap();
    assert!(summary["failed"].as_u64() > Some(0), "{summary:#}");
}

#[test]
fn an_application_that_is_asked_to_end_loses_nothing() {
    let lab = TestLab::start(2);
    let load = lab.load();
    Lab::tell(&lab.balancers[0], "set server shop/web-01 state drain").unwrap();
    // Slow requests are still in flight there.
    kill_app(&lab.hosts[0], "-TERM");
    let summary = load.stop().unwrap();
    assert_eq!(summary["failed"], 0, "{summary:#}");
}

#[test]
fn every_misbehaviour_of_the_application_is_seen() {
    let lab = TestLab::start(1);
    let host = &lab.hosts[0];
    for (version, arguments, seen) in [
        (
            "5.1",
            &["--behaviour", "liar", "--claims", "4.9"][..],
            "4.9",
        ),
        ("5.2", &["--behaviour", "errors"], "5.2"),
        ("5.3", &["--behaviour", "slow-start"], "5.3"),
        ("5.4", &["--behaviour", "ignore-term"], "5.4"),
    ] {
        lab.make(version, arguments).unwrap();
        replace(&lab, host, version);
        let is_seen = || Lab::serves(host).as_deref() == Some(seen);
        assert!(wait_until(Duration::from_secs(5), is_seen), "{version}");
    }
    lab.make("6.0", &["--behaviour", "not-ready"]).unwrap();
    replace(&lab, host, "6.0");
    let is_ready = || Lab::serves(host).is_some();
    assert!(!wait_until(Duration::from_secs(1), is_ready));
    lab.make("7.0", &["--behaviour", "flap", "--flap-ms", "200"])
        .unwrap();
    replace(&lab, host, "7.0");
    for state in [true, false, true] {
        let is_in_it = || Lab::serves(host).is_some() == state;
        assert!(wait_until(Duration::from_secs(5), is_in_it));
    }
    lab.make("8.0", &["--behaviour", "crash"]).unwrap();
    replace(&lab, host, "8.0");
    let log = host.home.join("app.log");
    let has_crashed =
        || fs::read_to_string(&log).is_ok_and(|text| text.contains("cannot open the database"));
    assert!(wait_until(Duration::from_secs(5), has_crashed));
}
