//! The texts of the scripts themselves.

use std::io::Write as _;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

use proptest::prelude::*;
use rollgate::far::errands::{Errand, Errands};
use rollgate::far::fetch::Fetch;
use rollgate::far::finish::{Finish, RecordFate, WriteRecord};
use rollgate::far::look::{BreakLock, Look, Renew, Wish};
use rollgate::far::rights::Prepare;
use rollgate::far::run::{HookRun, Logs};
use rollgate::far::stage::Stage;
use rollgate::far::swap::Swap;
use rollgate::far::{Answer, Site};
use rollgate::model::{
    Artifact, Become, Command, Form, LockToken, Overlay, Restart, Revision, Run, Unit, UnitFiles,
};

use super::stage::release_file;
use super::{Lab, owner, record, release_at, rollout, service, sha_of};

fn site(root: &str) -> Site {
    Site {
        root: root.to_owned(),
        r#become: Become::Sudo,
        rollout: rollout(),
        token: LockToken::new("a1").unwrap(),
    }
}

/// Every script, with arguments that use all of it.
#[expect(clippy::too_many_lines, reason = "a flat table")]
fn scripts(site: &Site) -> Vec<(&'static str, Arc<str>)> {
    let lab = &Lab::both()[0];
    let (owner, record, artifact) = (owner("a1"), record(), lab.artifact(b"x"));
    let release = release_at(&std::path::Path::new(&site.root).join("releases/1-a"));
    let run = service("echo it\\'s up", "true");
    let overlay = Overlay {
        shared: vec!["log".to_owned(), "data/up loads".to_owned()],
        files: vec![release_file("conf/a file", "it's $HOME\n", Some("app:app"))],
    };
    let stage = Stage {
        release: &release,
        artifact: &artifact,
        candidates: &["0-z".to_owned()],
        overlay: Some(&overlay),
    };
    let tree = Artifact {
        form: Form::Tree(None),
        ..artifact.clone()
    };
    let of_tree = Stage {
        artifact: &tree,
        ..stage
    };
    let sha = sha_of(b"x");
    let swap = Swap {
        to: Some(&release),
        leaving: Some(&run),
        entering: &run,
        record: &record,
        expect: Some(("app", &sha)),
    };
    let unit_run = Run {
        restart: Restart::Systemd(Unit {
            files: UnitFiles::Rendered {
                text: Some("[Service]\nExecStart=/it's\n".to_owned()),
                drop_in: Some("[Service]\nMemoryMax=1G\n".to_owned()),
            },
            ..Unit::named("app.service")
        }),
        ..run.clone()
    };
    let env = [("ROLLGATE_X".to_owned(), "y".to_owned())];
    let command = Command::Argv(vec!["true".to_owned()]);
    let hook = HookRun {
        dir: "/",
        command: &command,
        env: &env,
        timeout: std::time::Duration::from_secs(1),
    };
    let finish = Finish {
        revisions: None,
        rollout: None,
        record: RecordFate::Put(&record),
        prune: &["0-z".to_owned()],
        release_lock: true,
    };
    let take_over = Look {
        wish: Wish::TakeOver(&owner, "owner.x.y"),
    };
    vec![
        ("inspect", take_over.script(site).unwrap()),
        ("renew", Renew.script(site).unwrap()),
        (
            "break_lock",
            BreakLock { seen: "owner.x.y" }.script(site).unwrap(),
        ),
        (
            "record",
            WriteRecord { record: &record }.script(site).unwrap(),
        ),
        ("stage_check", stage.check_script(site).unwrap()),
        ("stage_upload", stage.upload_script(site).unwrap()),
        ("stage_tree_check", of_tree.check_script(site).unwrap()),
        ("stage_tree_upload", of_tree.upload_script(site).unwrap()),
        ("swap", swap.script(site).unwrap()),
        (
            "swap of a unit",
            Swap {
                entering: &unit_run,
                ..swap
            }
            .script(site)
            .unwrap(),
        ),
        (
            "prepare",
            Prepare {
                run: &unit_run,
                revision: Revision(1),
            }
            .script(site)
            .unwrap()
            .unwrap(),
        ),
        ("hook", hook.script(site).unwrap()),
        (
            "logs",
            Logs {
                run: &run,
                lines: 5,
            }
            .script(site)
            .unwrap(),
        ),
        (
            "fetch",
            Fetch {
                file: "/opt/app/a file",
                number: 3,
            }
            .script(site)
            .unwrap(),
        ),
        ("errands", errands(site).script().unwrap()),
        ("finish", finish.script(site).unwrap()),
    ]
}

/// Every errand there is. The file is one whose absence a cut script would show.
fn errands(site: &Site) -> Errands<'_> {
    static COMMANDS: std::sync::LazyLock<[Command; 2]> = std::sync::LazyLock::new(|| {
        let words = ["lb", "it's", "drain"].map(str::to_owned);
        [
            Command::Argv(words.into()),
            Command::Shell("lb x".to_owned()),
        ]
    });
    let commands: &'static [Command; 2] = &COMMANDS;
    Errands {
        dir: Some(&site.root),
        r#become: site.r#become,
        jobs: vec![
            vec![Errand::Run(&commands[0]), Errand::MarkLook(&site.root)],
            vec![Errand::MarkPut(&site.root), Errand::MarkTake(&site.root)],
        ],
        later: commands.iter().collect(),
    }
}

/// Gives `input` to a program; its exit code and what it printed.
pub(super) fn feed(program: &str, args: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let mut child = Process::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).ok();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn shellcheck_finds_nothing() {
    shellcheck(&scripts(&site("/opt/app")));
}

/// Asserts that shellcheck finds nothing in those scripts.
pub(super) fn shellcheck(scripts: &[(&'static str, Arc<str>)]) {
    if Process::new("shellcheck")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no shellcheck on this machine");
        return;
    }
    for (name, script) in scripts {
        // SC1003, SC2016: values are quoted so that nothing in them means anything. SC2034: not every script uses every variable that all have. SC2329, SC2317: nor every function, and some are called by name.
        let args = [
            "-s",
            "sh",
            "-e",
            "SC1003,SC2016,SC2034,SC2317,SC2329",
            "-f",
            "gcc",
            "-",
        ];
        let (code, said) = feed("shellcheck", &args, script.as_bytes());
        assert_eq!(code, Some(0), "{name}:\n{said}");
    }
}

#[test]
fn a_script_is_small_enough_to_be_read_byte_by_byte() {
    for (name, script) in scripts(&site("/opt/app")) {
        assert!(script.len() < 12_000, "{name}: {} bytes", script.len());
    }
}

#[tokio::test]
async fn a_script_that_was_cut_anywhere_does_nothing() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        host.write_record(&record()).await.unwrap();
        lab.release("0-z", "old");
        lab.release("1-a", "x");
        let before = lab.tree();
        let shell = lab.shell.program.to_str().unwrap().to_owned();
        for (name, script) in scripts(&site(lab.root().to_str().unwrap())) {
            let end = script.len() - 2;
            for cut in (0..end).step_by(97).chain(end - 20..=end) {
                let (_, said) = feed(&shell, &["-c", &script[..cut]], b"");
                assert_eq!(said, "", "{name} cut at {cut}");
            }
        }
        assert_eq!(lab.tree(), before);
        host.confirm().await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a shell makes of a record is that record, whatever is in it: quotes, control characters, bytes that shells use inside.
    #[test]
    fn hostile_texts_pass_through_both_shells(text in "[^\0]{0,40}", more in "['\"$`\\\\!\u{1}-\u{1f}\u{80}-\u{a0}\u{201}-\u{280}]{0,20}") {
        for lab in Lab::both() {
            let mut hostile = record();
            hostile.by = format!("{text}{more}");
            let command = Command::Argv(vec!["printf".to_owned(), "%s|".to_owned(), hostile.by.clone()]);
            let site = Site { r#become: Become::None, ..site(lab.root().to_str().unwrap()) };
            let lock = lab.state("lock");
            std::fs::create_dir_all(&lock).unwrap();
            std::fs::write(lock.join(site.owner_file()), "").unwrap();
            let shell = lab.shell.program.to_str().unwrap();
            let write = WriteRecord { record: &hostile }.script(&site).unwrap();
            prop_assert_eq!(feed(shell, &["-c", &write], b"").0, Some(0));
            let kept = std::fs::read_to_string(lab.state("rollout.json")).unwrap();
            prop_assert_eq!(kept.trim_end_matches('\n'), serde_json::to_string(&hostile).unwrap());
            let hook = HookRun { dir: "/", command: &command, env: &[], timeout: std::time::Duration::from_secs(9) };
            let (code, said) = feed(shell, &["-c", &hook.script(&site).unwrap()], b"");
            prop_assert_eq!(code, Some(0));
            let printed = Answer::parse(said.as_bytes()).output().join("\n");
            prop_assert_eq!(printed, format!("{}|", hostile.by));
        }
    }
}
