use std::fs;

use proptest::prelude::*;

use super::*;

#[test]
fn every_mistake_of_both_files_and_the_command_line_is_shown_at_once() {
    let inventory = r#"
[ssh]
usr = "deploy"
connect_timeout = 10
become = "sodo"

[hosts."web-[01:02]"]
address = "10.0.0.{{ m }}"
labels = { zone = "a" }

[hosts.web-02]
timeout = "3s"

[groups.web]
hosts = ["wbe-*", "web-3"]

[balancers.edge]
kind = "haproxy"
socket = "/run/haproxy.sock"

[balancers.n]
kind = "nginx"
reload = ["nginx", "-s", "reload"]
"#;
    let playbook = r#"
service = "app one"
hosts = "web,&zoen=a"
on_timeout = "fail"

[release]
kind = "binary"
source = "dist/nope"
root = "/opt/{{ version }}"
keep = 1

[run]
systemd = "app.service"
restart = ["x"]

[[traffic]]
balancer = "edgy"

[strategy]
batch = ["0%", 0, "30"]
soak = "1d"
on_timeout = "fail"
on_failure = "revert"

[ready]
http = "http://127.0.0.1:{{ vars.port }}/ready"
version = { json = "version" }
status = [200, 700]
perod = "1s"

[[hooks]]
at = "before-rolout"
run = "echo {{ host }}"
"#;
    let files = Files::new(inventory, playbook);
    let mut request = files.request();
    request.version = Some("a b".to_owned());
    request.limit = Some("db".to_owned());
    request.vars = vec![("a.b".to_owned(), "c".to_owned())];
    insta::assert_snapshot!(files.findings(&request));
}

#[test]
fn syntax_errors_do_not_hide_what_follows_nor_the_other_file() {
    let playbook = "service = \"app\"\nhosts = web\n[drain]\ntimeot = \"3s\"\n[ready\nhttp = 3\n";
    let files = Files::new("[hosts.web-01]\nadress = \"x\"\n", playbook);
    insta::assert_snapshot!(files.findings(&files.request()));
}

#[test]
fn a_file_that_is_not_there_does_not_hide_the_other_one() {
    let files = Files::new("", &playbook_with("[run]", "[rum]"));
    let mut request = files.request();
    request.inventories = vec![files.path().join("nope.toml")];
    insta::assert_snapshot!(files.findings(&request));
}

#[test]
fn keys_of_later_versions_are_named_and_never_ignored() {
    let playbook = PLAYBOOK.replace("kind = \"binary\"", "kind = \"command\"\nrevert = [\"x\"]");
    let found = titles(INVENTORY, &playbook);
    let later: Vec<&String> = found
        .iter()
        .filter(|title| title.contains("not supported yet"))
        .collect();
    assert_eq!(found.len(), later.len(), "{found:#?}");
    insta::assert_debug_snapshot!(found);
}

#[test]
fn files_that_are_not_toml_are_named() {
    let files = Files::new("", PLAYBOOK);
    fs::write(files.path().join("hosts.ini"), "[web]\nweb1\n").unwrap();
    fs::write(files.path().join("run"), "#!/bin/sh\n").unwrap();
    fs::write(files.path().join("latin.toml"), b"a = 1\n# \xe4\n").unwrap();
    let mut request = files.request();
    for name in ["hosts.ini", "run", "latin.toml"] {
        request.inventories = vec![files.path().join(name)];
        insta::assert_snapshot!(name, files.findings(&request));
    }
}

#[test]
fn color_is_only_where_it_is_wanted() {
    let files = Files::new(INVENTORY, "");
    let findings = load(&files.request()).err().unwrap();
    assert!(findings.render(true).contains('\u{1b}'));
    assert!(!findings.render(false).contains('\u{1b}'));
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let files = Files::new(
        INVENTORY,
        &playbook_with("app.service", "\\u001b[31m{{ x }}"),
    );
    assert!(!files.findings(&files.request()).contains('\u{1b}'));
    let files = Files::new(
        INVENTORY,
        &playbook_with("hosts = \"web-*\"", "hosts = \"\\u001b[2Jx\""),
    );
    assert!(!files.findings(&files.request()).contains('\u{1b}'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[a-z0-9\\[\\]{}=\"'#.,\n -]{0,200}") {
        let files = Files::new(&text, &text);
        fs::write(files.path().join("playbook.toml"), &bytes).unwrap();
        if let Err(findings) = load(&files.request()) {
            prop_assert!(findings.count() > 0);
            prop_assert!(!findings.render(false).is_empty());
        }
    }

    /// A right file with a piece cut out, doubled or overwritten: nearer to what people do than noise.
    #[test]
    fn no_slip_makes_it_panic(at in 0usize..330, length in 0usize..40, put in "[\\[\\]{}=\"'a0% \n]{0,5}", twice in any::<bool>()) {
        let spoil = |text: &str| {
            let start = at.min(text.len());
            let end = (at + length).min(text.len());
            let middle = if twice { text[start..end].repeat(2) } else { put.clone() };
            format!("{}{middle}{}", &text[..start], &text[end..])
        };
        let files = Files::new(&spoil(INVENTORY), &spoil(PLAYBOOK));
        if let Err(findings) = load(&files.request()) {
            prop_assert!(!findings.render(false).is_empty());
        }
    }
}
