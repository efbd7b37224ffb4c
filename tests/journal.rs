//! The journal's file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rollgate::drivers::store::{MemoryJournal, NullJournal, StoreError, open_in, path_in, read};
use rollgate::event::Journal;
use rollgate::model::RolloutId;

fn id() -> RolloutId {
    RolloutId::new("20261123T141502Z-7f3a").unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn event(seq: usize) -> String {
    format!(
        r#"{{"v":1,"time":"2026-11-23T14:15:02.113Z","rollout":"{}","attempt":1,"seq":{seq},"event":"rollout.halted","reason":"x"}}"#,
        id()
    )
}

#[tokio::test]
async fn lines_lie_in_the_order_of_the_calls_whoever_waits_first() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/rollgate");
    let journal = open_in(&dir, &id()).unwrap();
    let mut waits: Vec<_> = (1..=500)
        .map(|seq| journal.append(event(seq), seq % 7 == 0))
        .collect();
    waits.reverse();
    for wait in waits {
        wait.await.unwrap();
    }
    let path = path_in(&dir, &id());
    let found = read(&path).unwrap();
    let seqs: Vec<u64> = found.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=500).collect::<Vec<u64>>());
    assert!(found.damaged.is_empty() && !found.torn);
    assert_eq!((mode(&path), mode(&dir)), (0o600, 0o700));
}

#[tokio::test]
async fn what_nobody_waited_for_is_written_before_the_journal_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_in(dir.path(), &id()).unwrap();
    for seq in 1..=50 {
        drop(journal.append(event(seq), false));
    }
    drop(journal);
    assert_eq!(read(&path_in(dir.path(), &id())).unwrap().events.len(), 50);
}

#[tokio::test]
async fn a_torn_end_does_not_swallow_the_next_attempts_first_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path(), &id());
    fs::write(&path, format!("{}\n{}", event(1), &event(2)[..30])).unwrap();
    assert!(read(&path).unwrap().torn);
    let journal = open_in(dir.path(), &id()).unwrap();
    journal.append(event(3), true).await.unwrap();
    let found = read(&path).unwrap();
    assert_eq!(
        found
            .events
            .iter()
            .map(|event| event.seq)
            .collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(
        found
            .damaged
            .iter()
            .map(|damage| damage.line)
            .collect::<Vec<_>>(),
        [2]
    );
}

#[tokio::test]
async fn a_full_disk_is_told_to_everybody_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/dev/full", path_in(dir.path(), &id())).unwrap();
    let journal = open_in(dir.path(), &id()).unwrap();
    let first = journal.append(event(1), true).await.unwrap_err();
    assert!(first.contains("No space left"), "{first}");
    assert_eq!(journal.append(event(2), false).await.unwrap_err(), first);
}

#[tokio::test]
async fn nothing_is_left_half_written_when_the_file_may_not_grow() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path(), &id());
    let script = "ulimit -f 4; trap '' XFSZ; exec \"$0\" --exact journal::writes_until_it_breaks --ignored --nocapture";
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .env("ROLLGATE_TEST_DIR", dir.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.len() <= 4 * 512 && text.ends_with('\n'), "{text}");
    assert!(!read(&path).unwrap().events.is_empty());
}

/// Run by the test above, in a process whose files may not grow beyond 2 KiB.
#[tokio::test]
#[ignore = "needs the limit that its sister sets"]
async fn writes_until_it_breaks() {
    let Ok(dir) = std::env::var("ROLLGATE_TEST_DIR") else {
        return;
    };
    let journal = open_in(Path::new(&dir), &id()).unwrap();
    let mut broken = 0;
    for seq in 1..=40 {
        broken += usize::from(journal.append(event(seq), true).await.is_err());
    }
    assert!(broken > 10, "{broken}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let Err(StoreError::Io { path, .. }) = open_in(&file.path().join("x"), &id()) else {
        panic!("a file was taken for a folder");
    };
    assert!(path.starts_with(file.path()));
    if rustix::process::geteuid().is_root() {
        eprintln!("the rest is skipped: root may write to every folder");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    assert!(open_in(dir.path(), &id()).is_err());
}

#[tokio::test]
async fn journals_without_a_file_keep_what_they_promise() {
    let memory = MemoryJournal::default();
    memory.append("a".to_owned(), true).await.unwrap();
    drop(memory.append("b".to_owned(), false));
    assert_eq!(memory.clone().lines(), ["a", "b"]);
    NullJournal.append("a".to_owned(), true).await.unwrap();
}
