//! The artifact: whole and checked in its folder, or not there at all.

use std::os::unix::fs::PermissionsExt as _;

use rollgate::drivers::host::{HostError, StageOrder};
use rollgate::model::{Artifact, FileText, Overlay, ReleaseFile};

use super::{Lab, release_at, sha_of};

fn order(lab: &Lab, name: &str, artifact: Artifact, candidates: &[&str]) -> StageOrder {
    StageOrder {
        release: release_at(&lab.root().join("releases").join(name)),
        artifact,
        candidates: candidates.iter().map(|&name| name.to_owned()).collect(),
        is_absent: false,
        overlay: Some(rollgate::model::Overlay::default()),
    }
}

/// Every byte value, more than a pipe holds.
fn bytes() -> Vec<u8> {
    (0..300_000u32)
        .map(|n| u8::try_from(n * 7 % 256).unwrap())
        .collect()
}

fn left(lab: &Lab) -> Vec<String> {
    let entries = std::fs::read_dir(lab.root().join("releases"));
    entries.map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect()
        },
    )
}

fn what(result: Result<rollgate::drivers::host::Staged, HostError>) -> String {
    match result {
        Err(HostError::Failed { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_artifact_is_sent_once() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let order = order(&lab, "1-a", lab.artifact(&bytes()), &[]);
        assert_eq!(host.stage(&order).await.unwrap().sent_bytes, 300_000);
        let file = lab.root().join("releases/1-a/app");
        assert_eq!(std::fs::read(&file).unwrap(), bytes());
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert_eq!(host.stage(&order).await.unwrap().sent_bytes, 0);
        assert_eq!(left(&lab), ["1-a"]);
    }
}

#[tokio::test]
async fn a_cut_or_changed_artifact_leaves_nothing() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let mut cut = lab.artifact(&bytes());
        std::fs::write(&cut.path, &bytes()[..100_000]).unwrap();
        let said = what(host.stage(&order(&lab, "1-a", cut.clone(), &[])).await);
        assert!(said.contains("100000 of 300000 bytes"), "{said}");
        assert!(left(&lab).is_empty());
        cut.size = 100_000;
        let said = what(host.stage(&order(&lab, "1-a", cut, &[])).await);
        assert!(said.contains("instead of"), "{said}");
        assert!(left(&lab).is_empty(), "{:?}", left(&lab));
    }
}

#[tokio::test]
async fn another_artifact_in_its_place_is_never_overwritten() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        lab.release("1-a", "what serves");
        let said = what(
            host.stage(&order(&lab, "1-a", lab.artifact(b"new"), &[]))
                .await,
        );
        assert!(said.contains("not overwritten"), "{said}");
        let file = lab.root().join("releases/1-a/app");
        assert_eq!(std::fs::read(file).unwrap(), b"what serves");
    }
}

#[tokio::test]
async fn the_same_bytes_in_an_earlier_release_are_copied() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        lab.release("1-a", "spoiled");
        let found = lab.release("2-b", "same");
        let artifact = lab.artifact(b"same");
        let order = order(&lab, "3-c", artifact, &["1-a", "0-absent", &found.dir]);
        assert_eq!(host.stage(&order).await.unwrap().sent_bytes, 0);
        let file = lab.root().join("releases/3-c/app");
        assert_eq!(std::fs::read(&file).unwrap(), b"same");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }
}

#[tokio::test]
async fn what_an_earlier_run_left_half_sent_is_removed() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        std::fs::create_dir_all(lab.root().join("releases/.part.old.1-a")).unwrap();
        std::fs::create_dir_all(lab.root().join("releases/1-a")).unwrap();
        host.stage(&order(&lab, "1-a", lab.artifact(b"x"), &[]))
            .await
            .unwrap();
        assert_eq!(left(&lab), ["1-a"]);
    }
}

#[tokio::test]
async fn too_little_space_is_found_before_anything_is_sent() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let mut huge = lab.artifact(b"x");
        huge.size = 1 << 52;
        let said = what(host.stage(&order(&lab, "1-a", huge, &[])).await);
        assert!(
            said.contains("KiB are needed") && said.contains("KiB are free"),
            "{said}"
        );
        assert!(left(&lab).is_empty());
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_midway_leaves_nothing_half() {
    for lab in Lab::both() {
        std::fs::create_dir_all(lab.root()).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(lab.root())
            .output()
            .unwrap();
        if !mounted.status.success() {
            eprintln!(
                "skipped: no tmpfs: {}",
                String::from_utf8_lossy(&mounted.stderr)
            );
            return;
        }
        let host = lab.locked("a1").await;
        // The look believes in 100 bytes; what comes is more than fits.
        let artifact = Artifact {
            size: 100,
            sha256: sha_of(b"x"),
            ..lab.artifact(&vec![7; 4 << 20])
        };
        let said = what(host.stage(&order(&lab, "1-a", artifact, &[])).await);
        assert!(
            said.contains("cannot write the artifact") && said.contains("KiB are free"),
            "{said}"
        );
        let remains = left(&lab);
        std::process::Command::new("umount")
            .arg(lab.root())
            .status()
            .unwrap();
        assert!(remains.is_empty(), "{remains:?}");
    }
}

/// A rendered file.
pub(super) fn release_file(path: &str, text: &str, owner: Option<&str>) -> ReleaseFile {
    ReleaseFile {
        path: path.to_owned(),
        mode: 0o640,
        owner: owner.map(str::to_owned),
        sha256: sha_of(text.as_bytes()),
        text: FileText::new(text.to_owned()),
        secret: false,
    }
}

#[tokio::test]
async fn files_lie_in_the_release_with_their_mode_and_are_never_overwritten() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let with = |name: &str, text: &str, artifact: Artifact, from: &[&str]| StageOrder {
            overlay: Some(Overlay {
                shared: vec!["log".to_owned()],
                files: vec![
                    release_file("conf/a file", text, None),
                    release_file("-n", "", None),
                ],
            }),
            ..order(&lab, name, artifact, from)
        };
        let texts = "it's $HOME `x` \\n \"%s\" é\n\nno end";
        let one = with("1-a", texts, lab.artifact(b"x"), &[]);
        assert_eq!(host.stage(&one).await.unwrap().sent_bytes, 1);
        let at = lab.root().join("releases/1-a");
        assert_eq!(
            std::fs::read_to_string(at.join("conf/a file")).unwrap(),
            texts
        );
        let mode = |path: &str| {
            std::fs::metadata(at.join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(
            (mode("conf/a file"), mode("conf"), mode("-n")),
            (0o640, 0o755, 0o640)
        );
        assert_eq!(host.stage(&one).await.unwrap().sent_bytes, 0);
        // The same artifact with another file is another release, and nothing is sent for it.
        let two = with("2-a", "other", lab.artifact(b"x"), &["1-a"]);
        assert_eq!(host.stage(&two).await.unwrap().sent_bytes, 0);
        let other = lab.root().join("releases/2-a/conf/a file");
        assert_eq!(std::fs::read_to_string(other).unwrap(), "other");
        let changed = with("1-a", "other", lab.artifact(b"x"), &[]);
        let said = what(host.stage(&changed).await);
        assert!(
            said.contains("another content") && said.contains("not overwritten"),
            "{said}"
        );
        assert_eq!(
            std::fs::read_to_string(at.join("conf/a file")).unwrap(),
            texts
        );
    }
}

#[tokio::test]
async fn an_old_release_whose_files_nobody_knows_is_not_made_anew() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        for is_absent in [true, false] {
            let order = StageOrder {
                overlay: None,
                is_absent,
                ..order(&lab, "1-a", lab.artifact(b"x"), &[])
            };
            let said = what(host.stage(&order).await);
            assert!(said.contains("deploy that version again"), "{said}");
        }
        lab.release("1-a", "x");
        let order = StageOrder {
            overlay: None,
            ..order(&lab, "1-a", lab.artifact(b"x"), &[])
        };
        host.stage(&order).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_goes_to_its_owner_or_the_failure_says_why() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        for (owner, fine) in [("nobody", true), ("no-such-user-x", false)] {
            let order = StageOrder {
                overlay: Some(Overlay {
                    shared: Vec::new(),
                    files: vec![release_file("app.env", "x\n", Some(owner))],
                }),
                ..order(&lab, &format!("1-{owner}"), lab.artifact(b"x"), &[])
            };
            let result = host.stage(&order).await;
            let at = lab.root().join(format!("releases/1-{owner}"));
            if !rustix::process::getuid().is_root() {
                assert!(what(result).contains("set become"));
            } else if fine {
                result.unwrap();
                let uid = std::os::unix::fs::MetadataExt::uid(
                    &std::fs::metadata(at.join("app.env")).unwrap(),
                );
                assert_ne!(uid, 0);
            } else {
                let said = what(result);
                assert!(said.contains("app.env to no-such-user-x"), "{said}");
                assert!(!at.exists());
            }
        }
    }
}
