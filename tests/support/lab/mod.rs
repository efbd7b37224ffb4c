//! A fleet on loopback, of real parts: `sshd`s, HAProxy, and the example application, in about a second. Or one of hosts with systemd
//! in containers, behind the same HAProxy, in some seconds: see [`fleet`].
//!
//! Every "host" is an address in a range of 127/8 that belongs to this lab alone (see [`range`]), with a folder of its own, so that
//! labs stand side by side and hosts differ in everything but the kernel. One `sshd` serves 16 addresses, all that it takes.
//! HAProxy stands in front, with health checks and an admin socket. Each host runs release 1.0, put there as Capistrano would
//! have: `srv/current -> releases/20260101120000`.
//!
//! ```text
//! DIR/hosts/web-01/{srv/, app.log, app.pid}   artifacts/VERSION/app   edge-a.sock   inventory.toml   playbook.toml   keys/   logs/
//! ```
//!
//! Nothing of it outlives its process, however that ends: see [`reaper`].

pub(crate) mod document;
pub(crate) mod fleet;
mod fleet_lab;
mod haproxy;
mod process;
mod range;
mod reaper;
mod sshd;
mod truth;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fleet::Fleet;
use process::Daemon;
pub(crate) use process::{Finished, finish, pause, run, signal, wait_until};
use range::Range;
use reaper::Reaper;

/// The name of the service, its pool, and the HAProxy backend.
pub(crate) const SERVICE: &str = "shop";
/// The version that runs when the lab stands.
pub(crate) const FIRST: &str = "1.0";

/// What is to be built.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where everything lies: an empty folder, by its absolute path, kept short (a socket's path has at most 107 bytes).
    pub(crate) dir: PathBuf,
    /// The built `app` example.
    pub(crate) app: PathBuf,
    /// Hosts, 1 to 200.
    pub(crate) hosts: usize,
    /// Balancers in front of all of them, 1 to 4: `edge-a`, `edge-b` …
    pub(crate) balancers: usize,
    /// How long a started application answers 503, in milliseconds.
    pub(crate) warmup_ms: u64,
    /// The least size of an artifact, in MB.
    pub(crate) size_mb: u64,
}

/// One host.
#[derive(Debug, Clone)]
pub(crate) struct LabHost {
    /// `web-01` …
    pub(crate) name: String,
    /// Where its application listens.
    pub(crate) app: SocketAddr,
    /// Its folder.
    pub(crate) home: PathBuf,
}

/// One HAProxy.
#[derive(Debug, Clone)]
pub(crate) struct LabBalancer {
    /// `edge-a` …
    pub(crate) name: String,
    /// Where it takes requests.
    pub(crate) front: SocketAddr,
    /// Its statistics page, for people; with `/;csv` for scripts.
    pub(crate) stats: SocketAddr,
    /// Its admin socket.
    pub(crate) socket: PathBuf,
}

/// A standing lab. Dropping it ends every process of it.
pub(crate) struct Lab {
    options: Options,
    /// The hosts, in order.
    pub(crate) hosts: Vec<LabHost>,
    /// The balancers, in order.
    pub(crate) balancers: Vec<LabBalancer>,
    /// The login name on every host.
    user: String,
    /// Started again and again when a test asks for it, so kept.
    daemons: Vec<Daemon>,
    /// The hosts in containers, where these are not on loopback.
    pub(crate) fleet: Option<Fleet>,
    // Fields are dropped in this order: the range is given back when nothing uses it any more.
    reaper: Reaper,
    range: Range,
}

impl Lab {
    /// Builds a lab and waits until every host serves release 1.0 through every balancer.
    ///
    /// # Errors
    /// A program is missing or does not start, or something is not up within 20 s. What was started is ended.
    pub(crate) fn start(options: Options) -> io::Result<Self> {
        let range = Range::claim()?;
        let reaper = Reaper::start(&options.dir)?;
        let user = process::output(Command::new("id").arg("-un"))?;
        let mut lab = Self {
            hosts: hosts(&options, &range),
            balancers: balancers(&options, &range),
            user: user.trim().to_owned(),
            daemons: Vec::new(),
            fleet: None,
            options,
            reaper,
            range,
        };
        lab.prepare_folders()?;
        sshd::make_keys(&lab)?;
        lab.start_sshds()?;
        lab.make(FIRST, &["--behaviour", "good"])?;
        for host in &lab.hosts {
            lab.place_first(host)?;
            lab.start_app(host)?;
        }
        // A server that is not ready at HAProxy's first check is down at once, and noise in its log.
        lab.wait_until(|lab| lab.versions().iter().all(|version| version == FIRST))?;
        lab.open()?;
        Ok(lab)
    }

    /// Puts the balancers in front of hosts that are ready, and writes the first inventory and playbook.
    fn open(&mut self) -> io::Result<()> {
        for balancer in self.balancers.clone() {
            let daemon = haproxy::start(self, &balancer)?;
            self.keep(daemon)?;
        }
        self.wait_until(Self::is_up)?;
        fs::write(self.inventory_path(), self.inventory().to_string())?;
        fs::write(
            self.dir().join("playbook.toml"),
            self.playbook().to_string(),
        )
    }

    /// Where everything lies.
    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The inventory of the whole lab.
    pub(crate) fn inventory_path(&self) -> PathBuf {
        self.dir().join("inventory.toml")
    }

    /// Makes an artifact of the example application under `artifacts/VERSION/app`. `arguments` are those of `app make`.
    pub(crate) fn make(&self, version: &str, arguments: &[&str]) -> io::Result<PathBuf> {
        let folder = self.dir().join("artifacts").join(version);
        fs::create_dir_all(&folder)?;
        let artifact = folder.join("app");
        let mut command = Command::new(self.dir().join("bin/app"));
        command
            .arg("make")
            .arg(&artifact)
            .args(["--version", version])
            .args(["--size-mb", &self.options.size_mb.to_string()]);
        if !arguments.contains(&"--warmup-ms") {
            command.args(["--warmup-ms", &self.options.warmup_ms.to_string()]);
        }
        process::output(command.args(arguments))?;
        Ok(artifact)
    }

    /// Runs a host's start command of the playbook, here.
    pub(crate) fn start_app(&self, host: &LabHost) -> io::Result<()> {
        let script = document::start_script(&host.home.display(), &host.app);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env(reaper::MARK, self.dir());
        process::output(&mut command).map(drop)
    }

    /// Ends the `sshd` of the host (and of its up to 15 neighbours), so that nobody gets in any more.
    pub(crate) fn stop_sshd(&mut self, number: usize) {
        let name = format!("sshd-{number}");
        self.daemons.retain_mut(|daemon| {
            let is_it = daemon.name() == name;
            if is_it {
                daemon.stop();
            }
            !is_it
        });
    }

    /// Ends every SSH connection to a host of the lab, from the hosts' side. How many there were.
    pub(crate) fn cut_connections(&self) -> usize {
        let servers = self
            .daemons
            .iter()
            .filter(|daemon| daemon.name().starts_with("sshd"));
        let servers: Vec<u32> = servers.map(Daemon::id).collect();
        process::kill_children(&servers)
    }

    /// Reloads a HAProxy, as `systemctl reload` does, with its file changed by `edit`, and waits until the new worker answers.
    pub(crate) fn reload(&self, balancer: &str, edit: impl Fn(String) -> String) -> io::Result<()> {
        let file = self.dir().join(format!("{balancer}.cfg"));
        fs::write(&file, edit(fs::read_to_string(&file)?))?;
        let named = self.balancers.iter().find(|one| one.name == balancer);
        let named = named.ok_or_else(|| io::Error::other(format!("no balancer `{balancer}`")))?;
        let before = Self::worker(named)?;
        let started = Instant::now();
        // A worker answers before its master listens to signals, so one that came in between is sent again.
        while started.elapsed() < Duration::from_secs(20) {
            for daemon in self.daemons.iter().filter(|one| one.name() == balancer) {
                daemon.signal(rustix::process::Signal::USR2);
            }
            let is_another = || Self::worker(named).is_ok_and(|now| now != before);
            if wait_until(Duration::from_secs(2), is_another) {
                return Ok(());
            }
        }
        Err(io::Error::other(format!("{balancer} was not reloaded")))
    }

    /// Ends a balancer for good.
    pub(crate) fn stop_balancer(&mut self, balancer: &str) {
        self.daemons.retain_mut(|daemon| {
            let is_it = daemon.name() == balancer;
            if is_it {
                daemon.stop();
            }
            !is_it
        });
    }

    fn prepare_folders(&self) -> io::Result<()> {
        for name in ["bin", "keys", "logs", "artifacts", "home", "state"] {
            fs::create_dir_all(self.dir().join(name))?;
        }
        // Without its debug information the program is a fourth of its size, and every host gets a copy of it.
        let (from, to) = (&self.options.app, self.dir().join("bin/app"));
        process::output(Command::new("strip").arg("-o").arg(&to).arg(from))
            .or_else(|_no_strip| process::output(Command::new("cp").arg(from).arg(&to)))
            .map(drop)
    }

    fn place_first(&self, host: &LabHost) -> io::Result<()> {
        let root = host.home.join("srv");
        let release = root.join("releases/20260101120000");
        fs::create_dir_all(&release)?;
        let artifact = self.dir().join("artifacts").join(FIRST).join("app");
        fs::hard_link(artifact, release.join("app"))?;
        std::os::unix::fs::symlink("releases/20260101120000", root.join("current"))
    }

    fn start_sshds(&mut self) -> io::Result<()> {
        for number in 0..self.hosts.len().div_ceil(sshd::ADDRESSES) {
            let daemon = sshd::start(self, number)?;
            self.keep(daemon)?;
        }
        Ok(())
    }

    fn keep(&mut self, daemon: Daemon) -> io::Result<()> {
        self.reaper.watch(daemon.id())?;
        self.daemons.push(daemon);
        Ok(())
    }

    fn is_up(&self) -> bool {
        let is_usable = |balancer| {
            self.servers(balancer)
                .is_ok_and(|seen| seen.values().all(|server| server.is_usable()))
        };
        self.balancers.iter().all(is_usable) && (self.fleet.is_some() || sshd::answer(self))
    }

    fn wait_until(&self, is_so: impl Fn(&Self) -> bool) -> io::Result<()> {
        if wait_until(Duration::from_secs(20), || is_so(self)) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the lab is not up after 20 s; see {}/logs",
            self.dir().display()
        )))
    }
}

/// The digits of a host's number.
fn width(total: usize) -> usize {
    total.to_string().len().max(2)
}

fn hosts(options: &Options, range: &Range) -> Vec<LabHost> {
    let width = width(options.hosts);
    (1..=options.hosts)
        .map(|number| {
            let name = format!("web-{number:0width$}");
            LabHost {
                app: range.at(number, range::APP),
                home: options.dir.join("hosts").join(&name),
                name,
            }
        })
        .collect()
}

fn balancers(options: &Options, range: &Range) -> Vec<LabBalancer> {
    ["edge-a", "edge-b", "edge-c", "edge-d"]
        .iter()
        .take(options.balancers)
        .enumerate()
        .map(|(number, name)| LabBalancer {
            name: (*name).to_owned(),
            front: range.at(range::FIRST_BALANCER + number, range::FRONT),
            stats: range.at(range::FIRST_BALANCER + number, range::STATS),
            socket: options.dir.join(format!("{name}.sock")),
        })
        .collect()
}
