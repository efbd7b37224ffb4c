//! The contract on a real nginx, told by its configuration file.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rollgate::drivers::balancer::LoadBalancer;
use rollgate::drivers::transport::LocalTransport;
use rollgate::model::{Admin, ServerName};
use rustix::process::Signal;

use super::contract::{Bench, Held, keeps};
use crate::support::haproxy::{server, until};
use crate::support::nginx::{Nginx, driver, get};
use crate::support::patient::Patient;

/// A real nginx before two applications; every request goes to the first one.
struct Rig {
    nginx: Nginx,
    app: Arc<Patient>,
    other: Patient,
}

impl Rig {
    fn seen_by(&self, shell: &[&str]) -> Arc<dyn LoadBalancer> {
        let mut spec = self.nginx.spec();
        spec.pid = Some(self.nginx.path("nginx.pid").to_str().unwrap().to_owned());
        driver(spec, Some(Arc::new(LocalTransport::new(shell))), &[])
    }
}

impl Bench for Rig {
    // Requests of servers that are in traffic are not: their idle connections could not be told apart.
    const COUNTS: bool = false;
    const FORGETS: bool = false;
    const TELLS_READ_ONLY: bool = true;

    async fn start() -> Self {
        let (app, other) = (Patient::start().await, Patient::start().await);
        let upstream = format!(
            "upstream app {{\n  server {};\n  server {} backup;\n}}\n",
            app.address, other.address
        );
        Self {
            nginx: Nginx::start(&upstream).await,
            app: Arc::new(app),
            other,
        }
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        self.nginx.driver()
    }

    fn servers(&self) -> [ServerName; 2] {
        [self.app.address, self.other.address].map(|address| server(&address.to_string()))
    }

    async fn hold(&self) -> Held {
        let front = self.nginx.front;
        let request = tokio::spawn(async move { get(front, "/").await });
        until("the application has the request", async || {
            self.app.waiting() == 1
        })
        .await;
        let app = Arc::clone(&self.app);
        Box::pin(async move {
            app.open();
            let answer = request.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        })
    }

    async fn operator(&self, server: &ServerName, admin: Admin) {
        let (ready, out) = (format!("server {server}"), format!("server {server} down"));
        let text = self.nginx.text().replace(&out, &ready);
        let text = match admin {
            Admin::Ready => text,
            Admin::Drain | Admin::Maint => text.replace(&ready, &out),
        };
        std::fs::write(self.nginx.file(), text).unwrap();
        self.nginx.signal(Signal::HUP);
    }

    /// A restart: a reload leaves the master, and the file says all that there is to know.
    async fn reload(&self) {
        self.nginx.restart();
    }

    async fn reader(&self) -> Option<Arc<dyn LoadBalancer>> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can be somebody else");
            return None;
        }
        for folder in ["", "conf.d"] {
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(self.nginx.path(folder), open).unwrap();
        }
        Some(self.seen_by(&[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "sh",
        ]))
    }

    async fn nobody(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(self.seen_by(&["/nonexistent/sh"]))
    }

    async fn silent(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(self.seen_by(&["sh", "-c", "exec sleep 20"]))
    }
}

keeps!(nginx, Rig);
