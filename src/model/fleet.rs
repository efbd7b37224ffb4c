//! Who is rolled: hosts and balancers as the inventory names them, after every template was rendered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{BalancerName, HostName, PoolName, ServerName};

/// How privileged steps are run on a host. rollgate never asks for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Become {
    /// As the SSH user.
    #[default]
    None,
    /// Single privileged commands by `sudo -n`.
    Sudo,
    /// Single privileged commands by `doas -n`.
    Doas,
    /// Everything on the host by `sudo -n`.
    SudoAll,
}

/// What is done about a host key that is not known yet. There is no "off".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeyChecking {
    /// Refused.
    #[default]
    Strict,
    /// Added to the first file of `known_hosts`; a changed key is still refused.
    AcceptNew,
}

/// A private key file to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The file, `~` expanded.
    pub path: PathBuf,
    /// Whether a missing file is an error (named by the user) or passed over (a default of OpenSSH).
    pub required: bool,
}

/// One hop on the way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JumpSpec {
    /// A host of the inventory, with its own options.
    Inventory(HostName),
    /// `user@address:port`; what is absent comes from the target's own options.
    Address {
        /// SSH user.
        user: Option<String>,
        /// Name or address.
        address: String,
        /// TCP port.
        port: Option<u16>,
    },
}

/// How a host is reached over SSH: defaults, group and host settings already merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshOptions {
    /// Login name; `None`: from `ssh_config`, else the local user.
    pub user: Option<String>,
    /// TCP port; `None`: from `ssh_config`, else 22.
    pub port: Option<u16>,
    /// Keys to offer, before those of the agent. Empty: what OpenSSH would try.
    pub identity_files: Vec<Identity>,
    /// Files of known host keys, `~` expanded. Empty: OpenSSH's own.
    pub known_hosts: Vec<PathBuf>,
    /// What is done about unknown keys.
    pub host_key_checking: HostKeyChecking,
    /// Hops, first one first.
    pub jump: Vec<JumpSpec>,
    /// Whether `~/.ssh/config` is honoured.
    pub ssh_config: bool,
    /// For connecting and authenticating together.
    pub connect_timeout: Duration,
    /// How privileged steps are run.
    pub r#become: Become,
}

/// One entry of `[[traffic]]`, rendered for one host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrafficTarget {
    /// Which balancer.
    pub balancer: BalancerName,
    /// Which of its pools.
    pub pool: PoolName,
    /// The host's entry there.
    pub server: ServerName,
}

/// A host, with everything that does not depend on a release rendered for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSpec {
    /// Its name in the inventory.
    pub name: HostName,
    /// Where its `sshd` is; a name or an address, IPv6 without brackets.
    pub address: String,
    /// For selectors and zones.
    pub labels: BTreeMap<String, String>,
    /// How it is reached.
    pub ssh: SshOptions,
    /// Folder of releases, absolute. Empty for a host that is not of the playbook's fleet.
    pub root: String,
    /// Where its traffic comes from.
    pub traffic: Vec<TrafficTarget>,
    /// The readiness URL, rendered.
    pub ready_url: String,
}
