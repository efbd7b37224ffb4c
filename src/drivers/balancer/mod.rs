//! What is told to and read from load balancers.

mod abreast;
mod address;
mod api;
mod command;
mod dataplane;
mod haproxy;
mod health;
mod nginx;
mod nginx_plus;

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::drivers::transport::Transport;
use crate::model::{
    Admin, BalancerKind, BalancerName, BalancerSeen, BalancerSpec, HostName, PoolName, ServerName,
};

/// One thing to tell a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which pool.
    pub pool: PoolName,
    /// Which server.
    pub server: ServerName,
    /// The administrative state wanted.
    pub admin: Admin,
    /// The weight wanted, where it has to be put back; `None`: as it is.
    pub weight: Option<u32>,
    /// Whether the balancer's agent check, which may override what it is told, is to run; `None`: as it is.
    pub agent: Option<bool>,
}

/// Why a balancer was not told, or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BalancerError {
    /// Nobody answered.
    #[error("balancer `{balancer}` cannot be reached at {endpoint}: {reason}")]
    Unreachable {
        /// Its name.
        balancer: BalancerName,
        /// Its socket, with the host it is reached through.
        endpoint: String,
        /// In words.
        reason: String,
    },
    /// It answered, and said no.
    #[error("balancer `{balancer}` refused `{command}`: {answer}")]
    Refused {
        /// Its name.
        balancer: BalancerName,
        /// What it was told.
        command: String,
        /// What it said.
        answer: String,
    },
    /// It answered something that makes no sense.
    #[error("balancer `{balancer}` answered something unexpected to `{command}`: {answer}")]
    Garbled {
        /// Its name.
        balancer: BalancerName,
        /// What it was told.
        command: String,
        /// The beginning of what it said.
        answer: String,
    },
}

impl BalancerError {
    /// Whether the same call may succeed in a moment.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// One balancer. Every call uses a fresh connection (a reused one may lead to a process that is already being replaced) and has a
/// limit of at most 10 s of its own; whether and how long to try again is its caller's decision.
pub trait LoadBalancer: Send + Sync + fmt::Debug {
    /// Its name in the inventory.
    fn name(&self) -> &BalancerName;

    /// Reads the named pools, all their servers, and whether it may be told anything, in one round trip. Pools that do not exist are
    /// absent from the answer.
    fn observe<'a>(
        &'a self,
        pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>>;

    /// Tells it all `changes`, in order, and returns when each was accepted. Telling it what it already knows does no harm.
    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>>;

    /// Whether telling it is costly (a reload), so that changes of a batch are better told together.
    fn gathers(&self) -> bool {
        false
    }

    /// What a person types to bring a server back, for the messages about stranded hosts.
    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String;
}

/// The ways to a balancer, and what the playbook calls its servers.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The connection to the host that the balancer's `via` names.
    pub via: Option<Arc<dyn Transport>>,
    /// Every server of this balancer that the playbook names.
    pub targets: Vec<Target>,
}

/// One server that the playbook names.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its pool.
    pub pool: PoolName,
    /// Its name, as the playbook has it.
    pub server: ServerName,
    /// The host that it is.
    pub host: HostName,
    /// The connection to that host.
    pub transport: Arc<dyn Transport>,
}

/// Reads what the driver for `spec` needs of this machine before anything is contacted: variables with credentials, a CA's file.
///
/// # Errors
/// What is missing, in words for people.
pub fn check(spec: &BalancerSpec) -> Result<(), String> {
    match &spec.kind {
        BalancerKind::Dataplane(api) | BalancerKind::NginxPlus(api) => {
            api::check(api).map_err(|error| format!("balancer `{}`: {error}", spec.name))
        }
        BalancerKind::Haproxy { .. }
        | BalancerKind::Nginx(_)
        | BalancerKind::Command(_)
        | BalancerKind::Health(_) => Ok(()),
    }
}

/// The driver for `spec`. Where it names a host as `via` and no connection to it is given, every call of the driver answers so. Nothing
/// is contacted yet.
pub fn open(spec: &BalancerSpec, reach: Reach) -> Arc<dyn LoadBalancer> {
    match &spec.kind {
        BalancerKind::Haproxy { endpoint } => Arc::new(haproxy::Haproxy::new(
            spec.name.clone(),
            endpoint.clone(),
            spec.via.clone(),
            reach.via,
        )),
        BalancerKind::Command(commands) => Arc::new(command::Commands::new(
            spec.name.clone(),
            commands.clone(),
            spec.via.clone(),
            reach.via,
        )),
        BalancerKind::Health(health) => Arc::new(health::Health::new(
            spec.name.clone(),
            health.clone(),
            reach.targets,
        )),
        BalancerKind::Dataplane(api) => Arc::new(dataplane::Dataplane::new(
            spec.name.clone(),
            api,
            spec.via.clone(),
            reach.via,
        )),
        BalancerKind::NginxPlus(api) => Arc::new(nginx_plus::NginxPlus::new(
            spec.name.clone(),
            api,
            spec.via.clone(),
            reach,
        )),
        BalancerKind::Nginx(nginx) => Arc::new(nginx::Nginx::new(
            spec.name.clone(),
            nginx.clone(),
            spec.via.clone(),
            reach,
        )),
    }
}
