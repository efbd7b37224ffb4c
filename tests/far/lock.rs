//! The lock: one winner, and a fence before every change.

use std::time::Duration;

use futures::future::join_all;
use rollgate::drivers::host::{FinishOrder, HostError, LockWish, RecordEnd, StageOrder};
use rollgate::model::{Command, Current, LockSeen, RecordSeen, ReleaseRef};

use super::{Lab, owner, record, release_at, service, swap_order, take, take_over};

#[tokio::test]
async fn a_first_look_finds_nothing_and_leaves_nothing() {
    for lab in Lab::both() {
        let facts = lab.host("a1").inspect(&LockWish::Look).await.unwrap();
        assert_eq!(facts.lock, LockSeen::Free);
        assert_eq!(facts.current, Current::Absent);
        assert_eq!(facts.record, RecordSeen::Absent);
        assert!(facts.root_writable && !facts.running);
        assert!(facts.clock > 1_700_000_000 && facts.free_kib.unwrap() > 0);
        assert!(!facts.arch.is_empty() && facts.tools.contains("sha256sum"));
        assert!(!lab.root().exists());
    }
}

#[tokio::test]
async fn fifty_racers_have_one_winner() {
    for lab in Lab::both() {
        for empty_lock in [false, true] {
            if empty_lock {
                std::fs::create_dir_all(lab.state("lock")).unwrap();
            }
            let tokens: Vec<String> = (0..50).map(|n| format!("{n:02x}")).collect();
            let racers = tokens.iter().map(|token| {
                let (host, wish) = (lab.host(token), take(token));
                async move { host.inspect(&wish).await.unwrap().lock }
            });
            let locks = join_all(racers).await;
            let winners: Vec<usize> = (0..50).filter(|n| locks[*n] == LockSeen::Ours).collect();
            assert_eq!(winners.len(), 1, "{:?}", lab.shell);
            let winner = &tokens[winners[0]];
            let held = lab.host("ff").inspect(&LockWish::Look).await.unwrap().lock;
            let LockSeen::Held {
                owner: text, age, ..
            } = held
            else {
                panic!("{held:?}");
            };
            assert_eq!(*text.unwrap(), owner(winner));
            assert!(age < Duration::from_secs(60));
            lab.host(winner).finish(&release_lock()).await.unwrap();
            assert!(!lab.state("lock").exists());
            assert!(lab.tree().iter().all(|path| !path.contains("lock.")));
        }
    }
}

fn release_lock() -> FinishOrder {
    FinishOrder {
        release_lock: true,
        ..FinishOrder::default()
    }
}

#[tokio::test]
async fn taking_twice_is_taking_once() {
    for lab in Lab::both() {
        lab.locked("a1").await;
        lab.locked("a1").await;
        let other = lab.host("b2").inspect(&take("b2")).await.unwrap();
        assert!(matches!(other.lock, LockSeen::Held { .. }));
    }
}

#[tokio::test]
async fn a_takeover_has_one_winner_who_signs() {
    for lab in Lab::both() {
        lab.locked("a1").await;
        let file = format!("owner.{}.a1", super::rollout());
        let tokens: Vec<String> = (0..20).map(|n| format!("b{n:02x}")).collect();
        let racers = tokens.iter().map(|token| {
            let (host, wish) = (lab.host(token), take_over(token, &file));
            async move { host.inspect(&wish).await.unwrap().lock }
        });
        let locks = join_all(racers).await;
        let winners: Vec<usize> = (0..20).filter(|n| locks[*n] == LockSeen::Ours).collect();
        assert_eq!(winners.len(), 1, "{:?}: {locks:?}", lab.shell);
        let held = lab.host("ff").inspect(&LockWish::Look).await.unwrap().lock;
        let LockSeen::Held { owner: text, .. } = held else {
            panic!("{held:?}");
        };
        assert_eq!(*text.unwrap(), owner(&tokens[winners[0]]));
        assert_eq!(std::fs::read_dir(lab.state("lock")).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn after_a_takeover_nothing_of_the_old_holder_changes_anything() {
    for lab in Lab::both() {
        let old = lab.locked("a1").await;
        let (one, two) = (lab.release("1-a", "one"), lab.release("2-b", "two"));
        let run = service("touch started", "touch stopped");
        old.swap(&swap_order(Some(one), &run)).await.unwrap();
        assert_eq!(lab.steal("b2").await.lock, LockSeen::Ours);
        let before = (
            lab.tree(),
            std::fs::read(lab.state("rollout.json")).unwrap(),
        );

        let mut changed = record();
        changed.by = "the old one".to_owned();
        let mut order = swap_order(Some(two), &run);
        order.record = changed.clone();
        let hook = Command::Shell("touch hooked".to_owned());
        let end = FinishOrder {
            record: RecordEnd::Put(Box::new(changed.clone())),
            prune: vec!["2-b".to_owned()],
            ..release_lock()
        };
        let stage = StageOrder {
            release: release_at(&lab.root().join("releases/3-c")),
            artifact: lab.artifact(b"three"),
            candidates: Vec::new(),
            is_absent: false,
            overlay: None,
        };
        let limit = Duration::from_secs(5);
        let refused = [
            old.confirm().await,
            old.write_record(&changed).await,
            old.stage(&stage).await.map(drop),
            old.swap(&order).await.map(drop),
            old.run_hook("/", &hook, &[], limit).await.map(drop),
            old.finish(&end).await,
        ];
        for (number, result) in refused.into_iter().enumerate() {
            let Err(HostError::Fenced {
                holder: Some(holder),
            }) = result
            else {
                panic!("call {number} of {:?}: {result:?}", lab.shell);
            };
            assert!(holder.contains("kim@b2"), "{holder}");
        }
        assert_eq!(lab.tree(), before.0);
        assert_eq!(std::fs::read(lab.state("rollout.json")).unwrap(), before.1);
        lab.host("b2").confirm().await.unwrap();
    }
}

#[tokio::test]
async fn without_a_lock_every_change_is_fenced() {
    for lab in Lab::both() {
        let result = lab.host("a1").write_record(&record()).await;
        assert_eq!(result, Err(HostError::Fenced { holder: None }));
        assert!(!lab.root().exists());
    }
}

#[tokio::test]
async fn only_the_lock_that_was_seen_is_broken() {
    for lab in Lab::both() {
        lab.locked("a1").await;
        let other = lab.host("b2");
        let wrong = other.break_lock("owner.someone.else").await;
        assert!(
            matches!(&wrong, Err(HostError::Failed { what, .. }) if what.contains("changed hands")),
            "{wrong:?}"
        );
        lab.host("a1").confirm().await.unwrap();
        let file = format!("owner.{}.a1", super::rollout());
        other.break_lock(&file).await.unwrap();
        assert!(!lab.state("lock").exists());
        other.break_lock(&file).await.unwrap();
        std::fs::create_dir(lab.state("lock")).unwrap();
        other.break_lock("").await.unwrap();
        assert!(!lab.state("lock").exists());
    }
}

#[tokio::test]
async fn a_renewal_never_brings_a_lost_lock_back() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        host.confirm().await.unwrap();
        std::fs::remove_dir_all(lab.state("lock")).unwrap();
        assert_eq!(
            host.confirm().await,
            Err(HostError::Fenced { holder: None })
        );
        assert!(!lab.state("lock").exists());
    }
}

#[tokio::test]
async fn a_root_that_cannot_be_made_is_named_with_its_remedy() {
    for lab in Lab::both() {
        let file = lab.dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let result = lab.at(&file.join("root"), "a1").inspect(&take("a1")).await;
        let Err(HostError::Failed { what, .. }) = result else {
            panic!("{result:?}");
        };
        assert!(
            what.contains("file/root") && what.contains("install -d -o"),
            "{what}"
        );
    }
}

#[tokio::test]
async fn files_of_ours_are_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        host.write_record(&record()).await.unwrap();
        let mode = |name: &str| {
            std::fs::metadata(lab.state(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(""), 0o700);
        assert_eq!(mode("lock"), 0o700);
        assert_eq!(mode("rollout.json"), 0o600);
        assert_eq!(mode(&format!("lock/owner.{}.a1", super::rollout())), 0o600);
    }
}

#[tokio::test]
async fn a_relative_root_is_refused_before_anything_is_sent() {
    for lab in Lab::both() {
        for root in ["", "/", "srv/app"] {
            let release: Option<ReleaseRef> = None;
            let host = lab.at(std::path::Path::new(root), "a1");
            let run = service("true", "true");
            let result = host.swap(&swap_order(release, &run)).await;
            assert!(
                matches!(&result, Err(HostError::Failed { what, .. }) if what.contains("absolute")),
                "{result:?}"
            );
        }
    }
}
