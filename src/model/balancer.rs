//! How balancers are talked to: the checked form of `[balancers.<name>]`, every template rendered.

use std::path::PathBuf;
use std::time::Duration;

use super::{BalancerName, Command, HostName, PoolName, ServerName};

/// One balancer of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerSpec {
    /// Its name in the inventory.
    pub name: BalancerName,
    /// The inventory host that it is reached through; `None`: it is reached from here.
    pub via: Option<HostName>,
    /// How long it is tried again when it does not answer.
    pub timeout: Duration,
    /// What it is.
    pub kind: BalancerKind,
}

/// What a balancer is, with what its driver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalancerKind {
    /// `HAProxy`'s Runtime API.
    Haproxy {
        /// `unix:///path` without the scheme, or host and port.
        endpoint: Endpoint,
    },
    /// Open-source nginx: its configuration file is edited, tested and reloaded.
    Nginx(NginxSpec),
    /// `HAProxy`'s Data Plane API.
    Dataplane(ApiSpec),
    /// The API of NGINX Plus.
    NginxPlus(ApiSpec),
    /// The user's own commands.
    Command(CommandSpec),
    /// No balancer API at all: the host is made to look unhealthy to a balancer that nobody may touch.
    Health(HealthSpec),
}

/// Open-source nginx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxSpec {
    /// The file that holds the upstream blocks, absolute.
    pub config: String,
    /// Tests the configuration.
    pub test: Command,
    /// Brings it into force.
    pub reload: Command,
    /// The file with the master's process id, absolute; `None`: it is looked for.
    pub pid: Option<String>,
}

/// An HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSpec {
    /// Its base, without a slash at the end.
    pub url: String,
    /// Environment variables with the user name and the password of HTTP Basic authentication.
    pub credentials: Option<CredentialNames>,
    /// A private CA's file.
    pub ca: Option<PathBuf>,
}

/// Where credentials are read: never from a file of rollgate's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialNames {
    /// The variable with the user's name.
    pub username_env: String,
    /// The variable with the password.
    pub password_env: String,
}

/// The user's own commands, rendered for every server that the playbook names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandSpec {
    /// One entry a server.
    pub servers: Vec<ServerCommands>,
    /// How long a server that was taken out is not settled yet, whatever is counted.
    pub settle: Duration,
    /// The folder in which they run here; through a host they run where its shell begins.
    pub dir: Option<String>,
}

/// The commands for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCommands {
    /// Which pool.
    pub pool: PoolName,
    /// Which server.
    pub server: ServerName,
    /// Takes it out.
    pub drain: Command,
    /// Puts it back.
    pub enable: Command,
    /// Prints `ready`, `drain`, `maint` or `down`.
    pub state: Command,
    /// Prints how many requests are in flight; `None`: nobody counts them.
    pub in_flight: Option<Command>,
}

/// Making hosts look unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    /// One entry a server.
    pub servers: Vec<HealthServer>,
    /// How long the balancer takes to notice: its checks times their interval.
    pub notice: Duration,
}

/// How one host is made to look unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthServer {
    /// Which pool; a name for people.
    pub pool: PoolName,
    /// Which server; a name for people.
    pub server: ServerName,
    /// The host it is.
    pub host: HostName,
    /// How.
    pub switch: HealthSwitch,
    /// Prints how many requests are in flight there; `None`: nobody counts them.
    pub in_flight: Option<Command>,
}

/// What makes a host look unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthSwitch {
    /// A file on the host that is there while the host is out; absolute.
    File(String),
    /// Commands on the host.
    Commands {
        /// Makes it fail.
        drain: Command,
        /// Makes it pass.
        enable: Command,
        /// Prints `ready` or `drain`.
        state: Command,
    },
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket's path, absolute.
    Unix(String),
    /// A TCP address; IPv6 without brackets.
    Tcp(String, u16),
}
