//! What cannot work is refused before anything is touched, and the exit code says who is to mend it.

use std::fs;

use crate::support::cli::TestLab;

#[test]
fn an_unreachable_host_refuses_the_run() {
    let mut lab = TestLab::start(17);
    // The seventeenth host has an sshd of its own.
    lab.lab_mut().stop_sshd(1);
    let said = lab.deploy(&lab.playbook(), "2.0").expect(5);
    lab.assert_untouched(&said);
    assert_eq!(said.finished()["outcome"], "refused");
    assert!(
        format!("{}{}", said.stdout, said.stderr).contains("web-17"),
        "{said}"
    );
}

#[test]
fn an_unreachable_host_is_left_out_where_the_playbook_says_skip() {
    let mut lab = TestLab::start(17);
    lab.lab_mut().stop_sshd(1);
    let playbook = lab
        .playbook()
        .set("strategy", "unreachable", "\"skip\"")
        .set("strategy", "batch", "8")
        .set("strategy", "max_unavailable", "8");
    let said = lab.deploy(&playbook, "2.0").expect(0);
    let mut wanted = vec!["2.0"; 16];
    wanted.push("1.0");
    assert_eq!(lab.versions(), wanted, "{said}");
    assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
    let skipped = said.named("host.skipped");
    assert!(
        skipped.iter().any(|event| event["host"] == "web-17"),
        "{said}"
    );
}

#[test]
fn a_wrong_host_key_refuses_the_run() {
    let lab = TestLab::start(3);
    let known = fs::read_to_string(lab.dir().join("known_hosts")).unwrap();
    let (first, _) = known.split_once('\n').unwrap();
    let client = fs::read_to_string(lab.dir().join("keys/client.pub")).unwrap();
    let name = first.split(' ').next().unwrap();
    let forged: Vec<&str> = client.split_whitespace().take(2).collect();
    let forged = known.replacen(first, &format!("{name} {}", forged.join(" ")), 1);
    assert_ne!(forged, known);
    fs::write(lab.dir().join("known_hosts"), &forged).unwrap();
    let said = lab.deploy(&lab.playbook(), "2.0").expect(5);
    lab.assert_untouched(&said);
    assert!(
        format!("{}{}", said.stdout, said.stderr).contains("known_hosts"),
        "{said}"
    );
    // Nothing was learned either.
    assert_eq!(
        fs::read_to_string(lab.dir().join("known_hosts")).unwrap(),
        forged
    );
}

#[test]
fn an_unknown_server_refuses_the_run() {
    let lab = TestLab::start(3);
    let playbook = lab.playbook().to_string().replace(
        "pool = \"shop\"",
        "pool = \"shop\"\nserver = \"no-{{ host }}\"",
    );
    fs::write(lab.dir().join("odd.toml"), playbook).unwrap();
    let said = lab
        .rollgate(&["deploy", "odd.toml", "--version", "2.0", "--output", "json"])
        .expect(5);
    lab.assert_untouched(&said);
    assert!(
        format!("{}{}", said.stdout, said.stderr).contains("no-web-01"),
        "{said}"
    );
}

#[test]
fn an_unknown_pool_refuses_the_run() {
    let lab = TestLab::start(3);
    let playbook = lab
        .playbook()
        .to_string()
        .replace("pool = \"shop\"", "pool = \"shed\"");
    fs::write(lab.dir().join("odd.toml"), playbook).unwrap();
    let said = lab
        .rollgate(&["deploy", "odd.toml", "--version", "2.0", "--output", "json"])
        .expect(5);
    lab.assert_untouched(&said);
    assert!(
        format!("{}{}", said.stdout, said.stderr).contains("shed"),
        "{said}"
    );
}

#[test]
fn a_socket_that_nobody_listens_on_refuses_the_run() {
    let lab = TestLab::start(3);
    let nowhere = format!("\"unix://{}/nowhere.sock\"", lab.dir().display());
    lab.write_inventory(&lab.inventory().set("balancers.edge-a", "socket", nowhere));
    let said = lab.deploy(&lab.playbook(), "2.0").expect(5);
    lab.assert_untouched(&said);
    assert!(
        format!("{}{}", said.stdout, said.stderr).contains("edge-a"),
        "{said}"
    );
}

#[test]
fn mistakes_of_both_files_are_shown_at_once_and_nothing_is_contacted() {
    let lab = TestLab::start(3);
    lab.write_inventory(&lab.inventory().set("ssh", "usr", "\"root\""));
    let playbook =
        lab.playbook()
            .set("ready", "peroid", "\"50ms\"")
            .set("drain", "timeout", "\"5 parsecs\"");
    let said = lab.deploy(&playbook, "2.0").expect(2);
    lab.assert_untouched(&said);
    for word in ["usr", "peroid", "period", "5 parsecs", "test.toml"] {
        assert!(said.stderr.contains(word), "{word} is missing; {said}");
    }
    assert!(!said.stdout.contains("rollout.started"), "{said}");
}

#[test]
fn a_missing_artifact_is_a_mistake_of_the_command_line() {
    let lab = TestLab::start(3);
    let said = lab.deploy(&lab.playbook(), "9.9").expect(2);
    lab.assert_untouched(&said);
    assert!(said.stderr.contains("artifacts/9.9/app"), "{said}");
}

#[test]
fn a_pool_of_one_is_not_emptied() {
    let lab = TestLab::start(1);
    let said = lab
        .deploy(
            &lab.playbook().set("strategy", "max_unavailable", "1"),
            "2.0",
        )
        .expect(5);
    lab.assert_untouched(&said);
}
