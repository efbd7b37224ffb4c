//! Files that are rendered for each host, and the secrets in them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::is;
use crate::support::cli::{Said, TestLab};
use crate::support::lab::document::Document;

const FILES: &str = "
[[release.files]]
source = \"app.env.j2\"
path = \"conf/app.env\"
mode = \"0640\"
";

fn template(lab: &TestLab, text: &str) {
    fs::write(lab.dir().join("app.env.j2"), text).unwrap();
}

fn playbook(lab: &TestLab) -> Document {
    lab.playbook().and(FILES)
}

fn sent(said: &Said) -> u64 {
    let staged = said.named("host.staged");
    staged
        .iter()
        .filter_map(|event| event["sent_bytes"].as_u64())
        .sum()
}

fn texts(lab: &TestLab) -> Vec<String> {
    let file = |host: &crate::support::lab::LabHost| {
        fs::read_to_string(host.home.join("srv/current/conf/app.env")).unwrap_or_default()
    };
    lab.hosts.iter().map(file).collect()
}

#[test]
fn a_changed_file_is_a_new_revision_that_sends_nothing_and_is_undone_with_the_old_file() {
    let lab = TestLab::start(3);
    template(
        &lab,
        "HOST={{ host }}\nDIR={{ release_dir }} {{ revision }}\n",
    );
    let said = lab.deploy(&playbook(&lab), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    let root = lab.hosts[1].home.join("srv");
    let text = format!("HOST=web-02\nDIR={}/releases/1-2.0 1\n", root.display());
    assert_eq!(texts(&lab)[1], text);
    let mode = fs::metadata(root.join("current/conf/app.env"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    // The number in it is no change.
    let said = lab.deploy(&playbook(&lab), "2.0").expect(0);
    assert!(said.named("host.draining").is_empty(), "{said}");
    template(&lab, "NEW={{ host }}\n");
    let said = lab.deploy(&playbook(&lab), "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(
        texts(&lab),
        ["NEW=web-01\n", "NEW=web-02\n", "NEW=web-03\n"]
    );
    assert_eq!(sent(&said), 0, "{said}");
    assert_eq!(said.named("rollout.planned")[0]["revision"], 2, "{said}");
    fs::remove_file(lab.dir().join("app.env.j2")).unwrap();
    let file = lab.playbook_file(&playbook(&lab));
    let said = lab.rollgate(&["undo", &file, "--output", "json"]).expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(texts(&lab)[1], text);
}

#[test]
fn an_undo_on_a_host_that_never_had_the_revision_asks_what_it_was_elsewhere() {
    let lab = TestLab::start(3);
    template(&lab, "A={{ host }}\n");
    lab.make("3.0", &[]).unwrap();
    lab.deploy(&playbook(&lab), "2.0").expect(0);
    // From then on there are no files, and one host is new.
    lab.deploy(&lab.playbook(), "3.0").expect(0);
    let root = lab.hosts[2].home.join("srv");
    fs::remove_dir_all(root.join("releases/1-2.0")).unwrap();
    let lines = root.join(".rollgate/revisions.jsonl");
    let text = fs::read_to_string(&lines).unwrap();
    let is_newer = |line: &&str| !line.contains("\"revision\":1,");
    let newer: Vec<&str> = text.lines().filter(is_newer).collect();
    fs::write(&lines, format!("{}\n", newer.join("\n"))).unwrap();
    let file = lab.playbook_file(&lab.playbook());
    let said = lab.rollgate(&["undo", &file, "--output", "json"]).expect(5);
    assert!(said.named("host.draining").is_empty(), "{said}");
    let reasons = said.finished()["reasons"].to_string();
    assert!(
        reasons.contains("web-03") && reasons.contains("is not known"),
        "{said}"
    );
    lab.assert_all_on("3.0", &said);
}

#[test]
fn a_rollout_with_files_that_was_killed_is_resumed_but_not_with_other_files() {
    let lab = TestLab::start(4);
    template(&lab, "A={{ host }}\n");
    let book = playbook(&lab);
    let running = lab.deploy_until(&book, "2.0", is("host.swapped")).unwrap();
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    let file = lab.playbook_file(&book);
    template(&lab, "B={{ host }}\n");
    lab.rollgate(&["resume", &file, "--output", "json"])
        .expect(5);
    template(&lab, "A={{ host }}\n");
    let said = lab
        .rollgate(&["resume", &file, "--output", "json"])
        .expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(texts(&lab)[3], "A=web-04\n");
}

const SECRETS: [&str; 3] = ["mark3r-env-7f1c", "mark3r'file \"$x", "mark3r/cmd+9z=="];

fn with_secrets(lab: &TestLab) -> Document {
    fs::write(lab.dir().join("secret.txt"), format!("{}\n", SECRETS[1])).unwrap();
    // No argument holds it: the user's own command lines are the user's.
    fs::write(lab.dir().join("vault.txt"), SECRETS[2]).unwrap();
    template(
        lab,
        "A={{ secret('ONE') }}\nB={{ secret('TWO') }}\nC={{ secret('THREE') }}\n",
    );
    let print = format!(
        "cat {0}/hosts/{{{{ host }}}}/srv/current/conf/app.env {0}/hosts/{{{{ host }}}}/srv/releases/*/conf/app.env",
        lab.dir().display()
    );
    playbook(lab)
        .set("run", "logs", format!("'''{print}'''"))
        .and(
            "[secrets]\nONE = { env = \"LAB_SECRET\" }\nTWO = { file = \"secret.txt\" }\nTHREE = { run = [\"cat\", \"vault.txt\"] }
[[hooks]]\nat = \"after-swap\"\non = \"host\"\nrun = \"cat conf/app.env; cat conf/app.env >&2\"
[[hooks]]\nat = \"before-rollout\"\nrun = \"base64 <secret.txt; cat vault.txt; echo\""
        )
}

/// Every command line of this machine, until told to stop.
fn watch_processes(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeSet<String>> {
    std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                if !line.is_empty() {
                    seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                }
            }
        }
        seen
    })
}

/// Files below a folder that hold any of the secrets.
fn holders(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            holders(&path, found);
        } else if entry.file_type().unwrap().is_file() {
            let text = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text);
            if text.contains("mark3r") || text.contains("bWFyazNy") {
                found.push(path);
            }
        }
    }
}

/// Asserts that no command line of this machine held a secret.
fn assert_in_no_command_line(
    stop: &AtomicBool,
    watching: std::thread::JoinHandle<BTreeSet<String>>,
) {
    stop.store(true, Ordering::Relaxed);
    let lines = watching.join().unwrap();
    assert!(
        lines.iter().any(|line| line.contains("rollgate")),
        "nothing was watched"
    );
    let seen: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("mark3r"))
        .collect();
    assert_eq!(seen, Vec::<&String>::new());
}

/// Asserts that of all files of the lab only those of the user and of the releases hold a secret, and not for everybody.
fn assert_in_no_other_file(lab: &TestLab) {
    let mut found = Vec::new();
    holders(lab.dir(), &mut found);
    let of_user = ["secret.txt", "vault.txt"].map(|name| lab.dir().join(name));
    for path in found.iter().filter(|path| !of_user.contains(path)) {
        let path_text = path.display().to_string();
        assert!(
            path_text.contains("/srv/releases/") && path_text.ends_with("/conf/app.env"),
            "{path_text}"
        );
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{path_text}");
    }
}

#[test]
fn a_secret_is_nowhere_but_in_its_files() {
    let lab = TestLab::start(2);
    let book = with_secrets(&lab);
    lab.make("3.0", &["--behaviour", "not-ready"]).unwrap();
    let file = lab.playbook_file(&book.set("ready", "deadline", "\"1s\""));
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch_processes(Arc::clone(&stop));
    let mut said = Vec::new();
    // A good one, one that fails and shows its logs, and what looks at them.
    for (arguments, code) in [
        (vec!["plan", &file, "--version", "2.0"], 0),
        (
            vec!["deploy", &file, "--version", "2.0", "--output", "json"],
            0,
        ),
        (
            vec!["deploy", &file, "--version", "3.0", "-v", "-v", "-v"],
            1,
        ),
        (
            vec![
                "deploy",
                &file,
                "--version",
                "3.0",
                "--again",
                "--output",
                "json",
            ],
            1,
        ),
        (vec!["history", &file, "--output", "json"], 0),
        (vec!["status", &file], 0),
    ] {
        let mut command = lab.command("state", &arguments);
        command.env("LAB_SECRET", SECRETS[0]);
        said.push(lab.finish(&mut command).expect(code));
    }
    assert_in_no_command_line(&stop, watching);
    for said in &said {
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(
            !all.contains("mark3r") && !all.contains("bWFyazNy"),
            "{said}"
        );
    }
    // They were printed by hooks and by what shows logs, and masked.
    assert!(said[1].stdout.contains("A=***"), "{}", said[1]);
    assert!(said[3].stdout.contains("B=***"), "{}", said[3]);
    assert_in_no_other_file(&lab);
    let text = format!("A={}\nB={}\nC={}\n", SECRETS[0], SECRETS[1], SECRETS[2]);
    assert_eq!(texts(&lab), [text.clone(), text]);
    for host in &lab.hosts {
        for name in ["revisions.jsonl", "rollouts.jsonl"] {
            let record = host.home.join("srv/.rollgate").join(name);
            let mode = fs::metadata(record).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

#[test]
fn plan_shows_what_changes_in_the_files_and_no_secret() {
    let lab = TestLab::start(2);
    let book = with_secrets(&lab);
    let run = |command: &str, secret: &str, more: &[&str]| {
        let file = lab.playbook_file(&book);
        let mut arguments = vec![command, &file, "--version", "2.0"];
        arguments.extend(more);
        lab.finish(lab.command("state", &arguments).env("LAB_SECRET", secret))
    };
    let said = run("plan", SECRETS[0], &["--diff"]).expect(0);
    assert!(
        said.stdout.contains("web-01, web-02:\n--- conf/app.env"),
        "{said}"
    );
    assert!(said.stdout.contains("+A=***\n+B=***"), "{said}");
    run("deploy", SECRETS[0], &["--output", "json"]).expect(0);
    let said = run("plan", SECRETS[0], &["--diff"]).expect(0);
    assert!(!said.stdout.contains("conf/app.env"), "{said}");
    let said = run("plan", "mark3r-rotated", &["--diff"]).expect(0);
    assert!(
        said.stdout.contains("only a secret in it changes"),
        "{said}"
    );
    assert!(!said.to_string().contains("mark3r"), "{said}");
    template(&lab, "A={{ secret('ONE') }}\nD={{ host }}\n");
    let said = run("plan", "mark3r-rotated", &["--diff", "--output", "json"]).expect(0);
    let diff = said.document()["hosts"][1]["files"][0]["diff"].to_string();
    assert!(
        diff.contains("+D=web-02") && diff.contains("-B=***"),
        "{said}"
    );
    assert!(!said.to_string().contains("mark3r"), "{said}");
}

#[test]
fn a_secret_that_is_not_there_is_told_before_anything_is_contacted() {
    let lab = TestLab::start(2);
    let book = with_secrets(&lab);
    let said = lab.deploy(&book, "2.0").expect(2);
    assert!(said.stderr.contains("LAB_SECRET) is not set"), "{said}");
    lab.assert_untouched(&said);
    // What neither sends nor compares files does not ask for it.
    let file = lab.playbook_file(&book);
    lab.rollgate(&["status", &file]).expect(0);
}
