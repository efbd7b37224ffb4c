//! A real `sshd` on a loopback address, with keys and known hosts of its own in a temporary folder.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollgate::drivers::transport::{Connector, Surroundings, Transport, open};
use rollgate::model::{Become, HostKeyChecking, HostName, HostSpec, Identity, SshOptions};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// A folder with a user's key and files for any number of servers.
pub struct Lab {
    pub folder: TempDir,
    pub around: Surroundings,
}

/// A server that ends with this value.
pub struct Sshd {
    child: Child,
    pub address: String,
    pub port: u16,
    /// The public host key, `type base64`.
    pub host_key: String,
    pub log: PathBuf,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Makes a key pair; an empty passphrase leaves it unencrypted.
pub fn keygen(file: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
        .arg(file)
        .output()
        .expect("ssh-keygen is installed");
    assert!(made.status.success(), "{made:?}");
}

fn free_port(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// How lines of sshd's log begin that tell of a connection's end. Source: OpenSSH, `packet.c` and `serverloop.c`.
const ENDS: [&str; 5] = [
    "Received disconnect from",
    "Closing connection to",
    "Connection closed by",
    "Connection reset by",
    "Read error from",
];

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

impl Sshd {
    /// The client's port of the connection that logged in last.
    pub fn last_login(&self) -> u16 {
        let log = text_of(&self.log);
        let login = log
            .lines()
            .rfind(|line| line.starts_with("Accepted publickey"));
        let (_, port) = login.and_then(|line| line.split_once(" port ")).unwrap();
        port.split(' ').next().unwrap().parse().unwrap()
    }

    /// Whether the log soon says that the connection from this port has ended: by its farewell, or, where the way to it ended
    /// first, without one. Other connections do not count: the log begins with one that was closed, that of the wait for the server.
    pub async fn sees_end_of(&self, port: u16) -> bool {
        let port = format!(" port {port}");
        let ended = |line: &str| {
            let of_this = line
                .split_once(&port)
                .is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit()));
            of_this && ENDS.iter().any(|end| line.starts_with(end))
        };
        for _ in 0..100 {
            if text_of(&self.log).lines().any(ended) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        false
    }
}

impl Lab {
    /// A lab, or `None` with a printed reason where no server can be started.
    pub fn new() -> Option<Self> {
        if !Path::new(SSHD).exists() {
            eprintln!("skipped: {SSHD} is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        keygen(&folder.path().join("user"), "ed25519", "");
        let authorized = text_of(&folder.path().join("user.pub"));
        std::fs::write(folder.path().join("authorized"), authorized).unwrap();
        let around = Surroundings {
            home: Some(folder.path().join("home")),
            agent: None,
            system_known_hosts: Vec::new(),
            ssh_config: Some(folder.path().join("ssh_config")),
            ..Surroundings::of_this_process()
        };
        Some(Self { folder, around })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn user(&self) -> String {
        self.around.user.clone().unwrap()
    }

    /// Lets another key in.
    pub fn authorize(&self, public: &Path) {
        let mut text = text_of(&self.path("authorized"));
        text.push_str(&text_of(public));
        std::fs::write(self.path("authorized"), text).unwrap();
    }

    /// Starts a server; `extra` comes first in its configuration, so it wins.
    pub fn sshd(&self, extra: &str) -> Sshd {
        let address = "127.0.2.1".to_owned();
        let port = free_port(&address);
        let key = self.path(&format!("host-{port}"));
        keygen(&key, "ed25519", "");
        let host_key = text_of(&key.with_extension("pub"));
        let host_key: Vec<&str> = host_key.split_whitespace().take(2).collect();
        let config = self.path(&format!("sshd-{port}.conf"));
        // Of this keyword the last line wins, of all others the first.
        let startups = if extra.contains("MaxStartups") {
            ""
        } else {
            "MaxStartups 100\n"
        };
        let text = format!(
            "{extra}\nListenAddress {address}:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             PermitUserRC no\n{startups}MaxSessions 20\nLogLevel VERBOSE\n",
            key.display(),
            self.path("authorized").display()
        );
        std::fs::write(&config, text).unwrap();
        // The folder that a root sshd insists on.
        std::fs::create_dir_all("/run/sshd").ok();
        let log = self.path(&format!("sshd-{port}.log"));
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let mut sshd = Sshd {
            child,
            address,
            port,
            host_key: host_key.join(" "),
            log,
        };
        while TcpStream::connect((sshd.address.as_str(), port)).is_err() {
            let ended = sshd.child.try_wait().unwrap();
            let log = || text_of(&sshd.log);
            assert!(ended.is_none(), "sshd ended: {}", log());
            assert!(started.elapsed() < Duration::from_secs(20), "{}", log());
            #[expect(clippy::disallowed_methods, reason = "no runtime is running here")]
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    /// Writes the server's key to the file of known hosts.
    pub fn trust(&self, sshd: &Sshd) {
        let file = self.path("known_hosts");
        let mut text = std::fs::read_to_string(&file).unwrap_or_default();
        let (address, port) = (&sshd.address, sshd.port);
        let key = &sshd.host_key;
        let line = format!("[{address}]:{port} {key}\n");
        text.push_str(&line);
        std::fs::write(&file, text).unwrap();
    }

    /// A host that is this server, known by name `name`.
    pub fn spec(&self, name: &str, sshd: &Sshd) -> HostSpec {
        HostSpec {
            name: HostName::new(name).unwrap(),
            address: sshd.address.clone(),
            labels: BTreeMap::new(),
            ssh: SshOptions {
                user: Some(self.user()),
                port: Some(sshd.port),
                identity_files: vec![self.identity("user")],
                known_hosts: vec![self.path("known_hosts")],
                host_key_checking: HostKeyChecking::Strict,
                jump: Vec::new(),
                ssh_config: false,
                connect_timeout: Duration::from_secs(10),
                r#become: Become::None,
            },
            root: String::new(),
            traffic: Vec::new(),
            ready_url: String::new(),
        }
    }

    pub fn identity(&self, name: &str) -> Identity {
        Identity {
            path: self.path(name),
            required: true,
        }
    }

    /// A connector of this lab.
    pub fn connector(&self) -> Arc<Connector> {
        Connector::new(self.around.clone())
    }

    /// Opens a host without others.
    pub fn open(&self, spec: &HostSpec) -> Arc<dyn Transport> {
        open(spec, &BTreeMap::new(), &self.connector())
    }

    /// A server whose key is known, and a transport to it.
    pub fn host(&self, extra: &str) -> (Sshd, Arc<dyn Transport>) {
        let sshd = self.sshd(extra);
        self.trust(&sshd);
        let transport = self.open(&self.spec("web", &sshd));
        (sshd, transport)
    }
}
