//! The link and the service.

use std::path::Path;
use std::time::{Duration, Instant};

use rollgate::drivers::host::{HostError, SwapOrder};
use rollgate::model::{Current, LockSeen, RecordSeen};

use super::{Lab, appears, lives, record, release_at, service, sha_of, swap_order};

/// A service that writes down what is done to it, and where.
fn diary(lab: &Lab) -> (rollgate::model::Run, std::path::PathBuf) {
    let path = lab.dir.path().join("diary");
    let line = |verb: &str| format!("echo {verb} \"${{PWD##*/}}\" >>'{}'", path.display());
    (service(&line("start"), &line("stop")), path)
}

fn failure(result: Result<rollgate::drivers::host::Swapped, HostError>) -> (String, Vec<String>) {
    match result {
        Err(HostError::Failed { what, output }) => (what, output),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_swap_there_again_and_back() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let (one, two) = (lab.release("1-a", "one"), lab.release("2-b", "two"));
        let (run, path) = diary(&lab);
        let first = SwapOrder {
            leaving: None,
            ..swap_order(Some(one.clone()), &run)
        };
        host.swap(&first).await.unwrap();
        assert_eq!(lab.current().unwrap(), Path::new("releases/1-a"));
        let mut forward = swap_order(Some(two), &run);
        forward.expect = Some(("app".to_owned(), sha_of(b"two")));
        for _ in 0..2 {
            host.swap(&forward).await.unwrap();
            assert_eq!(lab.current().unwrap(), Path::new("releases/2-b"));
        }
        host.swap(&swap_order(Some(one), &run)).await.unwrap();
        assert_eq!(lab.current().unwrap(), Path::new("releases/1-a"));
        let diary = std::fs::read_to_string(path).unwrap();
        let wanted = "start 1-a\nstop current\nstart 2-b\nstop current\nstart 2-b\nstop current\nstart 1-a\n";
        assert_eq!(
            diary
                .replace("stop 1-a", "stop current")
                .replace("stop 2-b", "stop current"),
            wanted
        );

        let facts = lab
            .host("b2")
            .inspect(&rollgate::drivers::host::LockWish::Look)
            .await
            .unwrap();
        assert_eq!(facts.record, RecordSeen::Read(Box::new(record())));
        assert_eq!(facts.releases, ["1-a", "2-b"]);
        assert_eq!(
            facts.current,
            Current::Link(lab.root().join("releases/1-a").display().to_string())
        );
        assert!(matches!(facts.lock, LockSeen::Held { .. }) && !facts.running);
        assert_eq!(std::fs::read_dir(lab.state("running")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_daemon_that_keeps_its_output_open_holds_nobody_up() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let release = lab.release("1-a", "one");
        let pid_file = lab.dir.path().join("pid");
        let start = format!("echo hello; sleep 60 & echo $! >'{}'", pid_file.display());
        let run = service(&start, "");
        let began = Instant::now();
        host.swap(&swap_order(Some(release), &run)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        let pid = appears(&pid_file).await;
        assert!(lives(&pid), "{:?}", lab.shell);
        assert_eq!(host.logs(&run, 5).await.unwrap(), ["hello"]);
        std::process::Command::new("kill")
            .arg(pid)
            .status()
            .unwrap();
    }
}

#[tokio::test]
async fn a_daemon_inherits_no_ignored_signal() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let release = lab.release("1-a", "one");
        let run = service(
            "sh -c 'kill -PIPE $$; echo survived'; sh -c 'kill -HUP $$; echo survived'; exit 7",
            "",
        );
        let (what, output) = failure(host.swap(&swap_order(Some(release), &run)).await);
        assert!(what.contains("start command ended with 7"), "{what}");
        assert!(
            !output.join(" ").contains("survived"),
            "{:?}: {output:?}",
            lab.shell
        );
    }
}

#[tokio::test]
async fn a_stop_command_that_hangs_is_a_failure_and_the_link_stays() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let (one, two) = (lab.release("1-a", "one"), lab.release("2-b", "two"));
        let pid_file = lab.dir.path().join("pid");
        let stop = format!("echo wont; echo $$ >'{}'; sleep 60", pid_file.display());
        let run = service("true", &stop);
        host.swap(&SwapOrder {
            leaving: None,
            ..swap_order(Some(one), &run)
        })
        .await
        .unwrap();
        let (what, output) = failure(host.swap(&swap_order(Some(two), &run)).await);
        assert!(
            what.contains("stop command did not end within 5s"),
            "{what}"
        );
        assert_eq!(output, ["wont"]);
        assert_eq!(lab.current().unwrap(), Path::new("releases/1-a"));
        assert!(!lives(&appears(&pid_file).await));
    }
}

#[tokio::test]
async fn a_stop_command_that_fails_is_a_complaint() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let one = lab.release("1-a", "one");
        let run = service("true", "echo was dead; exit 3");
        let swapped = host.swap(&swap_order(Some(one), &run)).await.unwrap();
        let complaint = swapped.stop_complaint.unwrap();
        assert!(complaint.contains("ended with 3: was dead"), "{complaint}");
        assert_eq!(lab.current().unwrap(), Path::new("releases/1-a"));
    }
}

#[tokio::test]
async fn a_start_command_that_fails_is_a_failure_with_its_last_words() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let one = lab.release("1-a", "one");
        let run = service("echo first; echo 'no port' >&2; exit 4", "");
        let (what, output) = failure(host.swap(&swap_order(Some(one), &run)).await);
        assert!(what.contains("start command ended with 4"), "{what}");
        assert_eq!(output, ["first", "no port"]);
    }
}

#[tokio::test]
async fn a_release_that_is_not_whole_stops_nothing() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let two = lab.release("2-b", "spoiled");
        let (run, path) = diary(&lab);
        let mut order = swap_order(Some(two), &run);
        order.expect = Some(("app".to_owned(), sha_of(b"two")));
        let (what, _) = failure(host.swap(&order).await);
        assert!(what.contains("instead of"), "{what}");
        let absent = release_at(&lab.root().join("releases/9-z"));
        let (what, _) = failure(host.swap(&swap_order(Some(absent), &run)).await);
        assert!(what.contains("there is no folder"), "{what}");
        assert!(!path.exists() && lab.current().is_none());
    }
}

#[tokio::test]
async fn a_found_release_may_lie_anywhere() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let found = lab.dir.path().join("old site");
        std::fs::create_dir(&found).unwrap();
        let (run, path) = diary(&lab);
        host.swap(&swap_order(Some(release_at(&found)), &run))
            .await
            .unwrap();
        assert_eq!(lab.current().unwrap(), found);
        assert!(
            std::fs::read_to_string(path)
                .unwrap()
                .ends_with("start old site\n")
        );
    }
}

#[tokio::test]
async fn back_to_nothing_stops_the_service_and_removes_the_link() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let one = lab.release("1-a", "one");
        let (run, path) = diary(&lab);
        host.swap(&SwapOrder {
            leaving: None,
            ..swap_order(Some(one), &run)
        })
        .await
        .unwrap();
        for _ in 0..2 {
            let swapped = host.swap(&swap_order(None, &run)).await.unwrap();
            assert_eq!(swapped.stop_complaint, None);
            assert!(lab.current().is_none());
        }
        assert!(
            std::fs::read_to_string(path)
                .unwrap()
                .starts_with("start 1-a\nstop ")
        );
        assert!(lab.root().join("releases/1-a/app").exists());
        let helpless = host
            .swap(&swap_order(None, &service("true", "")))
            .await
            .unwrap();
        assert!(helpless.stop_complaint.unwrap().contains("may still run"));
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_link_is_left_alone() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let one = lab.release("1-a", "one");
        std::fs::create_dir(lab.root().join("current")).unwrap();
        let (run, path) = diary(&lab);
        let (what, _) = failure(host.swap(&swap_order(Some(one), &run)).await);
        assert!(what.contains("is no link"), "{what}");
        assert!(!path.exists() && lab.root().join("current").is_dir());
    }
}
