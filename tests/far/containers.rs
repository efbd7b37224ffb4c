//! The texts of the scripts about containers. What they do is seen on hosts with engines: `tests/hosts/containers`.

use std::sync::Arc;
use std::time::Duration;

use rollgate::far::Site;
use rollgate::far::container::Berth;
use rollgate::far::container::end::{ContainerFinish, ContainerLogs};
use rollgate::far::container::look::ContainerLook;
use rollgate::far::container::stage::{ContainerStage, PullFrom};
use rollgate::far::container::swap::ContainerSwap;
use rollgate::far::finish::{Finish, RecordFate};
use rollgate::far::look::{Look, Wish};
use rollgate::model::{Become, Container, Engine, LockToken};

use super::texts::{feed, shellcheck};
use super::{Lab, owner, record, release_at, rollout};

#[expect(clippy::too_many_lines, reason = "a flat table")]
fn scripts(root: &str, engine: Engine) -> Vec<(&'static str, Arc<str>)> {
    let site = &Site {
        root: root.to_owned(),
        r#become: Become::Sudo,
        rollout: rollout(),
        token: LockToken::new("a1").unwrap(),
    };
    let berth = &Berth {
        engine,
        name: "app".to_owned(),
        service: "app".to_owned(),
        repository: "registry.example/it's/app".to_owned(),
    };
    let (owner, record) = (owner("a1"), record());
    let artifact = Lab::both()[0].artifact(b"x");
    let release = release_at(&std::path::Path::new(root).join("releases/1-a"));
    let settings = Container {
        engine,
        name: "app".to_owned(),
        flags: vec!["--publish".to_owned(), "80:80".to_owned()],
        env: vec!["A=it's $HOME `x`".to_owned()],
        command: vec!["serve".to_owned(), String::new()],
    };
    let ids = ["ab".to_owned()];
    let stage = ContainerStage {
        release: &release,
        artifact: &artifact,
        ids: &ids,
        settings: &settings,
        berth,
        pull: Some(PullFrom {
            auth: "{\"auths\":{}}",
            insecure: true,
        }),
    };
    let swap = ContainerSwap {
        to: Some(&release),
        stop_timeout: Duration::from_millis(1500),
        record: &record,
        berth,
    };
    let finish = Finish {
        revisions: None,
        rollout: None,
        record: RecordFate::Put(&record),
        prune: &["0-z".to_owned()],
        release_lock: true,
    };
    let look = ContainerLook {
        look: Look {
            wish: Wish::TakeOver(&owner, "owner.x.y"),
        },
        berth,
        adopt: false,
    };
    vec![
        ("look", look.script(site).unwrap()),
        ("stage_check", stage.check_script(site).unwrap()),
        ("stage_load", stage.load_script(site).unwrap()),
        ("swap", swap.script(site).unwrap()),
        (
            "logs",
            ContainerLogs { berth, lines: 5 }.script(site).unwrap(),
        ),
        (
            "finish",
            ContainerFinish { finish, berth }.script(site).unwrap(),
        ),
    ]
}

#[test]
fn shellcheck_finds_nothing() {
    for engine in [Engine::Docker, Engine::Podman] {
        shellcheck(&scripts("/opt/app", engine));
    }
}

#[test]
fn a_script_that_was_cut_anywhere_does_nothing() {
    for lab in Lab::both() {
        let before = lab.tree();
        let shell = lab.shell.program.to_str().unwrap().to_owned();
        for (name, script) in scripts(lab.root().to_str().unwrap(), Engine::Docker) {
            assert!(script.len() < 12_000, "{name}: {} bytes", script.len());
            let end = script.len() - 2;
            for cut in (0..end).step_by(197).chain(end - 20..=end) {
                let (_, said) = feed(&shell, &["-c", &script[..cut]], b"");
                assert_eq!(said, "", "{name} cut at {cut}");
            }
        }
        assert_eq!(lab.tree(), before);
    }
}

#[test]
fn nothing_of_a_login_or_an_environment_is_an_argument() {
    let words = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("with_"))
            .map(str::to_owned)
            .collect()
    };
    for (name, script) in scripts("/opt/app", Engine::Podman) {
        for line in words(&script) {
            assert!(
                !line.contains("HOME") && !line.contains("auths"),
                "{name}: {line}"
            );
        }
    }
}
