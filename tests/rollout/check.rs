//! `check`: everything that would be in the way, at once, and nothing is touched.

use std::fs;

use serde_json::Value;

use crate::support::cli::{Said, TestLab};
use crate::support::lab::document::Document;

fn check(lab: &TestLab, playbook: &Document) -> Said {
    let file = lab.playbook_file(playbook);
    lab.rollgate(&["check", &file, "--output", "json"])
}

fn findings(said: &Said, severity: &str) -> Vec<Value> {
    let findings = said.document()["findings"].as_array().unwrap().clone();
    let is_such = |finding: &Value| finding["severity"] == severity;
    findings.into_iter().filter(is_such).collect()
}

#[test]
fn a_fleet_that_is_well_has_no_findings() {
    let lab = TestLab::start(3);
    let said = check(&lab, &lab.playbook()).expect(0);
    assert_eq!(said.document()["findings"], serde_json::json!([]), "{said}");
    lab.assert_untouched(&said);
    let file = lab.playbook_file(&lab.playbook());
    let said = lab.rollgate(&["check", &file]).expect(0);
    assert!(said.stdout.contains("nothing is in the way"), "{said}");
}

#[test]
fn all_that_is_in_the_way_is_named_at_once_with_what_to_do() {
    let lab = TestLab::start(3);
    // A socket that may only be read, a server that is not there, a dead service.
    lab.reload("edge-a", |text| {
        text.replace("level admin", "level operator")
            .replace("server web-02 ", "server web-two ")
    })
    .unwrap();
    let pid = fs::read_to_string(lab.hosts[2].home.join("app.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let said = check(&lab, &lab.playbook()).expect(5);
    let errors = findings(&said, "error");
    let of = |key: &str, name: &str| -> Vec<Value> {
        let errors = errors.iter().filter(|finding| finding[key] == name);
        errors.cloned().collect()
    };
    let permission = of("balancer", "edge-a");
    assert_eq!(permission.len(), 1, "{said}");
    assert!(
        permission[0]["what"]
            .as_str()
            .unwrap()
            .contains("`operator`")
    );
    assert!(
        permission[0]["what"].to_string().contains("level admin")
            || permission[0]["mend"].to_string().contains("level admin")
    );
    assert!(
        of("host", "web-02")[0]["what"]
            .as_str()
            .unwrap()
            .contains("no server")
    );
    let warnings = findings(&said, "warning");
    assert!(
        warnings.iter().any(|finding| finding["host"] == "web-03"),
        "{said}"
    );
}

#[test]
fn a_lock_in_the_way_is_four() {
    let lab = TestLab::start(2);
    let file = lab.playbook_file(&lab.playbook());
    lab.rollgate(&["lock", &file, "-m", "hands off"]).expect(0);
    let said = check(&lab, &lab.playbook()).expect(4);
    assert!(
        findings(&said, "error")[0]["what"]
            .to_string()
            .contains("hands off"),
        "{said}"
    );
}
