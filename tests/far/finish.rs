//! What outlives a rollout; and hooks.

use std::time::Duration;

use rollgate::drivers::host::{FinishOrder, HostError, LockWish, RecordEnd};
use rollgate::model::{
    Command, RecordSeen, Revision, RevisionLine, RevisionOutcome, RolloutId, RolloutLine,
};

use super::{Lab, record, service, swap_order};

fn revision(number: u64) -> RevisionLine {
    RevisionLine {
        v: 1,
        revision: Revision(number),
        version: None,
        sha256: None,
        config: None,
        dir: format!("{number}-a"),
        by: "kim@desk".to_owned(),
        from: "it's\there\\n".to_owned(),
        at: "2026-11-23T14:15:02Z".parse().unwrap(),
        outcome: RevisionOutcome::Succeeded,
        good: false,
        rollout: None,
    }
}

fn ended(number: usize) -> RolloutLine {
    RolloutLine {
        v: 1,
        id: RolloutId::new(&format!("r-{number}")).unwrap(),
        command: "deploy".to_owned(),
        outcome: "succeeded".to_owned(),
        exit_code: 0,
        at: "2026-11-23T14:15:02Z".parse().unwrap(),
        revision: None,
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn the_end_keeps_what_counts_and_releases_the_lock() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        for name in ["1-a", "2-a", "3-a"] {
            lab.release(name, name);
        }
        let current = lab.release("4-a", "4");
        host.swap(&swap_order(Some(current), &service("true", "")))
            .await
            .unwrap();
        let order = FinishOrder {
            revisions: Some(vec![revision(3), revision(4)]),
            rollout: Some(ended(1)),
            record: RecordEnd::Remove,
            prune: texts(&["1-a", "4-a", "9-z"]),
            release_lock: true,
        };
        host.finish(&order).await.unwrap();
        let facts = lab.host("b2").inspect(&LockWish::Look).await.unwrap();
        assert_eq!(facts.releases, ["2-a", "3-a", "4-a"]);
        assert_eq!(facts.revisions, [revision(3), revision(4)]);
        assert_eq!(facts.rollouts, [ended(1)]);
        assert_eq!(facts.record, RecordSeen::Absent);
        assert!(facts.damaged.is_empty());
        assert!(!lab.state("lock").exists());
        let again = host.finish(&order).await;
        assert_eq!(again, Err(HostError::Fenced { holder: None }));
    }
}

#[tokio::test]
async fn a_record_that_is_left_survives_and_the_lock_may_stay() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let mut left = record();
        left.by = "it's \"us\"\\n\n\t$(false) `false` ünï".to_owned();
        let order = FinishOrder {
            record: RecordEnd::Put(Box::new(left.clone())),
            ..FinishOrder::default()
        };
        for _ in 0..2 {
            host.finish(&order).await.unwrap();
            let facts = host.inspect(&LockWish::Look).await.unwrap();
            assert_eq!(facts.record, RecordSeen::Read(Box::new(left.clone())));
        }
        host.confirm().await.unwrap();
    }
}

#[tokio::test]
async fn the_last_hundred_rollouts_are_kept_each_once() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let lines: Vec<String> = (0..150)
            .map(|n| serde_json::to_string(&ended(n)).unwrap())
            .collect();
        std::fs::write(lab.state("rollouts.jsonl"), lines.join("\n")).unwrap();
        let order = FinishOrder {
            rollout: Some(ended(150)),
            ..FinishOrder::default()
        };
        for _ in 0..2 {
            host.finish(&order).await.unwrap();
        }
        let facts = host.inspect(&LockWish::Look).await.unwrap();
        assert_eq!(
            facts.rollouts,
            (51..=150).map(ended).collect::<Vec<_>>(),
            "{:?}",
            lab.shell
        );
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_never_pruned() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        for bad in ["../shared", "a/b", "..", "", ".part"] {
            let order = FinishOrder {
                prune: texts(&[bad]),
                ..FinishOrder::default()
            };
            assert!(
                matches!(host.finish(&order).await, Err(HostError::Failed { .. })),
                "{bad}"
            );
        }
    }
}

#[tokio::test]
async fn torn_lines_are_kept_apart_and_newer_ones_never_rewritten() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let file = lab.state("revisions.jsonl");
        let whole = serde_json::to_string(&revision(1)).unwrap();
        std::fs::write(&file, format!("{whole}\n{{\"v\":1,\"revi")).unwrap();
        let facts = host.inspect(&LockWish::Look).await.unwrap();
        assert_eq!((facts.revisions.len(), facts.damaged.len()), (1, 1));
        let order = FinishOrder {
            revisions: Some(facts.revisions),
            ..FinishOrder::default()
        };
        host.finish(&order).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            format!("{whole}\n")
        );
        assert_eq!(
            std::fs::read_to_string(lab.state("revisions.damaged")).unwrap(),
            "{\"v\":1,\"revi\n"
        );

        std::fs::write(&file, "{\"v\":12,\"new\":1}\n").unwrap();
        let refused = host.finish(&order).await;
        assert!(
            matches!(&refused, Err(HostError::Failed { what, .. }) if what.contains("format 12")),
            "{refused:?}"
        );
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "{\"v\":12,\"new\":1}\n"
        );
        std::fs::write(lab.state("rollout.json"), "{\"v\":2}").unwrap();
        let refused = host.write_record(&record()).await;
        assert!(
            matches!(&refused, Err(HostError::Failed { what, .. }) if what.contains("newer")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_hook_runs_in_its_folder_with_its_variables() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let release = lab.release("1-a", "one");
        let env = [("ROLLGATE_WHY".to_owned(), "it's $(false)\nso".to_owned())];
        let text = "echo \"${PWD##*/}\"; echo \"$ROLLGATE_WHY\"; echo bad >&2; exit 9";
        let hook = Command::Shell(text.to_owned());
        let limit = Duration::from_secs(5);
        let ran = host
            .run_hook(&release.dir, &hook, &env, limit)
            .await
            .unwrap();
        assert_eq!(ran.code, 9);
        assert_eq!(ran.output, ["1-a", "it's $(false)", "so", "bad"]);
        let argv = Command::Argv(texts(&["printf", "<%s>", "a b", "'", "$X", ""]));
        let ran = host.run_hook("/nowhere", &argv, &[], limit).await.unwrap();
        assert_eq!((ran.code, ran.output), (0, texts(&["<a b><'><$X><>"])));
        let tree = lab.tree();
        assert!(tree.iter().all(|path| !path.contains("hook.")), "{tree:?}");
    }
}

#[tokio::test]
async fn a_hook_that_hangs_is_ended_with_its_children() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let pid_file = lab.dir.path().join("pid");
        let text = format!(
            "sleep 60 & echo $! >'{}'; echo begun; wait",
            pid_file.display()
        );
        let hook = Command::Shell(text);
        let ran = host
            .run_hook("/", &hook, &[], Duration::from_secs(1))
            .await
            .unwrap();
        assert_eq!((ran.code, ran.output), (124, texts(&["begun"])));
        assert!(!super::lives(&super::appears(&pid_file).await));
    }
}

#[tokio::test]
async fn a_file_comes_back_as_it_is_whatever_its_size() {
    for lab in Lab::both() {
        for size in [0, 1, 8 * 1024 * 1024, 8 * 1024 * 1024 + 7] {
            let bytes: Vec<u8> = (0..=255).cycle().take(size).collect();
            let file = lab.dir.path().join("it's a file");
            std::fs::write(&file, &bytes).unwrap();
            let into = lab.dir.path().join("copy");
            let name = file.display().to_string();
            let count = lab.host("a1").fetch(&name, &into).await.unwrap();
            assert_eq!(count, size as u64);
            assert!(std::fs::read(&into).unwrap() == bytes, "{size}");
        }
        let into = lab.dir.path().join("copy");
        let error = lab.host("a1").fetch("/nowhere", &into).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}

#[tokio::test]
async fn logs_come_from_the_command_of_the_playbook() {
    for lab in Lab::both() {
        lab.locked("a1").await;
        let mut run = service("true", "");
        run.logs = Some(Command::Shell(
            "echo one; echo two; echo three >&2".to_owned(),
        ));
        let lines = lab.host("a1").logs(&run, 2).await.unwrap();
        assert_eq!(lines, ["two", "three"]);
        run.logs = None;
        assert!(lab.host("a1").logs(&run, 2).await.unwrap().is_empty());
    }
}
