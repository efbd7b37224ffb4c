//! A real `HAProxy` in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::{self, Change, LoadBalancer, Reach};
use rollgate::drivers::transport::Transport;
use rollgate::model::Endpoint;
use rollgate::model::{
    Admin, BalancerKind, BalancerName, BalancerSpec, HostName, PoolName, ServerName, ServerSeen,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Nobody listens on these ports; without a check that is of no matter.
pub(crate) const TWO_POOLS: &str = "
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

/// A pool's name.
pub(crate) fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

/// A server's name.
pub(crate) fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

/// One order, weight as it is.
pub(crate) fn change(at: &str, name: &str, admin: Admin) -> Change {
    Change {
        pool: pool(at),
        server: server(name),
        admin,
        weight: None,
        agent: None,
    }
}

/// One server as a fresh look shows it.
pub(crate) async fn seen(balancer: &dyn LoadBalancer, at: &str, name: &str) -> ServerSeen {
    let pools = [pool(at)];
    let seen = balancer.observe(&pools).await.unwrap();
    seen.pools[&pools[0]].servers[&server(name)].clone()
}

/// A running master and its worker; both end when it is dropped.
pub(crate) struct Haproxy {
    dir: TempDir,
    master: Child,
}

impl Haproxy {
    /// Starts with `config` behind the sections `global` (`DIR` in it is its folder) and `defaults`, and waits until it answers.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_with("", config).await
    }

    /// The same with further lines in `global`.
    pub(crate) async fn start_with(global: &str, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let head = "global
  stats socket DIR/admin.sock mode 600 level admin
  stats socket DIR/operator.sock mode 600 level operator
";
        let defaults = "defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client 30s
  timeout server 30s
";
        let text = format!("{head}{global}\n{defaults}{config}\n");
        let text = text.replace("DIR", dir.path().to_str().unwrap());
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let master = Command::new("haproxy")
            .args(["-W", "-S"])
            .arg(dir.path().join("master.sock"))
            .arg("-f")
            .arg(&file)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("haproxy must be installed to run these tests");
        let this = Self { dir, master };
        // A worker answers before its master listens to signals: a reload asked for in between would be lost.
        until("master and worker answer", async || {
            let worker = ask(&this.socket("admin.sock"), "show info").await;
            let master = ask(&this.socket("master.sock"), "show proc").await;
            worker.contains("Pid") && master.contains("worker")
        })
        .await;
        this
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `systemctl reload` does.
    pub(crate) fn reload(&self) {
        self.signal(Signal::USR2);
    }

    /// How many workers its master has, old ones included.
    pub(crate) fn workers(&self) -> usize {
        let master = self.master.id();
        let path = format!("/proc/{master}/task/{master}/children");
        let children = std::fs::read_to_string(path).unwrap();
        children.split_whitespace().count()
    }

    pub(crate) fn driver(&self) -> Arc<dyn LoadBalancer> {
        driver(&self.socket("admin.sock"), None)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.master.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        self.master.wait().unwrap();
    }
}

/// A driver for a unix socket, here or as seen from `host`.
pub(crate) fn driver(path: &Path, host: Option<Arc<dyn Transport>>) -> Arc<dyn LoadBalancer> {
    driver_at(Endpoint::Unix(path.to_str().unwrap().to_owned()), host)
}

/// A driver for any socket.
pub(crate) fn driver_at(
    endpoint: Endpoint,
    host: Option<Arc<dyn Transport>>,
) -> Arc<dyn LoadBalancer> {
    let spec = BalancerSpec {
        name: BalancerName::new("edge").unwrap(),
        via: host.is_some().then(|| HostName::new("lb-1").unwrap()),
        timeout: Duration::from_secs(5),
        kind: BalancerKind::Haproxy { endpoint },
    };
    let reach = Reach {
        via: host,
        targets: Vec::new(),
    };
    balancer::open(&spec, reach)
}

/// One line to a socket, and all that comes back; nothing when nobody answers.
pub(crate) async fn ask(socket: &Path, line: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = tokio::net::UnixStream::connect(socket).await {
        stream.write_all(format!("{line}\n").as_bytes()).await.ok();
        stream.shutdown().await.ok();
        stream.read_to_string(&mut answer).await.ok();
    }
    answer
}

/// Waits until `condition` holds; fails after 10 s.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited 10 s in vain until {what}");
}
