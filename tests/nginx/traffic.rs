//! Servers go out of traffic and come back, and what is under way is seen.

use std::time::{Duration, Instant};

use rollgate::model::{Admin, Health};

use super::tell;
use crate::support::app::App;
use crate::support::haproxy::{change, pool, seen, server, until};
use crate::support::nginx::{Nginx, get};

/// An upstream of these applications.
fn upstream(name: &str, apps: &[&App]) -> String {
    let lines: Vec<String> = apps
        .iter()
        .map(|app| {
            format!(
                "  server {};
",
                app.address
            )
        })
        .collect();
    let lines = lines.concat();
    format!("upstream {name} {{\n{lines}  keepalive 8;\n}}\n")
}

#[tokio::test]
async fn pools_and_servers_are_seen_in_one_look() {
    let nginx = Nginx::start("upstream app {\n server 127.0.0.1:9 weight=4;\n server 127.0.0.2:9 backup;\n server 127.0.0.3:9 down;\n}\n").await;
    let balancer = nginx.driver();
    let wanted = [pool("app"), pool("nope")];
    let seen = balancer.observe(&wanted).await.unwrap();
    assert_eq!(seen.read_only, None);
    assert!(seen.process.starts_with("pid "), "{}", seen.process);
    assert_eq!(seen.pools.keys().cloned().collect::<Vec<_>>(), wanted[..1]);
    let app = &seen.pools[&wanted[0]];
    assert_eq!((app.servers.len(), app.usable()), (3, 2));
    let first = &app.servers[&server("127.0.0.1:9")];
    assert_eq!(
        (first.health, first.weight, first.in_flight, first.settling),
        (Health::Unchecked, Some(4), 0, false)
    );
    assert_eq!(app.servers[&server("127.0.0.3:9")].admin, Admin::Drain);
    assert!(balancer.gathers());
}

#[tokio::test]
async fn a_server_goes_out_and_comes_back_and_the_file_is_as_it_was() {
    let (one, two) = (App::start().await, App::start().await);
    let nginx = Nginx::start(&upstream("app", &[&one, &two])).await;
    let (before, balancer) = (nginx.text(), nginx.driver());
    let name = one.address.to_string();
    let workers = nginx.workers();
    tell(&*balancer, &name, Admin::Drain).await;
    let now = seen(&*balancer, "app", &name).await;
    assert_eq!(
        (now.admin, now.usable, now.settling, now.in_flight),
        (Admin::Drain, false, false, 0)
    );
    assert!(
        nginx
            .workers()
            .iter()
            .all(|worker| !workers.contains(worker))
    );
    // Told again: nothing is edited, and nothing reloaded.
    let workers = nginx.workers();
    tell(&*balancer, &name, Admin::Maint).await;
    assert_eq!(nginx.workers(), workers);
    tell(&*balancer, &name, Admin::Ready).await;
    assert!(seen(&*balancer, "app", &name).await.usable);
    assert_eq!(nginx.text(), before);
    assert_eq!(nginx.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn requests_under_way_are_counted_until_they_end_and_none_is_lost() {
    let (one, two) = (App::start().await, App::start().await);
    let nginx = Nginx::start(&upstream("app", &[&one])).await;
    let text = nginx.text().replace(
        "  keepalive",
        &format!("  server {} backup;\n  keepalive", two.address),
    );
    std::fs::write(nginx.file(), text).unwrap();
    let (balancer, name) = (nginx.driver(), one.address.to_string());
    let front = nginx.front;
    let slow: Vec<_> = (0..3)
        .map(|_| tokio::spawn(async move { get(front, "/slow").await }))
        .collect();
    // Not by its answer: it must be under way when the server goes.
    tokio::time::sleep(Duration::from_millis(200)).await;
    tell(&*balancer, &name, Admin::Drain).await;
    assert_eq!(seen(&*balancer, "app", &name).await.in_flight, 3);
    assert!(!nginx.old_workers().is_empty());
    until("nothing is under way", async || {
        seen(&*balancer, "app", &name).await.in_flight == 0
    })
    .await;
    for answer in slow {
        assert!(answer.await.unwrap().ends_with("slow"));
    }
    assert!(nginx.get("/").await.ends_with("ok"));
}

#[tokio::test]
async fn idle_connections_to_a_server_that_is_out_do_not_count() {
    let (one, two) = (App::start().await, App::start().await);
    let nginx = Nginx::start(&upstream("app", &[&one, &two])).await;
    let (balancer, name) = (nginx.driver(), one.address.to_string());
    for _ in 0..6 {
        assert!(nginx.get("/").await.ends_with("ok"));
    }
    // Somebody else on this machine is connected, too.
    let _other = tokio::net::TcpStream::connect(one.address).await.unwrap();
    tell(&*balancer, &name, Admin::Drain).await;
    until("it is idle", async || {
        seen(&*balancer, "app", &name).await.in_flight == 0
    })
    .await;
}

#[tokio::test]
async fn all_changes_are_one_edit_and_one_reload() {
    let apps = [App::start().await, App::start().await, App::start().await];
    let text = upstream("app", &[&apps[0], &apps[1]]) + &upstream("other", &[&apps[0], &apps[2]]);
    let nginx = Nginx::start(&text).await;
    let balancer = nginx.driver();
    let [a, b, c] = apps.each_ref().map(|app| app.address.to_string());
    let reloads = || {
        std::fs::read_to_string(nginx.path("error.log"))
            .unwrap()
            .matches("(SIGHUP) received")
            .count()
    };
    let before = reloads();
    let changes = [
        change("app", &a, Admin::Drain),
        change("other", &a, Admin::Drain),
        change("other", &c, Admin::Drain),
    ];
    let started = Instant::now();
    balancer.tell(&changes).await.unwrap();
    eprintln!("three servers out in {:?}", started.elapsed());
    assert_eq!(
        reloads(),
        before + 1,
        "{}",
        std::fs::read_to_string(nginx.path("error.log")).unwrap()
    );
    let seen = balancer
        .observe(&[pool("app"), pool("other")])
        .await
        .unwrap();
    assert_eq!(seen.pools[&pool("app")].usable(), 1);
    // All servers of a pool may be out: nginx takes that.
    assert_eq!(seen.pools[&pool("other")].usable(), 0);
    assert!(seen.pools[&pool("app")].servers[&server(&b)].usable);
}
