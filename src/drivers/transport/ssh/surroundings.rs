//! What this machine brings along for SSH: home directory, user, agent, system-wide files.

use std::path::{Path, PathBuf};

use super::config_file::{HostConfig, Question};

/// Where OpenSSH keeps the system-wide configuration.
const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";

/// System-wide known hosts, in OpenSSH's order.
const SYSTEM_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// What OpenSSH would take from this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The home directory, for `~` and for the default keys and known hosts.
    pub home: Option<PathBuf>,
    /// The local user: the login name where none is configured.
    pub user: Option<String>,
    /// The socket of the SSH agent.
    pub agent: Option<PathBuf>,
    /// Known hosts besides the user's own.
    pub system_known_hosts: Vec<PathBuf>,
    /// The only `ssh_config` to read; `None`: the user's and the system's.
    pub ssh_config: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        Self {
            home: etcetera::home_dir().ok(),
            user: local_user(),
            agent: std::env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            system_known_hosts: SYSTEM_KNOWN_HOSTS.iter().map(PathBuf::from).collect(),
            ssh_config: None,
        }
    }

    /// Files that may say something about a host.
    pub(super) fn config_files(&self) -> Vec<PathBuf> {
        match &self.ssh_config {
            Some(file) => vec![file.clone()],
            None => self
                .in_ssh_folder("config")
                .into_iter()
                .chain([PathBuf::from(SYSTEM_CONFIG)])
                .collect(),
        }
    }

    /// The user's known hosts, as OpenSSH would read them.
    pub(super) fn user_known_hosts(&self) -> Vec<PathBuf> {
        ["known_hosts", "known_hosts2"]
            .iter()
            .filter_map(|name| self.in_ssh_folder(name))
            .collect()
    }

    /// The keys that OpenSSH would try.
    pub(super) fn default_identities(&self) -> Vec<PathBuf> {
        ["id_ed25519", "id_ecdsa", "id_rsa"]
            .iter()
            .filter_map(|name| self.in_ssh_folder(name))
            .collect()
    }

    fn in_ssh_folder(&self, name: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(".ssh").join(name))
    }

    /// Replaces `~` and the tokens of `ssh_config` in a path. Tokens that need a connection are left as they are.
    pub(super) fn expand(&self, path: &str, question: &Question, config: &HostConfig) -> PathBuf {
        let home = self.home.as_deref().unwrap_or(Path::new("~"));
        let path = match path.strip_prefix("~/") {
            Some(rest) => home.join(rest).to_string_lossy().into_owned(),
            None => path.to_owned(),
        };
        let mut expanded = String::new();
        let mut letters = path.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                expanded.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') | None => expanded.push('%'),
                Some('d') => expanded.push_str(&home.to_string_lossy()),
                Some('h') => {
                    expanded.push_str(config.host_name.as_ref().unwrap_or(&question.host));
                }
                Some('n') => expanded.push_str(&question.host),
                Some('p') => expanded.push_str(&config.port.unwrap_or(22).to_string()),
                Some('r') => expanded.push_str(config.user.as_deref().unwrap_or_default()),
                Some('u') => expanded.push_str(self.user.as_deref().unwrap_or_default()),
                Some(other) => expanded.extend(['%', other]),
            }
        }
        expanded.into()
    }
}

/// The name that belongs to this process's user id, else what the login left in the environment (directories such as LDAP are not in
/// the file).
fn local_user() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    named.or_else(|| {
        ["LOGNAME", "USER"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
    })
}
