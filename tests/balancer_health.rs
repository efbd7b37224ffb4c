//! Hosts that look unfit to a balancer that nobody may touch.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::Change;
use rollgate::drivers::transport::{LocalTransport, Transport};
use rollgate::model::{Admin, HealthSwitch};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::support::by_command::{health_driver, shell, shells};
use crate::support::haproxy::{change, pool, seen, server};
use crate::support::sshd::Lab;

const NOTICE: Duration = Duration::from_secs(6);

fn to(server: &str, admin: Admin) -> Change {
    change("app", server, admin)
}

fn file(path: &Path) -> HealthSwitch {
    HealthSwitch::File(path.to_str().unwrap().to_owned())
}

/// Makes the file look as if it had been there for so long.
fn age(path: &Path, seconds: i64) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let at = Timespec {
        tv_sec: i64::try_from(now.as_secs()).unwrap() - seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at,
        last_modification: at,
    };
    utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

#[tokio::test]
async fn a_file_takes_a_host_out_and_the_balancer_gets_time_to_notice() {
    let (_tools, shells) = shells();
    for shell in shells {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's out");
        let driver = health_driver(NOTICE, vec![(Arc::clone(&shell), file(&path))]);
        let look = driver.observe(&[pool("app"), pool("other")]).await.unwrap();
        assert_eq!((look.pools.len(), look.read_only), (1, None));
        let found = seen(&*driver, "app", "s1").await;
        assert!(found.usable && !found.settling && found.admin == Admin::Ready);
        for _ in 0..2 {
            driver.tell(&[to("s1", Admin::Drain)]).await.unwrap();
            assert!(path.exists());
            let out = seen(&*driver, "app", "s1").await;
            assert!(!out.usable && out.settling && out.admin == Admin::Drain);
        }
        // Told again it keeps its age: another process can tell by the host's clock.
        age(&path, 60);
        driver.tell(&[to("s1", Admin::Drain)]).await.unwrap();
        let other = health_driver(NOTICE, vec![(shell, file(&path))]);
        assert!(!seen(&*other, "app", "s1").await.settling);
        age(&path, 6);
        assert!(
            seen(&*other, "app", "s1").await.settling,
            "a second more for rounded clocks"
        );
        age(&path, -60);
        assert!(
            seen(&*other, "app", "s1").await.settling,
            "a clock that was set back"
        );
        driver.tell(&[to("s1", Admin::Ready)]).await.unwrap();
        assert!(!path.exists());
        let back = seen(&*driver, "app", "s1").await;
        assert!(!back.usable && back.admin == Admin::Ready && !back.settling);
    }
}

#[tokio::test]
async fn after_the_time_to_notice_it_is_settled_and_usable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let here: Arc<dyn Transport> = Arc::new(LocalTransport::default());
    let notice = Duration::from_millis(300);
    let driver = health_driver(notice, vec![(here, file(&path))]);
    for (admin, done) in [(Admin::Drain, false), (Admin::Ready, true)] {
        let told = std::time::Instant::now();
        driver.tell(&[to("s1", admin)]).await.unwrap();
        loop {
            let server = seen(&*driver, "app", "s1").await;
            let noticed = if done {
                server.usable
            } else {
                !server.settling
            };
            if noticed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(told.elapsed() >= notice, "{:?}", told.elapsed());
    }
}

#[tokio::test]
async fn a_file_that_somebody_else_put_there_or_took_away_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let here: Arc<dyn Transport> = Arc::new(LocalTransport::default());
    let driver = health_driver(NOTICE, vec![(here, file(&path))]);
    assert!(seen(&*driver, "app", "s1").await.usable);
    std::fs::write(&path, "").unwrap();
    assert_eq!(seen(&*driver, "app", "s1").await.admin, Admin::Drain);
    std::fs::remove_file(&path).unwrap();
    let back = seen(&*driver, "app", "s1").await;
    assert!(
        back.admin == Admin::Ready && !back.usable,
        "the balancer has not noticed yet"
    );
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_found_before_anything_is_told() {
    let (_tools, shells) = shells();
    for shell in shells {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none/out");
        let driver = health_driver(NOTICE, vec![(shell, file(&path))]);
        let look = driver.observe(&[pool("app")]).await.unwrap();
        let why = look.read_only.unwrap();
        assert!(
            why.contains("web-1: there is no folder") && why.contains("become"),
            "{why}"
        );
        let error = driver.tell(&[to("s1", Admin::Drain)]).await.unwrap_err();
        assert!(
            !error.is_retriable() && error.to_string().contains("none/out"),
            "{error}"
        );
        std::fs::create_dir_all(&path).unwrap();
        let look = driver.observe(&[pool("app")]).await.unwrap();
        assert!(look.read_only.unwrap().contains("is a folder"));
        assert!(driver.tell(&[to("s1", Admin::Drain)]).await.is_err());
    }
}

#[tokio::test]
async fn commands_are_run_on_the_host_itself() {
    let (_tools, shells) = shells();
    for transport in shells {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let name = path.display();
        let switch = HealthSwitch::Commands {
            drain: shell(&format!(": >'{name}'")),
            enable: shell(&format!("rm -f '{name}'")),
            state: shell(&format!(
                "if [ -e '{name}' ]; then echo drain; else echo ready; fi"
            )),
        };
        let driver = health_driver(NOTICE, vec![(transport, switch)]);
        assert!(seen(&*driver, "app", "s1").await.usable);
        driver.tell(&[to("s1", Admin::Drain)]).await.unwrap();
        let out = seen(&*driver, "app", "s1").await;
        assert!(out.settling && out.admin == Admin::Drain);
        driver.tell(&[to("s1", Admin::Ready)]).await.unwrap();
        assert_eq!(seen(&*driver, "app", "s1").await.admin, Admin::Ready);
        let unknown = driver.tell(&[to("s9", Admin::Drain)]).await.unwrap_err();
        assert!(!unknown.is_retriable());
    }
}

#[tokio::test]
async fn over_ssh_all_hosts_are_asked_and_one_that_is_gone_is_named() {
    let Some(lab) = Lab::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (_one, to_one) = lab.host("");
    let (two, to_two) = lab.host("");
    let files = ["a", "b"].map(|name| dir.path().join(name));
    let hosts = vec![(to_one, file(&files[0])), (to_two.clone(), file(&files[1]))];
    let driver = health_driver(Duration::ZERO, hosts);
    let both = ["s1", "s2"].map(|name| to(name, Admin::Drain));
    driver.tell(&both).await.unwrap();
    assert!(files.iter().all(|file| file.exists()));
    let look = driver.observe(&[pool("app")]).await.unwrap();
    assert_eq!(look.pools[&pool("app")].usable(), 0);
    let line = driver.enable_by_hand(&pool("app"), &server("s2"));
    assert!(
        line.starts_with(&format!("ssh -p {} ", two.port)) && line.contains("rm -f"),
        "{line}"
    );
    drop(two);
    // Its children live on with the connections that they serve.
    to_two.close().await;
    let error = driver.observe(&[pool("app")]).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("at web-2"),
        "{error}"
    );
    // What can be told is told all the same.
    let both = ["s1", "s2"].map(|name| to(name, Admin::Ready));
    let error = driver.tell(&both).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert!(!files[0].exists() && files[1].exists());
}
