//! The shape of an inventory.

use serde::Deserialize;

use crate::config::field::{Entries, Family, Field, Shape, Table, known_keys};
use crate::config::values::{Label, OneOrMany, Span, Var, Words};
use crate::config::words::Word;
use crate::model::{Become, HostKeyChecking};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Inventory {
    /// Defaults for every host.
    pub ssh: Field<Table<Ssh>>,
    /// Hosts by name or range.
    pub hosts: Field<Entries<Field<Table<Host>>>>,
    /// Groups by name.
    pub groups: Field<Entries<Field<Table<Group>>>>,
    /// Balancers by name.
    pub balancers: Field<Entries<Field<Table<Balancer>>>>,
}

/// How hosts are reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ssh {
    /// Login name.
    pub user: Field<String>,
    /// TCP port.
    pub port: Field<u16>,
    /// Private keys to offer, besides the agent's.
    pub identity_files: Field<OneOrMany>,
    /// Files of known host keys.
    pub known_hosts: Field<OneOrMany>,
    /// What is done about unknown host keys.
    pub host_key_checking: Field<Word<HostKeyChecking>>,
    /// Hops, first one first.
    pub jump: Field<OneOrMany>,
    /// Whether `~/.ssh/config` is honoured.
    #[expect(clippy::struct_field_names, reason = "the key's name in the contract")]
    pub ssh_config: Field<bool>,
    /// For connecting and authenticating together.
    pub connect_timeout: Field<Span>,
    /// How privileged steps are run.
    pub r#become: Field<Word<Become>>,
}

/// One host, or a range of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Host {
    /// Where its `sshd` is; a template. Absent: the host's name.
    pub address: Field<String>,
    /// For selectors and zones.
    pub labels: Field<Entries<Field<Label>>>,
    /// For templates.
    pub vars: Field<Entries<Field<Var>>>,
    /// What differs from the defaults.
    pub ssh: Field<Table<Ssh>>,
}

/// A named set of hosts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Group {
    /// Names, ranges, globs, other groups.
    pub hosts: Field<OneOrMany>,
    /// For templates of its hosts.
    pub vars: Field<Entries<Field<Var>>>,
    /// What differs from the defaults for its hosts.
    pub ssh: Field<Table<Ssh>>,
}

/// One balancer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Balancer {
    /// What it is.
    pub kind: Field<String>,
    /// `HAProxy`: `unix:///path` or `tcp://host:port`; a template.
    pub socket: Field<String>,
    /// The inventory host that it is reached through; a template.
    pub via: Field<String>,
    /// How long it is tried again when it does not answer.
    pub timeout: Field<Span>,
    /// nginx: the file that holds the upstream blocks; a template.
    pub config: Field<String>,
    /// nginx: tests the configuration.
    pub test: Field<Words>,
    /// nginx: brings it into force.
    pub reload: Field<Words>,
    /// nginx: the file with the master's process id; a template.
    pub pid: Field<String>,
    /// Commands: takes a server out.
    pub drain: Field<Words>,
    /// Commands: puts it back.
    pub enable: Field<Words>,
    /// Commands: prints its state.
    pub state: Field<Words>,
    /// Commands: prints how many requests are in flight.
    pub in_flight: Field<Words>,
    /// Commands: how long to wait where nobody counts requests.
    pub settle: Field<Span>,
    /// APIs: where it is; a template.
    pub url: Field<String>,
    /// APIs: the environment variable with the user's name.
    pub username_env: Field<String>,
    /// APIs: the environment variable with the password.
    pub password_env: Field<String>,
    /// APIs: a private CA's file; a template.
    pub ca: Field<String>,
    /// Health: the file on the host that makes it fail; a template.
    pub file: Field<String>,
    /// Health: how many failed checks the balancer wants.
    pub checks: Field<u32>,
    /// Health: how far apart they are.
    pub interval: Field<Span>,
}

impl Shape for Inventory {
    const NAME: &'static str = "";
}
impl Shape for Ssh {
    const NAME: &'static str = "ssh";
}
impl Shape for Host {
    const NAME: &'static str = "hosts.<name>";
}
impl Shape for Group {
    const NAME: &'static str = "groups.<name>";
}
impl Shape for Balancer {
    const NAME: &'static str = "balancers.<name>";
}

/// Every table of an inventory with its keys.
pub(crate) fn family() -> Family {
    vec![
        (Inventory::NAME, known_keys::<Inventory>()),
        (Ssh::NAME, known_keys::<Ssh>()),
        (Host::NAME, known_keys::<Host>()),
        (Group::NAME, known_keys::<Group>()),
        (Balancer::NAME, known_keys::<Balancer>()),
    ]
}
