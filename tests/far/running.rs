//! What becomes of a script that still runs when somebody else comes.

use std::time::{Duration, Instant};

use rollgate::drivers::host::{HostError, LockWish};
use rollgate::model::LockSeen;

use super::{Lab, appears, lives, service, swap_order};

#[tokio::test]
async fn a_takeover_ends_the_script_and_its_command_first() {
    for lab in Lab::both() {
        let old = lab.locked("a1").await;
        let release = lab.release("1-a", "one");
        let pid_file = lab.dir.path().join("pid");
        // The command does not let itself be asked, and has a child of its own.
        let start = format!(
            "trap '' TERM; echo $$ >'{}'; sleep 60; sleep 60",
            pid_file.display()
        );
        let order = swap_order(Some(release), &service(&start, ""));
        let swap = tokio::spawn(async move { old.swap(&order).await });
        let pid = appears(&pid_file).await;
        let seen = lab.host("b2").inspect(&LockWish::Look).await.unwrap();
        assert!(seen.running);

        let began = Instant::now();
        let facts = lab.steal("b2").await;
        assert_eq!(facts.lock, LockSeen::Ours, "{:?}", lab.shell);
        assert!(!facts.running && !lives(&pid), "{:?}", lab.shell);
        assert!(began.elapsed() < Duration::from_secs(20));
        let result = swap.await.unwrap();
        assert!(result.unwrap_err().outcome_unknown());
        std::fs::remove_file(pid_file).unwrap();
    }
}

#[tokio::test]
async fn a_command_whose_script_was_killed_is_found_by_its_mark() {
    for lab in Lab::both() {
        let old = lab.locked("a1").await;
        let release = lab.release("1-a", "one");
        let pid_file = lab.dir.path().join("pid");
        let start = format!("echo $$ >'{}'; exec sleep 60", pid_file.display());
        let order = swap_order(Some(release), &service(&start, ""));
        let swap = tokio::spawn(async move { old.swap(&order).await });
        let pid = appears(&pid_file).await;
        let mark = std::fs::read_dir(lab.state("running"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        // The command may be faster than the line about it.
        while !std::fs::read_to_string(mark.path())
            .unwrap()
            .contains(pid.trim())
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let script = mark
            .file_name()
            .to_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &script])
            .status()
            .unwrap();
        assert!(killed.success());
        let result = swap.await.unwrap();
        assert!(matches!(result, Err(HostError::Transport(_))), "{result:?}");
        assert!(lives(&pid));

        let facts = lab.steal("b2").await;
        assert_eq!(facts.lock, LockSeen::Ours);
        assert!(!lives(&pid), "{:?}", lab.shell);
        assert_eq!(std::fs::read_dir(lab.state("running")).unwrap().count(), 0);
        std::fs::remove_file(pid_file).unwrap();
    }
}

#[tokio::test]
async fn marks_of_the_dead_and_of_earlier_boots_hold_nobody_up() {
    for lab in Lab::both() {
        lab.locked("a1").await;
        std::fs::create_dir_all(lab.state("running")).unwrap();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let boot = boot.trim();
        // Process 1 lives, but began at another time, or in another boot; the others are no marks at all.
        for name in [
            format!("1.5.{boot}"),
            "1.0.another-boot".to_owned(),
            "x".to_owned(),
            "-1.0.y".to_owned(),
        ] {
            std::fs::write(lab.state("running").join(name), "garbage\n1 7\n-1 0\n").unwrap();
        }
        let seen = lab.host("b2").inspect(&LockWish::Look).await.unwrap();
        assert!(!seen.running);
        assert_eq!(std::fs::read_dir(lab.state("running")).unwrap().count(), 4);
        let facts = lab.steal("b2").await;
        assert_eq!(facts.lock, LockSeen::Ours);
        assert_eq!(std::fs::read_dir(lab.state("running")).unwrap().count(), 0);
    }
}
