//! Hosts with systemd as PID 1, `sshd` and `sudo`, in containers on a network of their own; see scripts/container-lab.sh.
//!
//! Each host's `/opt/shop` is the folder `srv` of its home in the lab's folder, so that a test reads what lies there as on loopback.
//! The SSH user is `deploy`, who owns it, or `root`. Nothing outlives the process that started it, however that ends.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::LabHost;
use super::process::output;

/// The SSH user of the hosts, and the owner of their release root.
pub(crate) const USER: &str = "deploy";
/// The id of that user in every host.
const USER_ID: u32 = 1000;
/// The release root on every host.
pub(crate) const ROOT: &str = "/opt/shop";
/// The port of every application.
pub(crate) const APP: u16 = 8080;
/// The number of the first host's address; the first address of the network is this machine's.
const FIRST: usize = 11;

const REAP: &str = include_str!("fleet_reap.sh");

/// What the hosts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// systemd alone.
    Systemd,
    /// A Docker engine of their own too.
    Docker,
    /// Podman too.
    Podman,
}

/// The engine and the images.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    docker: String,
    image: String,
    users: String,
    for_systemd: Vec<String>,
    for_engines: Vec<String>,
}

impl Engine {
    /// Makes it ready, which is quick but for the first time.
    ///
    /// # Errors
    /// Why that cannot be here.
    pub(crate) fn up() -> io::Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/container-lab.sh");
        let text = output(Command::new(script).arg("up"))?;
        let value = |name: &str| {
            let found = text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key == name).then(|| value.to_owned())
            });
            found.ok_or_else(|| io::Error::other(format!("{script} did not print {name}")))
        };
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
        Ok(Self {
            docker: value("DOCKER_HOST")?,
            image: value("IMAGE")?,
            users: value("USERS")?,
            for_systemd: value("SYSTEMD_FLAGS").map(words)?,
            for_engines: value("ENGINE_FLAGS").map(words)?,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.docker
    }

    /// `docker` with those arguments; its stdout.
    pub(crate) fn docker<S: AsRef<str>>(&self, arguments: &[S]) -> io::Result<String> {
        output(self.command().args(arguments.iter().map(AsRef::as_ref)))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", &self.docker);
        command
    }
}

/// Running hosts. Dropping it removes them.
pub(crate) struct Fleet {
    /// The engine that holds them.
    pub(crate) engine: Engine,
    /// The name of their network, and the beginning of the names of their containers.
    pub(crate) network: String,
    /// The first three numbers of their addresses.
    net: [u8; 3],
    kind: Kind,
    reaper: Child,
}

impl Fleet {
    /// A network without hosts yet. What will be in it is removed when this process ends.
    pub(crate) fn new(engine: &Engine, kind: Kind) -> io::Result<Self> {
        let seed = std::process::id().to_le_bytes();
        let mut last = io::Error::other("no network is free for a lab");
        for attempt in 0_u8..40 {
            let net = [10, 213, seed[0].wrapping_add(attempt.wrapping_mul(37))];
            let network = format!("rollgate-lab-{}-{attempt}", std::process::id());
            let reaper = reaper(engine, &network)?;
            let fleet = Self {
                engine: engine.clone(),
                network,
                net,
                kind,
                reaper,
            };
            let subnet = format!("{}.{}.{}.0/24", net[0], net[1], net[2]);
            // Without a way out: what the hosts need is there.
            let made = fleet.engine.docker(&[
                "network",
                "create",
                "--internal",
                "--subnet",
                &subnet,
                &fleet.network,
            ]);
            match made {
                Ok(_) => return Ok(fleet),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where the application of a host listens.
    pub(crate) fn app(&self, number: usize) -> SocketAddr {
        let last = u8::try_from(FIRST + number - 1).unwrap_or(u8::MAX);
        let [a, b, c] = self.net;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, last)), APP)
    }

    /// The addresses as a template of the inventory.
    pub(crate) fn template(&self) -> String {
        let [a, b, c] = self.net;
        format!("{a}.{b}.{c}.{{{{ n + {} }}}}", FIRST - 1)
    }

    /// Starts every host and waits until each has booted and lets `deploy` and `root` in by the lab's key.
    pub(crate) fn start(&self, dir: &Path, hosts: &[LabHost]) -> io::Result<()> {
        for host in hosts {
            self.run(host)?;
        }
        let mut preparing = Vec::new();
        for (number, host) in hosts.iter().enumerate() {
            preparing.push((host, self.prepare(dir, number, host)?));
        }
        for (host, child) in preparing {
            let done = child.wait_with_output()?;
            if !done.status.success() {
                let said = String::from_utf8_lossy(&done.stderr);
                return Err(io::Error::other(format!("{}: {said}", host.name)));
            }
        }
        write_known_hosts(dir, hosts)
    }

    fn run(&self, host: &LabHost) -> io::Result<()> {
        let srv = host.home.join("srv");
        fs::create_dir_all(&srv)?;
        own(&srv)?;
        let engine = &self.engine;
        let (flags, image, data) = match self.kind {
            Kind::Systemd => (&engine.for_systemd, "systemd", None),
            Kind::Docker => (&engine.for_engines, "docker", Some("/var/lib/docker")),
            Kind::Podman => (&engine.for_engines, "podman", Some("/var/lib/containers")),
        };
        let mut command = engine.command();
        command.args(["run", "-d", "--name", &self.container(host)]);
        command.args(["--hostname", &host.name, "--network", &self.network]);
        command.args(["--ip", &host.app.ip().to_string()]);
        command
            .arg("-v")
            .arg(format!("{}:{ROOT}", srv.display()))
            .args(flags);
        if let Some(data) = data {
            command.args(["-v", data]);
        }
        command.arg(format!("{}-{image}", engine.image));
        output(command.arg("/lib/systemd/systemd")).map(drop)
    }

    /// Gives a host that boots its keys.
    fn prepare(&self, dir: &Path, number: usize, host: &LabHost) -> io::Result<Child> {
        let keys = dir.join("keys");
        let (key, client) = (
            fs::read_to_string(keys.join(format!("host-{number}")))?,
            fs::read_to_string(keys.join("client.pub"))?,
        );
        let script = format!(
            "set -e\n\
             n=0; until systemctl is-system-running --wait | grep -q -e running -e degraded; do\n\
             n=$((n + 1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done\n\
             umask 077\n\
             cat >/etc/ssh/ssh_host_ed25519_key <<'E'\n{key}E\n\
             for home in /root /home/{USER}; do mkdir -p $home/.ssh; cat >$home/.ssh/authorized_keys <<'E'\n{client}E\ndone\n\
             chown -R {USER}: /home/{USER}/.ssh\n\
             systemctl enable --quiet --now ssh.service\n"
        );
        let mut command = self.engine.command();
        command.args(["exec", "-i", &self.container(host), "sh"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(script.as_bytes())?;
        }
        Ok(child)
    }

    /// The name of a host's container.
    pub(crate) fn container(&self, host: &LabHost) -> String {
        format!("{}-{}", self.network, host.name)
    }

    /// Runs a script on a host, as root and past SSH; its stdout.
    ///
    /// # Errors
    /// It did not exit 0; its stderr is in the text.
    pub(crate) fn exec(&self, host: &LabHost, script: &str) -> io::Result<String> {
        self.engine
            .docker(&["exec", &self.container(host), "sh", "-c", script])
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        drop(self.reaper.wait());
    }
}

/// Gives a folder and what is in it to `deploy`.
pub(crate) fn own(path: &Path) -> io::Result<()> {
    let owner = format!("{USER_ID}:{USER_ID}");
    output(Command::new("chown").args(["-R", "-h", &owner]).arg(path)).map(drop)
}

fn write_known_hosts(dir: &Path, hosts: &[LabHost]) -> io::Result<()> {
    let mut text = String::new();
    for (number, host) in hosts.iter().enumerate() {
        let key = fs::read_to_string(dir.join(format!("keys/host-{number}.pub")))?;
        // Writing to a String cannot fail.
        let _ok = write!(text, "{} {key}", host.app.ip());
    }
    fs::write(dir.join("known_hosts"), text)
}

/// A shell that waits for this process's end, and then removes the network and the containers in it.
fn reaper(engine: &Engine, network: &str) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", REAP, "reap", network, &engine.users])
        .env("DOCKER_HOST", &engine.docker)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
