//! The ways to a real `HAProxy`'s socket, and what is said where they are shut.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rollgate::model::Endpoint;
use rollgate::model::{Admin, Become};
use tokio::io::AsyncReadExt;

use crate::support::haproxy::{Haproxy, TWO_POOLS, change, driver, driver_at, pool, seen, server};
use crate::support::shell_host::{Forwarding, ShellHost, tools};

#[tokio::test]
async fn a_socket_that_nobody_serves_may_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sock");
    let error = driver(&path, None).observe(&[]).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("stats socket"),
        "{error}"
    );
    drop(tokio::net::UnixListener::bind(&path).unwrap());
    let error = driver(&path, None).observe(&[]).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("not running"),
        "{error}"
    );
}

#[tokio::test]
async fn a_socket_without_permission_is_refused_at_once() {
    if rustix::process::geteuid().is_root() {
        eprintln!(
            "skipped: root may open every socket; the script's test covers this case for root"
        );
        return;
    }
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let path = haproxy.socket("admin.sock");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let error = haproxy.driver().observe(&[]).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("group"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_never_answers_is_given_up_after_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sock");
    let _silent = tokio::net::UnixListener::bind(&path).unwrap();
    let start = tokio::time::Instant::now();
    let error = driver(&path, None).observe(&[]).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("10s"),
        "{error}"
    );
    assert!(start.elapsed() <= Duration::from_secs(11));
}

#[tokio::test]
async fn nothing_at_all_is_not_success() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sock");
    let closing = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = closing.accept().await.unwrap();
            let mut line = [0; 64];
            assert!(stream.read(&mut line).await.unwrap() > 0);
        }
    });
    let error = driver(&path, None)
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("without an answer"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tcp_socket_works_like_a_unix_one() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let global = format!("  stats socket ipv4@127.0.0.1:{port} level admin");
    let _haproxy = Haproxy::start_with(&global, TWO_POOLS).await;
    let endpoint = Endpoint::Tcp("127.0.0.1".to_owned(), port);
    for host in [None, Some(Forwarding::On), Some(Forwarding::Prohibited)] {
        let host = host.map(|forwarding| Arc::new(ShellHost::new(forwarding)) as Arc<_>);
        let balancer = driver_at(endpoint.clone(), host);
        balancer
            .tell(&[change("be", "s1", Admin::Drain)])
            .await
            .unwrap();
        assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
        balancer
            .tell(&[change("be", "s1", Admin::Ready)])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn through_a_host_the_forwarded_socket_comes_first_and_the_script_second() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    for (forwarding, scripts) in [
        (Forwarding::On, 0),
        (Forwarding::OpenFailed, 2),
        (Forwarding::Prohibited, 2),
    ] {
        let host = Arc::new(ShellHost::new(forwarding));
        let balancer = driver(
            &haproxy.socket("admin.sock"),
            Some(Arc::clone(&host) as Arc<_>),
        );
        balancer
            .tell(&[change("be", "s1", Admin::Drain)])
            .await
            .unwrap();
        assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
        let ran = host.ran.lock().unwrap().clone();
        let asked = ran
            .iter()
            .filter(|what| **what == "talk to HAProxy's socket");
        assert_eq!(asked.count(), scripts, "{forwarding:?}: {ran:?}");
        haproxy
            .driver()
            .tell(&[change("be", "s1", Admin::Ready)])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_socket_path_of_odd_characters_reaches_socat_whole() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let odd = haproxy.dir().join("it's a, b:c.sock");
    std::os::unix::fs::symlink(haproxy.socket("admin.sock"), &odd).unwrap();
    let host: Arc<ShellHost> = Arc::new(ShellHost::new(Forwarding::OpenFailed));
    assert_eq!(
        seen(&*driver(&odd, Some(host)), "be", "s1").await.admin,
        Admin::Ready
    );
}

#[tokio::test]
async fn without_forwarding_and_without_tools_both_remedies_are_named() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let mut host = ShellHost::new(Forwarding::OpenFailed);
    host.shell = vec!["/bin/sh".to_owned(), "-e".to_owned()];
    let bare = tempfile::tempdir().unwrap();
    host.path = Some(bare.path().to_str().unwrap().to_owned());
    let error = driver(&haproxy.socket("admin.sock"), Some(Arc::new(host)))
        .observe(&[])
        .await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("socat") && text.contains("AllowStreamLocalForwarding"),
        "{text}"
    );
}

#[tokio::test]
async fn through_a_host_a_missing_socket_and_a_missing_right_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let host = Arc::new(ShellHost::new(Forwarding::On));
    let error = driver(&dir.path().join("x.sock"), Some(host))
        .observe(&[])
        .await
        .unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("No such file"),
        "{error}"
    );
    if !rustix::process::geteuid().is_root() {
        eprintln!("the rest is skipped: only root can run a script as another user");
        return;
    }
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let mut host = ShellHost::new(Forwarding::OpenFailed);
    host.shell = ["setpriv", "--reuid=65534", "--clear-groups", "sh"]
        .map(str::to_owned)
        .to_vec();
    let error = driver(&haproxy.socket("admin.sock"), Some(Arc::new(host)))
        .observe(&[])
        .await
        .unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("`become`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_person_types_really_brings_the_server_back() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap();
    let command = balancer.enable_by_hand(&pool("be"), &server("s1"));
    let ran = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(&command)
        .status()
        .await
        .unwrap();
    assert!(ran.success(), "{command}");
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Ready);
    let mut host = ShellHost::new(Forwarding::On);
    host.r#become = Become::Sudo;
    let there = driver(std::path::Path::new("/run/x.sock"), Some(Arc::new(host)));
    assert_eq!(
        there.enable_by_hand(&pool("be"), &server("s1")),
        r#"ssh -p 2222 me@127.0.0.1 'echo "set server be/s1 state ready" | sudo socat stdio unix-connect:/run/x.sock'"#
    );
}

#[tokio::test]
async fn where_there_is_no_socat_nc_does() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let global = format!("  stats socket ipv4@127.0.0.1:{port} level admin");
    let _haproxy = Haproxy::start_with(&global, TWO_POOLS).await;
    let dir = tools(&[("nc", "/bin/busybox")]);
    let mut host = ShellHost::new(Forwarding::Prohibited);
    host.shell = vec!["/bin/sh".to_owned()];
    host.path = Some(dir.path().to_str().unwrap().to_owned());
    let endpoint = Endpoint::Tcp("127.0.0.1".to_owned(), port);
    let balancer = driver_at(endpoint, Some(Arc::new(host)));
    let drain = [change("be", "s1", Admin::Drain)];
    balancer.tell(&drain).await.unwrap();
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
}

#[tokio::test]
async fn only_a_socket_that_the_user_may_not_write_to_is_asked_with_privilege() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run a script as another user");
        return;
    }
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let sudo = dir.path().join("sudo");
    std::fs::write(
        &sudo,
        "#!/bin/sh\necho \"sudo: I was to run $*\" >&2; exit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let ask = async |shell: &[&str]| {
        let mut host = ShellHost::new(Forwarding::OpenFailed);
        host.r#become = Become::Sudo;
        host.shell = shell.iter().map(|word| (*word).to_owned()).collect();
        host.path = Some(path.clone());
        let socket = haproxy.socket("admin.sock");
        driver(&socket, Some(Arc::new(host))).observe(&[]).await
    };
    assert!(ask(&["sh"]).await.is_ok());
    let error = ask(&["setpriv", "--reuid=65534", "--clear-groups", "sh"])
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("run -n socat -t 10") && text.contains("without a password"),
        "{text}"
    );
    assert!(!error.is_retriable());
}
