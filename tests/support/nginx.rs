//! A real nginx in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollgate::drivers::balancer::{self, LoadBalancer, Reach, Target};
use rollgate::drivers::transport::{LocalTransport, Transport};
use rollgate::model::{BalancerKind, BalancerName, BalancerSpec, Command, HostName, NginxSpec};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::haproxy::{pool, server, until};

/// A running master and its workers; all end when it is dropped.
pub(crate) struct Nginx {
    dir: TempDir,
    master: Mutex<Child>,
    /// Where it takes requests, for the upstream `app` or the one that was named.
    pub(crate) front: SocketAddr,
}

impl Nginx {
    /// Starts with `upstreams` in `conf.d/app.conf` (`DIR` in it is its folder), and waits until its workers are there.
    pub(crate) async fn start(upstreams: &str) -> Self {
        Self::start_for("app", upstreams).await
    }

    /// The same, with requests for another upstream than `app`.
    pub(crate) async fn start_for(pool: &str, upstreams: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let front = free.local_addr().unwrap();
        drop(free);
        for folder in ["conf.d", "tmp"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        let text = format!(
            "{user} daemon off; worker_processes 2; pid DIR/nginx.pid; error_log DIR/error.log notice;\n\
             events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n\
             client_body_temp_path DIR/tmp/b; proxy_temp_path DIR/tmp/p; fastcgi_temp_path DIR/tmp/f;\n\
             uwsgi_temp_path DIR/tmp/u; scgi_temp_path DIR/tmp/s;\n  include conf.d/*.conf;\n  server {{\n    listen {front};\n\
             location / {{ proxy_pass http://{pool}; proxy_http_version 1.1; proxy_set_header Connection ''; }}\n  }}\n}}\n"
        );
        let place = |text: &str| text.replace("DIR", dir.path().to_str().unwrap());
        std::fs::write(dir.path().join("nginx.conf"), place(&text)).unwrap();
        std::fs::write(dir.path().join("conf.d/app.conf"), place(upstreams)).unwrap();
        let this = Self {
            master: Mutex::new(spawn(dir.path())),
            dir,
            front,
        };
        until("workers are there", async || this.workers().len() == 2).await;
        this
    }

    /// Ends it and starts it again.
    pub(crate) fn restart(&self) {
        self.signal(Signal::TERM);
        let mut master = self.master.lock().unwrap();
        master.wait().unwrap();
        *master = spawn(self.dir.path());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The file with the upstreams.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("conf.d/app.conf")
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    /// The commands that belong to it.
    pub(crate) fn spec(&self) -> NginxSpec {
        let conf = self.path("nginx.conf");
        let command = |words: &[&str]| {
            let words = [words, &["-c", conf.to_str().unwrap()]].concat();
            Command::Argv(words.into_iter().map(str::to_owned).collect())
        };
        NginxSpec {
            config: self.file().to_str().unwrap().to_owned(),
            test: command(&["nginx", "-t"]),
            reload: command(&["nginx", "-s", "reload"]),
            pid: None,
        }
    }

    pub(crate) fn driver(&self) -> Arc<dyn LoadBalancer> {
        driver(self.spec(), None, &[])
    }

    /// Process ids of workers that are not shutting down.
    pub(crate) fn workers(&self) -> Vec<u32> {
        self.children(|title| title == "nginx: worker process")
    }

    /// Process ids of workers that are.
    pub(crate) fn old_workers(&self) -> Vec<u32> {
        self.children(|title| title.ends_with("is shutting down"))
    }

    fn children(&self, is_it: impl Fn(&str) -> bool) -> Vec<u32> {
        let master = self.master.lock().unwrap().id().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let Some((_, rest)) = stat.rsplit_once(") ") else {
                continue;
            };
            let title = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if rest.split(' ').nth(1) == Some(&master) && is_it(title.trim_end_matches('\0')) {
                found.push(pid);
            }
        }
        found.sort_unstable();
        found
    }

    /// What somebody does who reloads by hand.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.master.lock().unwrap().id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The answer's status and body, over a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> String {
        get(self.front, path).await
    }

    /// Names of hidden files beside the upstreams.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("conf.d")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        self.master.lock().unwrap().wait().unwrap();
    }
}

fn spawn(dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    Process::new("nginx")
        .env("PATH", search_path())
        .arg("-e")
        .arg(dir.join("error.log"))
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("nginx must be installed to run these tests")
}

/// Debian keeps nginx outside the search path of ordinary users.
fn search_path() -> String {
    format!(
        "{}:/usr/sbin:/usr/local/sbin",
        std::env::var("PATH").unwrap_or_default()
    )
}

/// A driver, here or as seen from `host`, for a playbook that names these servers of pools.
pub(crate) fn driver(
    spec: NginxSpec,
    host: Option<Arc<dyn Transport>>,
    named: &[(&str, &str)],
) -> Arc<dyn LoadBalancer> {
    let spec = BalancerSpec {
        name: BalancerName::new("edge").unwrap(),
        via: host.is_some().then(|| HostName::new("lb-1").unwrap()),
        timeout: Duration::from_secs(5),
        kind: BalancerKind::Nginx(spec),
    };
    let targets = named.iter().map(|(at, name)| Target {
        pool: pool(at),
        server: server(name),
        host: HostName::new("web").unwrap(),
        transport: Arc::new(LocalTransport::default()),
    });
    let reach = Reach {
        via: host,
        targets: targets.collect(),
    };
    balancer::open(&spec, reach)
}

/// One request over a connection of its own.
pub(crate) async fn get(front: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(front).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A file's text, for tests that do not own the nginx.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
