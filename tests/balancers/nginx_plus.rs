//! The NGINX Plus API: the contract for its oldest and newest version that are supported, for http and stream, and what only this driver
//! does. The product is a double.

use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::{self, BalancerError, LoadBalancer, Reach, Target};
use rollgate::drivers::transport::LocalTransport;
use rollgate::model::{Admin, BalancerKind, Health, HostName, PoolName, ServerName};
use tokio_util::task::AbortOnDropHandle;

use super::contract::{Bench, Held, keeps};
use super::dataplane::{nobody, silence, spec};
use crate::support::api::{Api, Fault};
use crate::support::haproxy::{change, pool, seen, server};
use crate::support::nginx_plus::{NginxPlus, Server, Upstream};

const ONE: &str = "10.0.0.1:8080";
const TWO: &str = "10.0.0.2:8080";

fn upstream(kind: &'static str, name: &'static str, servers: Vec<Server>) -> Upstream {
    Upstream {
        kind,
        name,
        zone: true,
        state: false,
        servers,
    }
}

fn app(kind: &'static str) -> Upstream {
    upstream(kind, "app", vec![Server::new(0, ONE), Server::new(1, TWO)])
}

fn open(url: &str, targets: &[(&str, &str)]) -> Arc<dyn LoadBalancer> {
    let targets = targets.iter().map(|(at, name)| Target {
        pool: pool(at),
        server: server(name),
        host: HostName::new("web-1").unwrap(),
        transport: Arc::new(LocalTransport::new(&["sh"])),
    });
    let reach = Reach {
        via: None,
        targets: targets.collect(),
    };
    balancer::open(&spec(BalancerKind::NginxPlus, url, None), reach)
}

fn driver(url: &str) -> Arc<dyn LoadBalancer> {
    open(url, &[("app", ONE), ("app", TWO)])
}

/// What differs: version 6 takes no `"drain": false`, a `state` file keeps what was told, and stream knows no drain.
struct Double<const VERSION: u64, const STREAM: bool> {
    product: NginxPlus,
    api: Api,
    reader: Api,
    silent: (String, AbortOnDropHandle<()>),
}

impl<const VERSION: u64, const STREAM: bool> Bench for Double<VERSION, STREAM> {
    const WEIGHT: Option<u32> = Some(5);
    const FORGETS: bool = VERSION != 9;

    async fn start() -> Self {
        let mut upstream = app(if STREAM { "stream" } else { "http" });
        upstream.state = VERSION == 9;
        let product = NginxPlus::new(vec![upstream.clone()]);
        let reader = NginxPlus::new(vec![upstream]);
        {
            let mut inner = product.0.lock().unwrap();
            inner.versions = (1..=VERSION).collect();
            inner.undrains = VERSION > 6;
            reader.0.lock().unwrap().write = false;
        }
        Self {
            api: Api::start(Arc::new(product.clone())).await,
            product,
            reader: Api::start(Arc::new(reader)).await,
            silent: silence().await,
        }
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        driver(&self.api.url("/api"))
    }

    fn servers(&self) -> [ServerName; 2] {
        [server(ONE), server(TWO)]
    }

    async fn hold(&self) -> Held {
        self.product.server("app", ONE, |it| it.active += 1);
        let product = self.product.clone();
        Box::pin(async move { product.server("app", ONE, |it| it.active -= 1) })
    }

    async fn operator(&self, server: &ServerName, admin: Admin) {
        self.product.server("app", server.as_str(), |it| {
            it.drain = admin == Admin::Drain && !STREAM;
            it.down = admin == Admin::Maint || (admin == Admin::Drain && STREAM);
        });
    }

    async fn reload(&self) {
        self.product.reload();
    }

    async fn reader(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&self.reader.url("/api")))
    }

    async fn nobody(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&nobody().await))
    }

    async fn silent(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&self.silent.0))
    }
}

keeps!(version_6, Double<6, false>);
keeps!(version_8, Double<8, false>);
keeps!(version_9_with_state, Double<9, false>);
keeps!(stream, Double<7, true>);

async fn start(upstreams: Vec<Upstream>) -> (NginxPlus, Api) {
    let product = NginxPlus::new(upstreams);
    let api = Api::start(Arc::new(product.clone())).await;
    (product, api)
}

#[tokio::test]
async fn the_highest_common_version_is_asked_for_once() {
    for (spoken, used) in [(1..=9, "/api/9/"), (3..=7, "/api/7/"), (4..=12, "/api/9/")] {
        let (product, api) = start(vec![app("http")]).await;
        product.0.lock().unwrap().versions = spoken.collect();
        let balancer = driver(&api.url("/api"));
        for _ in 0..2 {
            balancer.observe(&[pool("app")]).await.unwrap();
        }
        let asked = api.asked();
        assert_eq!(asked.iter().filter(|line| *line == "GET /api/").count(), 1);
        assert!(
            asked[1..].iter().all(|line| line.contains(used)),
            "{asked:?}"
        );
    }
    let (product, api) = start(Vec::new()).await;
    product.0.lock().unwrap().versions = vec![1, 5];
    let error = driver(&api.url("/api")).observe(&[]).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("6 to 9"),
        "{error}"
    );
}

#[tokio::test]
async fn another_version_after_an_exchange_of_the_product_is_found() {
    let (product, api) = start(vec![app("http")]).await;
    let balancer = driver(&api.url("/api"));
    balancer.observe(&[pool("app")]).await.unwrap();
    product.0.lock().unwrap().versions = (1..=6).collect();
    let error = balancer.observe(&[pool("app")]).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    balancer.observe(&[pool("app")]).await.unwrap();
}

#[tokio::test]
async fn a_read_only_api_and_an_upstream_without_zone_say_what_to_write() {
    let mut frozen = app("http");
    frozen.zone = false;
    let (_, api) = start(vec![frozen]).await;
    let balancer = driver(&api.url("/api"));
    let seen = balancer.observe(&[pool("app")]).await.unwrap();
    assert!(seen.read_only.unwrap().contains("zone app 128k;"));
    let told = [change("app", ONE, Admin::Drain)];
    let error = balancer.tell(&told).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("zone app 128k;"),
        "{error}"
    );
    let (product, api) = start(vec![app("http")]).await;
    product.0.lock().unwrap().write = false;
    let error = driver(&api.url("/api")).tell(&told).await.unwrap_err();
    assert!(
        matches!(&error, BalancerError::Refused { answer, .. } if answer.contains("api write=on;")),
        "{error}"
    );
}

#[tokio::test]
async fn http_comes_before_stream_and_numbers_are_looked_up_anew() {
    let (product, api) = start(vec![app("stream"), app("http")]).await;
    let balancer = driver(&api.url("/api"));
    balancer
        .tell(&[change("app", TWO, Admin::Drain)])
        .await
        .unwrap();
    product.reload();
    balancer
        .tell(&[change("app", TWO, Admin::Drain)])
        .await
        .unwrap();
    let told: Vec<String> = api
        .asked()
        .into_iter()
        .filter(|line| line.starts_with("PATCH"))
        .collect();
    assert_eq!(
        told,
        [
            r#"PATCH /api/9/http/upstreams/app/servers/1 {"drain":true}"#,
            r#"PATCH /api/9/http/upstreams/app/servers/21 {"drain":true}"#
        ]
    );
    let now = balancer.observe(&[pool("app")]).await.unwrap();
    assert_eq!(now.pools[&pool("app")].usable(), 1);
    let line = balancer.enable_by_hand(&pool("app"), &server(TWO));
    assert!(
        line.contains("/api/9/http/upstreams/app/servers/21"),
        "{line}"
    );
}

#[tokio::test]
async fn servers_have_the_names_that_the_playbook_gives_them() {
    let servers = vec![
        Server::new(0, "[fd00::1]:8080"),
        Server {
            name: "web-2.example:8080".to_owned(),
            ..Server::new(1, TWO)
        },
        Server {
            route: "c".to_owned(),
            sick: Some("unhealthy"),
            ..Server::new(2, "10.0.0.3:80")
        },
        Server::new(3, "unix:/run/app.sock"),
    ];
    let (_, api) = start(vec![upstream("http", "app", servers)]).await;
    let targets = [
        ("app", "fd00:0::1:8080"),
        ("app", "web-2.example:8080"),
        ("app", "10.0.0.3"),
    ];
    let balancer = open(&api.url("/api"), &targets);
    let names = async || {
        let now = balancer.observe(&[pool("app")]).await.unwrap();
        let pool: &PoolName = now.pools.keys().next().unwrap();
        now.pools[pool]
            .servers
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names().await,
        [
            "10.0.0.3",
            "fd00:0::1:8080",
            "unix:_run_app.sock",
            "web-2.example:8080"
        ]
    );
    let third = seen(&*balancer, "app", "10.0.0.3").await;
    assert_eq!((third.admin, third.health), (Admin::Ready, Health::Down));
    assert!(third.sticky && !third.usable);
    for (_, name) in targets {
        balancer
            .tell(&[change("app", name, Admin::Drain)])
            .await
            .unwrap();
        assert_eq!(seen(&*balancer, "app", name).await.admin, Admin::Drain);
    }
}

#[tokio::test]
async fn a_resolved_server_is_changed_through_its_name_where_that_is_its_own() {
    let child = |id, server: &str, parent| Server {
        name: format!("web-{parent}.example:8080"),
        parent: Some(parent),
        ..Server::new(id, server)
    };
    let alone = vec![child(11, ONE, 1), child(12, TWO, 2)];
    let (product, api) = start(vec![upstream("http", "app", alone)]).await;
    let balancer = driver(&api.url("/api"));
    balancer
        .tell(&[change("app", ONE, Admin::Drain)])
        .await
        .unwrap();
    assert!(product.server("app", ONE, |it| it.drain));
    assert!(!product.server("app", TWO, |it| it.drain));
    let shared = vec![child(11, ONE, 1), child(12, TWO, 1)];
    let (product, api) = start(vec![upstream("http", "app", shared)]).await;
    let error = driver(&api.url("/api"))
        .tell(&[change("app", ONE, Admin::Drain)])
        .await
        .unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("2 addresses"),
        "{error}"
    );
    assert!(!product.server("app", ONE, |it| it.drain));
}

#[tokio::test]
async fn an_address_that_stands_there_twice_is_drained_in_both_places() {
    let servers = vec![
        Server::new(0, ONE),
        Server::new(1, TWO),
        Server::new(2, ONE),
    ];
    let (_, api) = start(vec![upstream("http", "app", servers)]).await;
    let balancer = driver(&api.url("/api"));
    balancer
        .tell(&[change("app", ONE, Admin::Drain)])
        .await
        .unwrap();
    let now = seen(&*balancer, "app", ONE).await;
    assert_eq!((now.admin, now.usable), (Admin::Drain, false));
}

#[tokio::test]
async fn faults_are_told_apart() {
    let (_, api) = start(vec![app("http")]).await;
    let balancer = driver(&api.url("/api"));
    balancer.observe(&[]).await.unwrap();
    let (pools, told) = ([pool("app")], [change("app", ONE, Admin::Drain)]);
    for (fault, retriable, words) in [
        (Fault::Status(503), true, "503"),
        (Fault::Status(500), true, "InternalError"),
        (Fault::Status(401), false, "`username_env`"),
        (Fault::Status(403), false, "may not"),
        (Fault::Redirect, false, "redirects are not followed"),
        (Fault::Cut, true, "no HTTP answer"),
        (Fault::Garbage, false, "<html>"),
    ] {
        api.fault(fault.clone());
        let (looked, told) = futures::join!(balancer.observe(&pools), balancer.tell(&told));
        for error in [looked.unwrap_err(), told.unwrap_err()] {
            assert_eq!(error.is_retriable(), retriable, "{fault:?} {error}");
            assert!(error.to_string().contains(words), "{fault:?} {error}");
        }
    }
    api.fault(Fault::Slow(Duration::from_millis(200)));
    balancer.tell(&told).await.unwrap();
    api.fault(Fault::None);
    assert_eq!(seen(&*balancer, "app", ONE).await.admin, Admin::Drain);
    let elsewhere = driver(&api.url("/status")).observe(&[]).await.unwrap_err();
    assert!(
        elsewhere.to_string().contains("`api` directive"),
        "{elsewhere}"
    );
}

#[tokio::test]
async fn tls_wants_a_certificate_of_the_named_authority() {
    let product = Arc::new(NginxPlus::new(vec![app("http")]));
    let api = Api::start_tls(product).await;
    let open = |ca| {
        let spec = spec(BalancerKind::NginxPlus, &api.url("/api"), ca);
        balancer::open(&spec, Reach::default())
    };
    open(api.ca.clone()).observe(&[pool("app")]).await.unwrap();
    let error = open(None).observe(&[]).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("`ca`"),
        "{error}"
    );
}
