//! The Data Plane API: the contract for both of its versions, and what only this driver does. The API is a double; the `HAProxy` behind it
//! is real.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rollgate::drivers::balancer::{self, BalancerError, Change, LoadBalancer, Reach};
use rollgate::drivers::transport::Transport;
use rollgate::model::{
    Admin, ApiSpec, BalancerKind, BalancerName, BalancerSpec, CredentialNames, HostName, ServerName,
};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::contract::{Bench, Held, keeps};
use super::haproxy::Rig;
use crate::support::api::{Api, Fault};
use crate::support::dataplane::Dataplane;
use crate::support::haproxy::{Haproxy, TWO_POOLS, ask, change, pool, seen, server, until};
use crate::support::shell_host::{Forwarding, ShellHost};

/// What a driver is made of.
pub(crate) fn spec(
    kind: fn(ApiSpec) -> BalancerKind,
    url: &str,
    ca: Option<PathBuf>,
) -> BalancerSpec {
    BalancerSpec {
        name: BalancerName::new("edge").unwrap(),
        via: None,
        timeout: Duration::from_secs(5),
        kind: kind(ApiSpec {
            url: url.to_owned(),
            credentials: None,
            ca,
        }),
    }
}

fn driver(url: &str) -> Arc<dyn LoadBalancer> {
    balancer::open(&spec(BalancerKind::Dataplane, url, None), Reach::default())
}

/// A port at which somebody listens and says nothing.
pub(crate) async fn silence() -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            taken.push(listener.accept().await.unwrap());
        }
    });
    (url, AbortOnDropHandle::new(serving))
}

/// A port at which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

struct Double<const VERSION: u8> {
    rig: Rig,
    api: Api,
    reader: Api,
    silent: (String, AbortOnDropHandle<()>),
}

impl<const VERSION: u8> Bench for Double<VERSION> {
    const WEIGHT: Option<u32> = if VERSION == 3 { Some(100) } else { None };

    async fn start() -> Self {
        let rig = Rig::start().await;
        let api = |socket: &str| Arc::new(Dataplane::new(VERSION, rig.haproxy.socket(socket)));
        let (admin, operator) = (api("admin.sock"), api("operator.sock"));
        Self {
            rig,
            api: Api::start(admin).await,
            reader: Api::start(operator).await,
            silent: silence().await,
        }
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        driver(&self.api.url(""))
    }

    async fn hold(&self) -> Held {
        self.rig.hold().await
    }

    async fn operator(&self, server: &ServerName, admin: Admin) {
        self.rig.operator(server, admin).await;
    }

    async fn reload(&self) {
        self.rig.haproxy.reload();
    }

    async fn reader(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&self.reader.url("")))
    }

    async fn nobody(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&nobody().await))
    }

    async fn silent(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&self.silent.0))
    }
}

keeps!(version_2, Double<2>);
keeps!(version_3, Double<3>);

/// `HAProxy` with [`TWO_POOLS`], and the API before it.
async fn two_pools(version: u8) -> (Haproxy, Arc<Dataplane>, Api) {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let product = Arc::new(Dataplane::new(version, haproxy.socket("admin.sock")));
    let api = Api::start(product.clone()).await;
    (haproxy, product, api)
}

#[tokio::test]
async fn the_version_is_found_out_once_and_again_when_it_changes() {
    let (haproxy, _, old) = two_pools(2).await;
    let balancer = driver(&old.url(""));
    for _ in 0..2 {
        balancer.observe(&[pool("be")]).await.unwrap();
    }
    let asked = old.asked();
    let three = asked.iter().filter(|line| line.contains("/v3/")).count();
    assert_eq!(three, 1, "{asked:?}");
    let line = balancer.enable_by_hand(&pool("be"), &server("s1"));
    assert!(
        line.contains("/v2/services/haproxy/runtime/servers/s1?backend=be"),
        "{line}"
    );
    let new = Arc::new(Dataplane::new(3, haproxy.socket("admin.sock")));
    let new = Api::start(new).await;
    let both = driver(&new.url("/"));
    both.observe(&[pool("be")]).await.unwrap();
    assert!(new.asked().iter().all(|line| !line.contains("/v2/")));
}

#[tokio::test]
async fn a_drain_that_the_api_misreads_is_seen_as_one_and_ends() {
    for version in [2, 3] {
        let (_haproxy, _, api) = two_pools(version).await;
        let balancer = driver(&api.url(""));
        // `disabled` in the configuration leaves bit 4 in the mask: 12 when drained, which the API reads as maintenance.
        for (admin, usable) in [
            (Admin::Ready, true),
            (Admin::Drain, false),
            (Admin::Drain, false),
            (Admin::Ready, true),
        ] {
            balancer.tell(&[change("be", "off", admin)]).await.unwrap();
            let now = seen(&*balancer, "be", "off").await;
            assert_eq!(
                (now.admin, now.usable),
                (admin, usable),
                "version {version}"
            );
        }
    }
}

#[tokio::test]
async fn cookies_tracked_servers_and_failing_checks_are_seen() {
    let (haproxy, _, api) = two_pools(3).await;
    let balancer = driver(&api.url(""));
    assert!(seen(&*balancer, "other", "s1").await.sticky);
    ask(
        &haproxy.socket("admin.sock"),
        "set server checked/s1 state drain",
    )
    .await;
    let tracker = seen(&*balancer, "other", "tracker").await;
    assert_eq!(tracker.tracks.as_deref(), Some("checked/s1"));
    until("the check fails behind the drain", async || {
        let now = seen(&*balancer, "checked", "s1").await;
        now.admin == Admin::Drain && now.health == rollgate::model::Health::Down
    })
    .await;
}

#[tokio::test]
async fn a_version_without_weights_says_so_and_does_not_enable() {
    let (_haproxy, _, api) = two_pools(2).await;
    let balancer = driver(&api.url(""));
    assert_eq!(seen(&*balancer, "be", "s1").await.weight, None);
    balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap();
    let told = Change {
        weight: Some(7),
        ..change("be", "s1", Admin::Ready)
    };
    let error = balancer.tell(&[told]).await.unwrap_err();
    assert!(error.to_string().contains("sets no weights"), "{error}");
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
}

#[tokio::test]
async fn agent_checks_are_in_the_way_and_it_says_so_before_anything_is_told() {
    let config = "
backend be
  server s1 127.0.0.1:9 agent-check agent-port 9 agent-inter 100ms
";
    let haproxy = Haproxy::start(config).await;
    for version in [2, 3] {
        let product = Arc::new(Dataplane::new(version, haproxy.socket("admin.sock")));
        let api = Api::start(product).await;
        let balancer = driver(&api.url(""));
        until("the agent was asked", async || {
            let seen = balancer.observe(&[pool("be")]).await.unwrap();
            seen.read_only.is_some_and(|why| why.contains("`be/s1`"))
        })
        .await;
        let told = Change {
            agent: Some(false),
            ..change("be", "s1", Admin::Drain)
        };
        let error = balancer.tell(&[told]).await.unwrap_err();
        assert!(error.to_string().contains("kind = \"haproxy\""), "{error}");
        assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Ready);
    }
}

#[tokio::test]
async fn faults_are_told_apart() {
    let (_haproxy, product, api) = two_pools(3).await;
    let balancer = driver(&api.url(""));
    let (pools, told) = ([pool("be")], [change("be", "s1", Admin::Drain)]);
    for (fault, retriable, words) in [
        (Fault::Status(503), true, "503"),
        (Fault::Status(429), true, "429"),
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
    api.fault(Fault::Slow(Duration::from_millis(300)));
    balancer.observe(&pools).await.unwrap();
    api.fault(Fault::None);
    product.stopping.store(true, Ordering::SeqCst);
    let error = balancer.observe(&pools).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("being replaced"),
        "{error}"
    );
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_was_made_and_may_be_told_again() {
    let (_haproxy, _, api) = two_pools(3).await;
    let balancer = driver(&api.url(""));
    balancer.observe(&[]).await.unwrap();
    api.fault(Fault::Cut);
    let told = [change("be", "s1", Admin::Drain)];
    assert!(balancer.tell(&told).await.unwrap_err().is_retriable());
    api.fault(Fault::None);
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
    balancer.tell(&told).await.unwrap();
}

#[tokio::test]
async fn a_wrong_place_is_explained() {
    let (_haproxy, _, api) = two_pools(3).await;
    let error = driver(&api.url("/elsewhere"))
        .observe(&[])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, BalancerError::Refused { .. }) && error.to_string().contains("5555"),
        "{error}"
    );
}

/// Variables that every process has, so that none has to be set.
fn with_login(mut spec: BalancerSpec) -> (BalancerSpec, String, String) {
    let names = CredentialNames {
        username_env: "HOME".to_owned(),
        password_env: "PATH".to_owned(),
    };
    if let BalancerKind::Dataplane(api) | BalancerKind::NginxPlus(api) = &mut spec.kind {
        api.credentials = Some(names);
    }
    let value = |name| std::env::var(name).unwrap();
    (spec, value("HOME"), value("PATH"))
}

#[tokio::test]
async fn credentials_are_sent_and_shown_to_nobody() {
    let (_haproxy, _, api) = two_pools(3).await;
    let (spec, user, password) = with_login(spec(BalancerKind::Dataplane, &api.url(""), None));
    let encoded = std::process::Command::new("openssl")
        .args(["base64", "-A"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut encoded = encoded.unwrap();
    let mut input = encoded.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, format!("{user}:{password}").as_bytes()).unwrap();
    drop(input);
    let encoded = encoded.wait_with_output().unwrap().stdout;
    let encoded = String::from_utf8(encoded).unwrap();
    *api.controls.wanted.lock().unwrap() = Some(format!("Basic {encoded}"));
    let balancer = balancer::open(&spec, Reach::default());
    balancer.observe(&[pool("be")]).await.unwrap();
    *api.controls.wanted.lock().unwrap() = Some("Basic other".to_owned());
    let error = balancer.observe(&[pool("be")]).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("does not take"),
        "{error}"
    );
    let line = balancer.enable_by_hand(&pool("be"), &server("s1"));
    assert!(line.contains("-u \"$HOME:$PATH\""), "{line}");
    for shown in [format!("{balancer:?}"), format!("{error:?} {error}"), line] {
        assert!(
            !shown.contains(&password) && !shown.contains(&encoded),
            "{shown}"
        );
    }
    let open = driver(&api.url("")).observe(&[]).await.unwrap_err();
    assert!(open.to_string().contains("`username_env`"), "{open}");
}

#[tokio::test]
async fn missing_variables_are_told_before_anything_is_asked() {
    let mut spec = spec(BalancerKind::Dataplane, "http://127.0.0.1:9", None);
    if let BalancerKind::Dataplane(api) = &mut spec.kind {
        api.credentials = Some(CredentialNames {
            username_env: "ROLLGATE_NO_SUCH_VARIABLE".to_owned(),
            password_env: "PATH".to_owned(),
        });
    }
    let why = balancer::check(&spec).unwrap_err();
    assert!(
        why.contains("`edge`") && why.contains("`ROLLGATE_NO_SUCH_VARIABLE`"),
        "{why}"
    );
    let error = balancer::open(&spec, Reach::default())
        .observe(&[])
        .await
        .unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("is not set"),
        "{error}"
    );
}

#[tokio::test]
async fn tls_wants_a_certificate_of_the_named_authority() {
    let haproxy = Haproxy::start(TWO_POOLS).await;
    let product = Arc::new(Dataplane::new(3, haproxy.socket("admin.sock")));
    let api = Api::start_tls(product).await;
    let open = |ca| {
        balancer::open(
            &spec(BalancerKind::Dataplane, &api.url(""), ca),
            Reach::default(),
        )
    };
    let balancer = open(api.ca.clone());
    balancer
        .tell(&[change("be", "s1", Admin::Drain)])
        .await
        .unwrap();
    assert_eq!(seen(&*balancer, "be", "s1").await.admin, Admin::Drain);
    let error = open(None).observe(&[]).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("`ca`"),
        "{error}"
    );
}

#[tokio::test]
async fn through_a_host_its_sshd_connects() {
    let (_haproxy, _, api) = two_pools(3).await;
    let open = |forwarding, with_host: bool| {
        let host = Arc::new(ShellHost::new(forwarding));
        let mut spec = spec(BalancerKind::Dataplane, &api.url(""), None);
        spec.via = Some(HostName::new("lb-1").unwrap());
        let reach = Reach {
            via: with_host.then(|| host.clone() as Arc<dyn Transport>),
            targets: Vec::new(),
        };
        (balancer::open(&spec, reach), host)
    };
    let (balancer, host) = open(Forwarding::On, true);
    balancer.observe(&[pool("be")]).await.unwrap();
    let opened = host.opened.lock().unwrap().clone();
    assert_eq!(opened, vec![api.address.to_string(); 3]);
    let line = balancer.enable_by_hand(&pool("be"), &server("s1"));
    assert!(line.starts_with("ssh -p 2222 me@127.0.0.1 "), "{line}");
    let (closed, _) = open(Forwarding::Prohibited, true);
    let error = closed.observe(&[]).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("AllowTcpForwarding"),
        "{error}"
    );
    let (vague, _) = open(Forwarding::OpenFailed, true);
    assert!(vague.observe(&[]).await.unwrap_err().is_retriable());
    let (lost, _) = open(Forwarding::On, false);
    let error = lost.observe(&[]).await.unwrap_err();
    assert!(
        error.to_string().contains("no connection to `lb-1`"),
        "{error}"
    );
}
