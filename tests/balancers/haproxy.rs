//! The contract on a real `HAProxy`, told by its Runtime API.

use std::sync::Arc;

use rollgate::drivers::balancer::LoadBalancer;
use rollgate::model::{Admin, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::contract::{Bench, Held, keeps};
use crate::support::haproxy::{Haproxy, ask, driver, until};
use crate::support::patient::Patient;

/// A real `HAProxy` before two applications; every request goes to the first one.
pub(crate) struct Rig {
    pub(crate) haproxy: Haproxy,
    app: Arc<Patient>,
    _other: Patient,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let (app, other) = (Patient::start().await, Patient::start().await);
        let config = format!(
            "
frontend front
  bind unix@DIR/front.sock
  default_backend app
backend app
  use-server s1 if TRUE
  server s1 {} weight 100
  server s2 {} weight 100
",
            app.address, other.address
        );
        Self {
            haproxy: Haproxy::start(&config).await,
            app: Arc::new(app),
            _other: other,
        }
    }

    pub(crate) async fn hold(&self) -> Held {
        let mut client = UnixStream::connect(self.haproxy.socket("front.sock"))
            .await
            .unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        until("the application has the request", async || {
            self.app.waiting() == 1
        })
        .await;
        let app = Arc::clone(&self.app);
        Box::pin(async move {
            app.open();
            let mut answer = vec![0; 4096];
            let length = client.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        })
    }

    pub(crate) async fn operator(&self, server: &ServerName, admin: Admin) {
        let state = match admin {
            Admin::Ready => "ready",
            Admin::Drain => "drain",
            Admin::Maint => "maint",
        };
        let line = format!("set server app/{server} state {state}");
        let answer = ask(&self.haproxy.socket("admin.sock"), &line).await;
        assert_eq!(answer.trim(), "");
    }
}

/// The Runtime API.
struct Runtime {
    rig: Rig,
    _silence: AbortOnDropHandle<()>,
}

impl Bench for Runtime {
    const WEIGHT: Option<u32> = Some(100);
    const TELLS_READ_ONLY: bool = true;

    async fn start() -> Self {
        let rig = Rig::start().await;
        let listener = UnixListener::bind(rig.haproxy.socket("silent.sock")).unwrap();
        let silence = tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                taken.push(listener.accept().await.unwrap());
            }
        });
        Self {
            rig,
            _silence: AbortOnDropHandle::new(silence),
        }
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        self.rig.haproxy.driver()
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
        Some(driver(&self.rig.haproxy.socket("operator.sock"), None))
    }

    async fn nobody(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&self.rig.haproxy.socket("nobody.sock"), None))
    }

    async fn silent(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(driver(&self.rig.haproxy.socket("silent.sock"), None))
    }
}

keeps!(runtime, Runtime);
