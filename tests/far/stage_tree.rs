//! The files of an archive on a host.

use std::os::unix::fs::PermissionsExt as _;

use rollgate::drivers::archive;
use rollgate::drivers::host::{HostError, StageOrder, Staged};
use rollgate::model::{Artifact, Form, Overlay, Sha256};

use super::{Lab, release_at, sha_of};

/// An archive of the folder that `script` fills.
fn archived(lab: &Lab, script: &str) -> Artifact {
    let folder = lab.dir.path().join("tree");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let done = std::process::Command::new("sh")
        .args(["-ec", &format!("{script}\ntar -czf ../tree.tar.gz .")])
        .current_dir(&folder)
        .status();
    assert!(done.unwrap().success());
    let path = lab.dir.path().join("tree.tar.gz");
    let sha256 = sha_of(&std::fs::read(&path).unwrap());
    let into = lab.dir.path().join("pack.tar.gz");
    let pack = archive::pack(&path, &sha256, &["log".to_owned()], &into).unwrap();
    Artifact {
        path,
        name: "tree.tar.gz".to_owned(),
        sha256,
        size: pack.unpacked,
        from: "here".to_owned(),
        form: Form::Tree(Some(pack)),
    }
}

const FILES: &str = "mkdir -p bin 'a dir' empty; echo run >bin/app; chmod 750 bin/app; echo x >'a dir/a file'; echo b >'back\\slash'
ln -s ../bin/app 'a dir/link'; echo dash >-x; head -c 200000 /dev/urandom >noise";

fn order(lab: &Lab, name: &str, artifact: &Artifact, candidates: &[&str]) -> StageOrder {
    StageOrder {
        release: release_at(&lab.root().join("releases").join(name)),
        artifact: artifact.clone(),
        candidates: candidates.iter().map(|&name| name.to_owned()).collect(),
        is_absent: false,
        overlay: Some(Overlay {
            shared: vec!["log".to_owned(), "data/up loads".to_owned()],
            files: Vec::new(),
        }),
    }
}

fn left(lab: &Lab) -> Vec<String> {
    let entries = std::fs::read_dir(lab.root().join("releases")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn what(result: Result<Staged, HostError>) -> String {
    match result {
        Err(HostError::Failed { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_archive_is_unpacked_once_with_its_modes_and_links() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let artifact = archived(&lab, FILES);
        let order = order(&lab, "1-a", &artifact, &[]);
        assert!(host.stage(&order).await.unwrap().sent_bytes > 0);
        let at = lab.root().join("releases/1-a");
        let mode = std::fs::metadata(at.join("bin/app"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o750);
        assert_eq!(
            std::fs::read_to_string(at.join("a dir/link")).unwrap(),
            "run\n"
        );
        assert!(at.join("empty").is_dir() && at.join("-x").is_file());
        let shared = |path: &str| std::fs::read_link(at.join(path)).unwrap();
        assert_eq!(shared("log").to_str(), Some("../../shared/log"));
        assert_eq!(
            shared("data/up loads").to_str(),
            Some("../../../shared/data/up loads")
        );
        std::fs::write(at.join("data/up loads/kept"), "x").unwrap();
        assert!(lab.root().join("shared/data/up loads/kept").is_file());
        // Again: nothing is sent, and every file was looked at.
        assert_eq!(host.stage(&order).await.unwrap().sent_bytes, 0);
        std::fs::write(at.join("a dir/a file"), "y").unwrap();
        let said = what(host.stage(&order).await);
        assert!(
            said.contains("not overwritten") && said.contains("changed"),
            "{said}"
        );
        assert_eq!(left(&lab), ["1-a"]);
    }
}

#[tokio::test]
async fn the_same_archive_in_an_earlier_release_is_copied_without_what_came_later() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let artifact = archived(&lab, FILES);
        host.stage(&order(&lab, "1-a", &artifact, &[]))
            .await
            .unwrap();
        std::fs::write(lab.root().join("releases/1-a/a dir/junk"), "pid").unwrap();
        // The archive is not here any more.
        let gone = Artifact {
            form: Form::Tree(None),
            ..artifact.clone()
        };
        let order = order(&lab, "2-a", &gone, &["1-a"]);
        assert_eq!(host.stage(&order).await.unwrap().sent_bytes, 0);
        let at = lab.root().join("releases/2-a");
        assert!(at.join("bin/app").is_file() && at.join("back\\slash").is_file());
        assert!(at.join("empty").is_dir() && !at.join("a dir/junk").exists());
        assert_eq!(host.stage(&order).await.unwrap().sent_bytes, 0);
    }
}

#[tokio::test]
async fn an_archive_that_is_nowhere_is_said_so() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let artifact = Artifact {
            form: Form::Tree(None),
            ..archived(&lab, FILES)
        };
        let said = what(host.stage(&order(&lab, "1-a", &artifact, &["0-z"])).await);
        assert!(said.contains("not on this host any more"), "{said}");
    }
}

#[tokio::test]
async fn what_arrives_cut_or_changed_leaves_nothing() {
    for lab in Lab::both() {
        let host = lab.locked("a1").await;
        let artifact = archived(&lab, FILES);
        let Form::Tree(Some(pack)) = &artifact.form else {
            panic!("{artifact:?}");
        };
        let whole = std::fs::read(&pack.path).unwrap();
        std::fs::write(&pack.path, &whole[..whole.len() / 2]).unwrap();
        let said = what(host.stage(&order(&lab, "1-a", &artifact, &[])).await);
        assert!(said.contains("nothing is left"), "{said}");
        assert_eq!(left(&lab), Vec::<String>::new());
        std::fs::write(&pack.path, &whole).unwrap();
        let mut other = artifact.clone();
        let mut pack = pack.clone();
        pack.manifest = Sha256::new(&"0".repeat(64)).unwrap();
        other.form = Form::Tree(Some(pack));
        let said = what(host.stage(&order(&lab, "1-a", &other, &[])).await);
        assert!(said.contains("another list of files"), "{said}");
        assert_eq!(left(&lab), Vec::<String>::new());
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
        let mut artifact = archived(&lab, "head -c 4000000 /dev/urandom >noise");
        // The look believes in 100 bytes; what comes is more than fits.
        artifact.size = 100;
        let said = what(host.stage(&order(&lab, "1-a", &artifact, &[])).await);
        let remains = left(&lab);
        let unmounted = std::process::Command::new("umount")
            .arg(lab.root())
            .status();
        assert!(unmounted.unwrap().success());
        assert!(
            said.contains("cannot unpack") && said.contains("KiB are free"),
            "{said}"
        );
        assert!(remains.is_empty(), "{remains:?}");
    }
}
