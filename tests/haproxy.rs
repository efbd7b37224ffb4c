//! What the `HAProxy` driver sees and does, on a real `HAProxy`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rollgate::drivers::balancer::BalancerError;
use rollgate::model::{Admin, Health};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::app::App;
use crate::support::haproxy::{Haproxy, TWO_POOLS, change, driver, pool, seen, server, until};

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
