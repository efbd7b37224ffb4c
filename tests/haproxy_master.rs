//! Masters, old workers and agents, on a real `HAProxy`.

use std::time::Duration;

use rollgate::drivers::balancer::{BalancerError, LoadBalancer};
use rollgate::model::Admin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use crate::support::app::App;
use crate::support::haproxy::{Haproxy, TWO_POOLS, change, driver, pool, seen, until};

#[tokio::test]
async fn the_masters_socket_serves_as_well_as_a_workers() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let balancer = driver(&haproxy.socket("master.sock"), None);
    // Also where the first thing that is ever said is an order.
    balancer
        .tell(&[change("be", "s2", Admin::Drain)])
        .await
        .unwrap();
    let seen_now = balancer.observe(&[pool("be")]).await.unwrap();
    assert_eq!(seen_now.read_only, None);
    assert!(seen_now.process.starts_with("pid "));
    for admin in [Admin::Drain, Admin::Maint, Admin::Ready] {
        let mut order = change("be", "s1", admin);
        order.weight = Some(42);
        balancer.tell(&[order]).await.unwrap();
        let now = seen(&*balancer, "be", "s1").await;
        assert_eq!((now.admin, now.weight), (admin, Some(42)));
        assert_eq!(seen(&*haproxy.driver(), "be", "s1").await.admin, admin);
    }
    for (at, name, words) in [
        ("nope", "s1", "No such backend."),
        ("be", "nope", "No such server."),
    ] {
        let order = change(at, name, Admin::Drain);
        let error = balancer.tell(&[order]).await.unwrap_err();
        assert!(
            matches!(&error, BalancerError::Refused { answer, .. } if answer == words),
            "{error}"
        );
    }
    assert!(
        balancer
            .enable_by_hand(&pool("be"), &crate::support::haproxy::server("s1"))
            .contains("@1 set server be/s1 state ready")
    );
}

fn front(app: &App) -> String {
    let address = app.address;
    format!(
        "
frontend front
  bind unix@DIR/front.sock
  default_backend be
backend be
  server s1 {address}
  server s2 127.0.0.1:9 weight 0
"
    )
}

async fn old_request_counts(balancer: &dyn LoadBalancer, haproxy: &Haproxy) {
    let mut client = UnixStream::connect(haproxy.socket("front.sock"))
        .await
        .unwrap();
    let text = "GET /slower HTTP/1.1\r\nhost: x\r\n\r\n";
    let pools = [pool("be")];
    let before = balancer.observe(&pools).await.unwrap().process;
    client.write_all(text.as_bytes()).await.unwrap();
    until("the request is in flight", async || {
        seen(balancer, "be", "s1").await.in_flight == 1
    })
    .await;
    haproxy.reload();
    until("another process answers", async || {
        let now = balancer.observe(&pools).await;
        now.is_ok_and(|now| now.process != before)
    })
    .await;
    balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap();
    let now = seen(balancer, "be", "s1").await;
    assert_eq!((now.admin, now.in_flight), (Admin::Drain, 1));
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 200"));
    drop(client);
    until("it has ended", async || {
        match balancer.observe(&pools).await {
            Ok(now) => now.pools[&pools[0]]
                .servers
                .values()
                .all(|server| server.in_flight == 0),
            // It is just ending, and cannot be asked any more.
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                false
            }
        }
    })
    .await;
}

#[tokio::test]
async fn requests_of_an_old_worker_count_through_the_masters_socket() {
    let app = App::start().await;
    let haproxy = Haproxy::start(&front(&app)).await;
    let balancer = driver(&haproxy.socket("master.sock"), None);
    old_request_counts(&*balancer, &haproxy).await;
}

#[tokio::test]
async fn requests_of_an_old_worker_count_through_a_workers_socket() {
    let app = App::start().await;
    let haproxy = Haproxy::start(&front(&app)).await;
    old_request_counts(&*haproxy.driver(), &haproxy).await;
}

#[tokio::test]
async fn requests_of_an_old_worker_count_also_for_who_comes_after_the_reload() {
    let app = App::start().await;
    let haproxy = Haproxy::start(&front(&app)).await;
    let mut client = UnixStream::connect(haproxy.socket("front.sock"))
        .await
        .unwrap();
    let text = "GET /slower HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(text.as_bytes()).await.unwrap();
    until("the request is in flight", async || {
        seen(&*haproxy.driver(), "be", "s1").await.in_flight == 1
    })
    .await;
    haproxy.reload();
    until("only the old worker has it", async || {
        let first_look = haproxy.driver();
        let now = first_look.observe(&[pool("be")]).await;
        now.is_ok_and(|now| now.pools.values().all(|pool| pool.servers.len() == 2))
            && haproxy.workers() == 2
    })
    .await;
    let balancer = haproxy.driver();
    assert_eq!(seen(&*balancer, "be", "s1").await.in_flight, 1);
    drop(client);
}

/// An agent that always says the same.
async fn agent(word: &'static str) -> (u16, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(format!("{word}\n").as_bytes())
                .await
                .unwrap();
        }
    });
    (port, AbortOnDropHandle::new(serving))
}

#[tokio::test]
async fn an_agent_that_says_ready_does_not_end_a_drain() {
    let (port, _agent) = agent("ready").await;
    let config = format!(
        "\nbackend be\n  server s1 127.0.0.1:9 agent-check agent-port {port} agent-inter 100ms\n  server s2 127.0.0.1:9\n"
    );
    let haproxy = Haproxy::start(&config).await;
    let balancer = haproxy.driver();
    assert!(seen(&*balancer, "be", "s1").await.agent);
    assert!(!seen(&*balancer, "be", "s2").await.agent);
    let mut order = change("be", "s1", Admin::Drain);
    order.agent = Some(false);
    balancer.tell(&[order]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let now = seen(&*balancer, "be", "s1").await;
    assert_eq!((now.admin, now.agent), (Admin::Drain, false));
    let mut order = change("be", "s1", Admin::Ready);
    order.agent = Some(true);
    balancer.tell(&[order]).await.unwrap();
    let now = seen(&*balancer, "be", "s1").await;
    assert_eq!((now.admin, now.agent), (Admin::Ready, true));
}
