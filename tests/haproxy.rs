//! The `HAProxy` driver against a real `HAProxy`.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollgate::drivers::balancer::{BalancerError, Change, LoadBalancer};
use rollgate::model::fleet::Endpoint;
use rollgate::model::{Admin, Become, Health, PoolName, ServerName, ServerSeen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::app::App;
use crate::support::haproxy::{Haproxy, driver, driver_at, until};
use crate::support::shell_host::{Forwarding, ShellHost};

/// Nobody listens on these ports; without a check that is of no matter.
const TWO_POOLS: &str = "
backend be
  server s1 127.0.0.1:9 weight 100
  server s2 127.0.0.1:9
  server off 127.0.0.1:9 disabled
backend other
  cookie SRV insert
  server s1 127.0.0.1:9 cookie c1
  server tracker 127.0.0.1:9 track checked/s1
backend checked
  server s1 127.0.0.1:9 check inter 100ms
";

fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

fn change(at: &str, name: &str, admin: Admin) -> Change {
    Change {
        pool: pool(at),
        server: server(name),
        admin,
        weight: None,
    }
}

async fn seen(balancer: &dyn LoadBalancer, at: &str, name: &str) -> ServerSeen {
    let pools = [pool(at)];
    let seen = balancer.observe(&pools).await.unwrap();
    seen.pools[&pools[0]].servers[&server(name)].clone()
}

#[tokio::test]
async fn pools_servers_and_permission_are_seen_in_one_look() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    let wanted = [pool("be"), pool("other"), pool("nope")];
    let seen = balancer.observe(&wanted).await.unwrap();
    assert_eq!(seen.read_only, None);
    assert!(seen.process.starts_with("pid "), "{}", seen.process);
    assert_eq!(seen.pools.keys().cloned().collect::<Vec<_>>(), wanted[..2]);
    let be = &seen.pools[&wanted[0]];
    assert_eq!((be.servers.len(), be.usable()), (3, 2));
    let first = &be.servers[&server("s1")];
    assert_eq!(first.health, Health::Unchecked);
    assert_eq!(
        (first.weight, first.in_flight, first.sticky),
        (Some(100), 0, false)
    );
    assert!(seen.pools[&wanted[1]].servers[&server("s1")].sticky);
}

#[tokio::test]
async fn a_server_goes_through_drain_maint_and_ready() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    for (admin, usable) in [
        (Admin::Drain, false),
        (Admin::Maint, false),
        (Admin::Ready, true),
    ] {
        // Told twice: the second time is no error.
        for _ in 0..2 {
            balancer.tell(&[change("be", "s1", admin)]).await.unwrap();
        }
        let now = seen(&*balancer, "be", "s1").await;
        assert_eq!((now.admin, now.usable), (admin, usable));
        assert!(seen(&*balancer, "be", "s2").await.usable);
    }
}

#[tokio::test]
async fn several_pools_are_told_at_once_and_in_order() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    let changes = [
        change("be", "s1", Admin::Maint),
        change("be", "s2", Admin::Drain),
        change("other", "s1", Admin::Drain),
        change("be", "off", Admin::Maint),
        change("be", "s1", Admin::Drain),
    ];
    balancer.tell(&changes).await.unwrap();
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
    assert_eq!(seen(&*balancer, "be", "s2").await.admin, Admin::Drain);
    assert_eq!(seen(&*balancer, "other", "s1").await.admin, Admin::Drain);
}

#[tokio::test]
async fn an_unknown_name_is_refused_and_the_other_changes_are_made() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    for (at, name, words) in [
        ("nope", "s1", "No such backend."),
        ("be", "nope", "No such server."),
    ] {
        let changes = [
            change(at, name, Admin::Drain),
            change("be", "s1", Admin::Drain),
        ];
        let error = balancer.tell(&changes).await.unwrap_err();
        assert!(
            matches!(&error, BalancerError::Refused { answer, .. } if answer == words),
            "{error}"
        );
        assert!(!error.is_retriable());
        assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
        balancer
            .tell(&[change("be", "s1", Admin::Ready)])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_socket_of_level_operator_is_read_only_and_says_what_to_change() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = driver(&haproxy.socket("operator.sock"), None);
    let why = balancer.observe(&[]).await.unwrap().read_only.unwrap();
    assert!(
        why.contains("`operator`") && why.contains("level admin"),
        "{why}"
    );
    let error = balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap_err();
    assert!(matches!(error, BalancerError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn the_masters_socket_is_recognised() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = driver(&haproxy.socket("master.sock"), None);
    let error = balancer.observe(&[pool("be")]).await.unwrap_err();
    assert!(error.to_string().contains("master's socket"), "{error}");
    assert!(!error.is_retriable());
}

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
            stream.read(&mut line).await.unwrap();
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

/// A frontend on a unix socket before one application.
fn with_app(app: &App, options: &str) -> String {
    let address = app.address;
    format!(
        "
frontend front
  bind unix@DIR/front.sock
  default_backend be
backend be
  server s1 {address} {options}
  server s2 127.0.0.1:9 weight 0
"
    )
}

async fn request(stream: &mut UnixStream, path: &str) {
    let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn requests_count_as_in_flight_and_idle_connections_do_not() {
    let app = App::start().await;
    let haproxy = Haproxy::start(&with_app(&app, "")).await;
    let balancer = haproxy.driver();
    let mut client = UnixStream::connect(haproxy.socket("front.sock"))
        .await
        .unwrap();
    request(&mut client, "/slow").await;
    until("the request is in flight", async || {
        seen(&*balancer, "be", "s1").await.in_flight == 1
    })
    .await;
    balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap();
    assert_eq!(seen(&*balancer, "be", "s1").await.in_flight, 1);
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 200"));
    until("it has ended", async || {
        seen(&*balancer, "be", "s1").await.in_flight == 0
    })
    .await;
    // The client's connection is still open, and so is the one to the server.
    balancer
        .tell(&[change("be", "s1", Admin::Ready)])
        .await
        .unwrap();
    request(&mut client, "/").await;
    assert!(client.read(&mut answer).await.unwrap() > 0);
}

#[tokio::test]
async fn requests_that_wait_for_this_very_server_count_too() {
    let app = App::start().await;
    let config = with_app(&app, "cookie c1 maxconn 1")
        .replace("backend be\n", "backend be\n  cookie SRV insert\n");
    let haproxy = Haproxy::start(&config).await;
    let balancer = haproxy.driver();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = UnixStream::connect(haproxy.socket("front.sock"))
            .await
            .unwrap();
        request(&mut client, "/slow HTTP/1.1\r\ncookie: SRV=c1\r\nx:").await;
        clients.push(client);
    }
    until("one is served and two wait", async || {
        seen(&*balancer, "be", "s1").await.in_flight == 3
    })
    .await;
    assert_eq!(seen(&*balancer, "be", "s2").await.in_flight, 0);
}

#[tokio::test]
async fn a_reload_shows_as_another_process_that_forgot_the_drain() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap();
    let pools = [pool("be")];
    let before = balancer.observe(&pools).await.unwrap();
    assert_eq!(
        before.process,
        balancer.observe(&pools).await.unwrap().process
    );
    haproxy.reload();
    until("another process answers", async || {
        match balancer.observe(&pools).await {
            Ok(now) => now.process != before.process,
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                false
            }
        }
    })
    .await;
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Ready);
}

#[tokio::test]
async fn a_failing_check_shows_also_behind_a_drain_and_to_a_tracker() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    until("the check fails", async || {
        seen(&*balancer, "checked", "s1").await.health == Health::Down
    })
    .await;
    let down = seen(&*balancer, "checked", "s1").await;
    assert_eq!((down.admin, down.usable), (Admin::Ready, false));
    balancer
        .tell(&[change("checked", "s1", Admin::Drain)])
        .await
        .unwrap();
    let drained = seen(&*balancer, "checked", "s1").await;
    assert_eq!(
        (drained.admin, drained.health),
        (Admin::Drain, Health::Down)
    );
    let tracker = seen(&*balancer, "other", "tracker").await;
    assert_eq!(tracker.tracks.as_deref(), Some("checked/s1"));
    assert_eq!(
        (tracker.admin, tracker.health),
        (Admin::Drain, Health::Down)
    );
}

#[tokio::test]
async fn a_passing_check_shows_as_up_also_behind_a_drain() {
    let app = App::start().await;
    let haproxy = Haproxy::start(&with_app(&app, "check inter 100ms")).await;
    let balancer = haproxy.driver();
    for admin in [Admin::Ready, Admin::Drain] {
        balancer.tell(&[change("be", "s1", admin)]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = seen(&*balancer, "be", "s1").await;
        assert_eq!(
            (now.admin, now.health, now.usable),
            (admin, Health::Up, admin == Admin::Ready)
        );
    }
}

#[tokio::test]
async fn disabled_in_the_configuration_is_maint_until_it_is_told_ready() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    let off = seen(&*balancer, "be", "off").await;
    assert_eq!((off.admin, off.usable), (Admin::Maint, false));
    balancer
        .tell(&[change("be", "off", Admin::Ready)])
        .await
        .unwrap();
    let on = seen(&*balancer, "be", "off").await;
    assert_eq!((on.admin, on.usable), (Admin::Ready, true));
}

#[tokio::test]
async fn a_weight_is_put_back_and_a_weight_of_nothing_is_not_usable() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    for weight in [0, 42] {
        let mut order = change("be", "s1", Admin::Ready);
        order.weight = Some(weight);
        balancer.tell(&[order]).await.unwrap();
        let now = seen(&*balancer, "be", "s1").await;
        assert_eq!((now.weight, now.usable), (Some(weight), weight > 0));
    }
    let mut order = change("be", "s1", Admin::Ready);
    order.weight = Some(300);
    let error = balancer.tell(&[order]).await.unwrap_err();
    assert!(error.to_string().contains("256"), "{error}");
}

#[tokio::test]
async fn a_farm_whose_state_fills_many_buffers_is_read_whole() {
    let mut config = "\nbackend be\n".to_owned();
    for n in 0..800 {
        writeln!(config, "  server s{n} 127.0.0.1:9").unwrap();
    }
    let haproxy = Haproxy::start(&config).await;
    let wanted = [pool("be")];
    let seen = haproxy.driver().observe(&wanted).await.unwrap();
    assert_eq!(seen.pools[&wanted[0]].usable(), 800);
}

#[tokio::test]
async fn drained_and_seen_as_idle_within_fifty_milliseconds() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = haproxy.driver();
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        balancer
            .tell(&[change("be", "s1", Admin::Drain)])
            .await
            .unwrap();
        let now = seen(&*balancer, "be", "s1").await;
        best = best.min(start.elapsed());
        assert_eq!((now.admin, now.in_flight), (Admin::Drain, 0));
        balancer
            .tell(&[change("be", "s1", Admin::Ready)])
            .await
            .unwrap();
    }
    assert!(best < Duration::from_millis(50), "{best:?}");
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
        assert_eq!(host.ran.lock().unwrap().len(), scripts, "{forwarding:?}");
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

/// A folder with links to these programs only.
fn tools(programs: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, target) in programs {
        std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
    }
    dir
}

#[tokio::test]
async fn where_there_is_no_socat_nc_does() {
    let global = "  stats socket ipv4@127.0.0.1:PORT level admin";
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let _haproxy = Haproxy::start_with(&global.replace("PORT", &port.to_string()), TWO_POOLS).await;
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
