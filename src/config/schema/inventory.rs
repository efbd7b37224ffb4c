//! The shape of an inventory.

use serde::Deserialize;

use crate::config::field::{Entries, Family, Field, Shape, Table, known_keys};
use crate::config::values::{Label, OneOrMany, Span, Var};
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
    /// `unix:///path` or `tcp://host:port`; a template.
    pub socket: Field<String>,
    /// The inventory host whose socket it is; a template.
    pub via: Field<String>,
    /// How long it is tried again when it does not answer.
    pub timeout: Field<Span>,
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
