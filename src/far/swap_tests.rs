use super::*;
use crate::model::{Proof, RecordStep, Revision, RolloutId, ServiceName, Target, Version};

fn run(restart: Restart) -> Run {
    Run {
        restart,
        stop_timeout: Duration::from_secs(30),
        logs: None,
    }
}

fn unit(name: &str) -> Run {
    run(Restart::Systemd(Unit::named(name)))
}

fn commands(start: Option<&str>, stop: Option<&str>, restart: Option<&str>) -> Run {
    let shell = |text: &str| Command::Shell(text.to_owned());
    run(Restart::Commands {
        start: start.map(shell),
        stop: stop.map(shell),
        restart: restart.map(shell),
    })
}

fn record() -> Record {
    let sha = Sha256::new(&"0".repeat(64)).unwrap();
    Record {
        v: 1,
        rollout: RolloutId::new("r-1").unwrap(),
        attempt: 1,
        command: "deploy".to_owned(),
        service: ServiceName::new("app").unwrap(),
        target: Target {
            revision: Revision(1),
            version: Version::new("a").unwrap(),
            sha256: sha.clone(),
            config: sha,
        },
        by: String::new(),
        started: "2026-11-23T14:15:02Z".parse().unwrap(),
        options: std::collections::BTreeMap::new(),
        keys: std::collections::BTreeMap::new(),
        batches: Vec::new(),
        failed: Vec::new(),
        hooks: std::collections::BTreeMap::new(),
        step: RecordStep::Swap,
        swapped: true,
        going_back: false,
        undo: false,
        before: None,
        proof: Proof::default(),
        found: Vec::new(),
        left: Vec::new(),
        stranded: None,
    }
}

/// A stop command and a start command.
type Texts = (Option<String>, Option<String>);

/// The commands of a swap to a release (`true`) or to nothing.
fn acts(to_release: bool, leaving: Option<&Run>, entering: &Run) -> Texts {
    let release = ReleaseRef {
        revision: Revision(1),
        version: None,
        dir: "/opt/app/releases/1-a".to_owned(),
    };
    let record = record();
    let swap = Swap {
        to: to_release.then_some(&release),
        leaving,
        entering,
        record: &record,
        expect: None,
    };
    let text = |act: Option<Act>| {
        act.map(|act| match act.command {
            Command::Argv(words) => words.join(" "),
            Command::Shell(text) => text,
        })
    };
    (text(swap.stop()), text(swap.start()))
}

#[test]
fn a_unit_is_restarted_and_another_one_stopped_first() {
    let a = unit("a");
    assert_eq!(
        acts(true, None, &a),
        (None, Some("systemctl restart a".to_owned()))
    );
    assert_eq!(
        acts(true, Some(&a), &a),
        (None, Some("systemctl restart a".to_owned()))
    );
    assert_eq!(
        acts(true, Some(&unit("b")), &a),
        (
            Some("systemctl stop b".to_owned()),
            Some("systemctl restart a".to_owned())
        )
    );
    assert_eq!(
        acts(false, None, &a),
        (Some("systemctl stop a".to_owned()), None)
    );
}

#[test]
fn commands_stop_and_start_or_restart() {
    let pair = commands(Some("up"), Some("down"), None);
    let all = commands(Some("up"), Some("down"), Some("again"));
    assert_eq!(acts(true, None, &all), (None, Some("up".to_owned())));
    assert_eq!(
        acts(true, Some(&all), &all),
        (None, Some("again".to_owned()))
    );
    assert_eq!(
        acts(true, Some(&pair), &pair),
        (Some("down".to_owned()), Some("up".to_owned()))
    );
    assert_eq!(
        acts(true, Some(&unit("a")), &all),
        (
            Some("systemctl stop a".to_owned()),
            Some("again".to_owned())
        )
    );
    assert_eq!(
        acts(false, Some(&pair), &pair),
        (Some("down".to_owned()), None)
    );
    assert_eq!(
        acts(false, None, &commands(Some("up"), None, None)),
        (None, None)
    );
}

#[test]
fn limits_are_whole_seconds_rounded_up() {
    assert_eq!(seconds(Duration::from_millis(1)), "1");
    assert_eq!(seconds(Duration::from_millis(1500)), "2");
    assert_eq!(seconds(Duration::from_secs(30)), "30");
}
