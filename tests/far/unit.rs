//! The files and the state of a unit, for both shells. `systemctl` is a double here, since these machines need no systemd: it writes down
//! what it is asked, and shows what the test lets it show. The real one is asked in `tests/hosts`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rollgate::drivers::host::{FinishOrder, HostError, SwapOrder};
use rollgate::model::record::Before;
use rollgate::model::{Record, ReleaseRef, Restart, Revision, Run, Unit, UnitFiles, Version};

use super::{Lab, record, service, swap_order};
use crate::support::local_shell::LocalShell;

const SYSTEMCTL: &str = "#!/bin/sh\n\
    [ \"$1\" = --user ] && shift\n\
    if [ \"$1\" = show ]; then cat \"$HOME/shown\"; exit; fi\n\
    echo \"$*\" >>\"$HOME/asked\"\n\
    [ ! -e \"$HOME/broken\" ]\n";
const RUNS: &str =
    "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\nType=simple\n";

/// A lab whose shell has a home of its own, and that `systemctl`.
fn homes() -> [(Lab, PathBuf); 2] {
    Lab::both().map(|mut lab| {
        let home = lab.dir.path().join("home");
        let bin = home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(home.join("shown"), RUNS).unwrap();
        write_program(&bin.join("systemctl"), SYSTEMCTL);
        let path = lab.shell.path.as_ref();
        let path = path.map_or("$PATH".to_owned(), |path| path.display().to_string());
        let shell = format!(
            "#!/bin/sh\nHOME='{home}' PATH='{bin}':{path} exec '{program}' \"$@\"\n",
            home = home.display(),
            bin = bin.display(),
            program = lab.shell.program.display(),
        );
        write_program(&home.join("shell"), &shell);
        lab.shell = LocalShell {
            program: home.join("shell"),
            path: None,
        };
        (lab, home)
    })
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A unit of the user's own, so that no privilege is needed.
fn unit(text: Option<&str>, drop_in: Option<&str>) -> Run {
    let unit = Unit {
        user: true,
        files: UnitFiles::Rendered {
            text: text.map(str::to_owned),
            drop_in: drop_in.map(str::to_owned),
        },
        ..Unit::named("app.service")
    };
    Run {
        restart: Restart::Systemd(unit),
        ..service("", "")
    }
}

fn numbered(lab: &Lab, number: u64) -> ReleaseRef {
    ReleaseRef {
        revision: Revision(number),
        ..lab.release(&format!("{number}-a"), "x")
    }
}

/// A swap to that revision, in a rollout that found revision `before`.
fn order(lab: &Lab, to: u64, before: u64, run: &Run) -> SwapOrder {
    let before = Before {
        revision: Revision(before),
        version: Version::new("a").ok(),
        dir: String::new(),
    };
    SwapOrder {
        record: Record {
            before: Some(before),
            ..record()
        },
        ..swap_order(Some(numbered(lab, to)), run)
    }
}

/// What lies in the places of the unit and of its drop-in.
fn files(home: &Path) -> [Option<String>; 2] {
    let units = home.join(".config/systemd/user");
    ["app.service", "app.service.d/50-rollgate.conf"]
        .map(|name| fs::read_to_string(units.join(name)).ok())
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

fn reloads(home: &Path) -> usize {
    let asked = fs::read_to_string(home.join("asked")).unwrap_or_default();
    asked
        .lines()
        .filter(|line| line.contains("daemon-reload"))
        .count()
}

#[tokio::test]
async fn a_unit_is_written_once_and_what_was_absent_is_so_again() {
    for (lab, home) in homes() {
        let host = lab.locked("a1").await;
        let forward = order(&lab, 1, 0, &unit(Some("[Service]"), Some("limit")));
        for _ in 0..2 {
            host.swap(&forward).await.unwrap();
            assert_eq!(files(&home), [Some(line("[Service]")), Some(line("limit"))]);
            assert_eq!(reloads(&home), 1, "{:?}", lab.shell);
        }
        let mut back = order(&lab, 0, 0, &unit(Some("[Service]"), None).going_back());
        back.leaving = Some(forward.entering.clone());
        for _ in 0..2 {
            host.swap(&back).await.unwrap();
            assert_eq!(files(&home), [None, None]);
            assert_eq!(reloads(&home), 2);
        }
    }
}

#[tokio::test]
async fn every_revision_that_ran_under_a_unit_gets_it_back() {
    for (lab, home) in homes() {
        let host = lab.locked("a1").await;
        let units = home.join(".config/systemd/user");
        fs::create_dir_all(&units).unwrap();
        fs::write(units.join("app.service"), "by hand\n\n").unwrap();
        for (to, before) in [(1, 0), (2, 1)] {
            let plain = unit(None, None);
            host.swap(&order(&lab, to, before, &plain)).await.unwrap();
        }
        assert!(!lab.state("units").exists());
        let third = unit(Some("third"), None);
        host.swap(&order(&lab, 3, 2, &third)).await.unwrap();
        let fourth = unit(Some("fourth"), Some("limit"));
        host.swap(&order(&lab, 4, 3, &fourth)).await.unwrap();
        for (to, text, drop_in) in [
            (1, Some("by hand\n\n".to_owned()), None),
            (4, Some(line("fourth")), Some(line("limit"))),
            (3, Some(line("third")), None),
            (0, Some("by hand\n\n".to_owned()), None),
        ] {
            let back = order(&lab, to, 4, &fourth.clone().going_back());
            host.swap(&back).await.unwrap();
            assert_eq!(files(&home), [text, drop_in], "{to}, {:?}", lab.shell);
        }
        // Revisions that go take their units along.
        let end = FinishOrder {
            prune: vec!["2-a".to_owned()],
            ..FinishOrder::default()
        };
        host.finish(&end).await.unwrap();
        assert!(!lab.state("units/2").exists() && lab.state("units/3").exists());
    }
}

#[tokio::test]
async fn a_reload_that_was_cut_off_is_made_up_for() {
    for (lab, home) in homes() {
        let host = lab.locked("a1").await;
        let forward = order(&lab, 1, 0, &unit(Some("[Service]"), None));
        fs::write(home.join("broken"), "").unwrap();
        host.swap(&forward).await.unwrap_err();
        // The file is as it should be, and systemd does not know it yet.
        assert_eq!(files(&home)[0], Some(line("[Service]")));
        fs::remove_file(home.join("broken")).unwrap();
        host.swap(&forward).await.unwrap();
        assert_eq!(reloads(&home), 2, "{:?}", lab.shell);
        host.swap(&forward).await.unwrap();
        assert_eq!(reloads(&home), 2);
    }
}

#[tokio::test]
async fn a_unit_that_is_a_link_is_left_alone() {
    for (lab, home) in homes() {
        let host = lab.locked("a1").await;
        let units = home.join(".config/systemd/user");
        fs::create_dir_all(&units).unwrap();
        std::os::unix::fs::symlink("/opt/elsewhere", units.join("app.service")).unwrap();
        let forward = order(&lab, 1, 0, &unit(Some("[Service]"), None));
        let Err(HostError::Failed { what, .. }) = host.swap(&forward).await else {
            panic!("a link was replaced");
        };
        assert!(what.contains("is a link"), "{what}");
        assert!(units.join("app.service").is_symlink());
    }
}

#[tokio::test]
async fn a_unit_that_died_is_seen_whatever_systemd_does_with_it_then() {
    for (lab, home) in homes() {
        let host = lab.locked("a1").await;
        let forward = order(&lab, 1, 0, &unit(None, None));
        for (seen, dead) in [
            (
                "ActiveState=failed\nSubState=failed\nResult=exit-code",
                true,
            ),
            (
                "ActiveState=activating\nSubState=auto-restart\nNRestarts=0",
                true,
            ),
            ("ActiveState=active\nSubState=running\nNRestarts=3", true),
            ("ActiveState=inactive\nSubState=dead\nType=simple", true),
            ("ActiveState=inactive\nSubState=dead\nType=oneshot", false),
            // Before systemd 235 there was no such count.
            ("ActiveState=active\nSubState=running", false),
        ] {
            fs::write(home.join("shown"), format!("{seen}\n")).unwrap();
            let result = host.swap(&forward).await;
            match result {
                Err(HostError::Failed { what, .. }) if dead => {
                    assert!(
                        what.contains("app.service died right after its start"),
                        "{what}"
                    );
                }
                Ok(_) if !dead => {}
                other => panic!("{seen}: {other:?}"),
            }
        }
    }
}
