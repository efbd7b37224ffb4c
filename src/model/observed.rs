//! What was seen on hosts and balancers. Nothing here is a wish, and all of it may be stale by the time it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{LockOwner, Record, RevisionLine, RolloutLine};
use super::{PoolName, ServerName, TrafficTarget};

/// What an administrator asked of a server, apart from its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// It may get requests.
    Ready,
    /// No new requests; health checks go on.
    Drain,
    /// No new requests, and no health checks.
    Maint,
}

/// What the balancer's own checks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// The last checks passed.
    Up,
    /// The last checks failed.
    Down,
    /// It is not checked.
    Unchecked,
}

/// The four states that users see (`state` in the plan's document).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrafficState {
    /// It gets requests.
    Ready,
    /// An administrator drained it.
    Drain,
    /// An administrator put it into maintenance.
    Maint,
    /// It may get requests, but the balancer finds it unfit.
    Down,
}

impl TrafficState {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
            Self::Down => "down",
        }
    }
}

/// One server of a pool, as its balancer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are independent of one another"
)]
pub struct ServerSeen {
    /// What an administrator asked for.
    pub admin: Admin,
    /// What the balancer's checks say.
    pub health: Health,
    /// Whether new requests are sent there now: admin state, health and weight taken together.
    pub usable: bool,
    /// Requests and streams under way or queued for this server, old processes of the balancer included where they can be asked.
    pub in_flight: u64,
    /// Its weight now, where the balancer has weights.
    pub weight: Option<u32>,
    /// Whether cookie persistence names it, so that a draining server still gets the requests of its own clients.
    pub sticky: bool,
    /// Whether it is not settled yet, whatever the numbers say: the balancer needs time to notice, or nobody counts its requests.
    pub settling: bool,
    /// Whether an agent check of the balancer runs for it, which may override what the balancer is told.
    pub agent: bool,
    /// Whether an agent check is configured for it and was switched off.
    pub agent_rests: bool,
    /// The server that it tracks (`pool/server`): its state is inherited and cannot be set here.
    pub tracks: Option<String>,
}

impl ServerSeen {
    /// What users see.
    pub fn state(&self) -> TrafficState {
        match (self.admin, self.usable) {
            (Admin::Drain, _) => TrafficState::Drain,
            (Admin::Maint, _) => TrafficState::Maint,
            (Admin::Ready, true) => TrafficState::Ready,
            (Admin::Ready, false) => TrafficState::Down,
        }
    }
}

/// One pool, as its balancer shows it: all its servers, also those that are no hosts of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolSeen {
    /// Its servers by name.
    pub servers: BTreeMap<ServerName, ServerSeen>,
}

impl PoolSeen {
    /// How many servers get requests now.
    pub fn usable(&self) -> usize {
        self.servers.values().filter(|server| server.usable).count()
    }
}

/// One balancer, read in one round trip by one of its processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BalancerSeen {
    /// What identifies the process that answered; another value means that it was restarted or reloaded, and forgot what it was told.
    pub process: String,
    /// The pools that were asked for and exist.
    pub pools: BTreeMap<PoolName, PoolSeen>,
    /// Why it cannot be told anything (permission, read-only), if so.
    pub read_only: Option<String>,
}

impl BalancerSeen {
    /// The server that `target` names, if this balancer has it.
    pub fn server(&self, target: &TrafficTarget) -> Option<&ServerSeen> {
        self.pools.get(&target.pool)?.servers.get(&target.server)
    }
}

/// One traffic entry of a host with the state seen there: what `plan`, `status` and `rollout.finished` show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSeen {
    /// Which balancer.
    pub balancer: super::BalancerName,
    /// Which pool.
    pub pool: PoolName,
    /// Which server.
    pub server: ServerName,
    /// Its state.
    pub state: TrafficState,
}

/// What `current` is on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Current {
    /// Nothing is there.
    #[default]
    Absent,
    /// A link; the text is where it points to, made absolute.
    Link(String),
    /// A folder or a file, which rollgate does not replace; the text says which.
    Foreign(String),
}

/// The record of a rollout in progress, as found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecordSeen {
    /// None.
    #[default]
    Absent,
    /// One that can be read.
    Read(Box<Record>),
    /// One that cannot; the text says why.
    Corrupt(String),
}

impl RecordSeen {
    /// The record, where it can be read.
    pub fn read(&self) -> Option<&Record> {
        match self {
            Self::Read(record) => Some(record),
            Self::Absent | Self::Corrupt(_) => None,
        }
    }
}

/// The lock of a host, as found or after it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LockSeen {
    /// Nobody holds it.
    #[default]
    Free,
    /// This process holds it.
    Ours,
    /// Another one does.
    Held {
        /// Whose it is; `None` when the owner file is missing or unreadable.
        owner: Option<Box<LockOwner>>,
        /// The owner file's name (`owner.<id>.<token>`), which a takeover renames; empty when there is none.
        file: String,
        /// Since its last renewal, by the host's own clock. Negative ages are shown as zero.
        age: Duration,
    },
}

/// Everything that one look at a host tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// The host's clock, seconds since the epoch.
    pub clock: i64,
    /// Its boot id; empty where the system has none.
    pub boot_id: String,
    /// `uname -m`.
    pub arch: String,
    /// Free space where the root is or will be, KiB.
    pub free_kib: Option<u64>,
    /// Whether the root, or the folder that will hold it, may be written by the SSH user.
    pub root_writable: bool,
    /// Tools found, out of those that rollgate may use there.
    pub tools: BTreeSet<String>,
    /// What `current` is.
    pub current: Current,
    /// Names of folders under `releases/`, complete ones only.
    pub releases: Vec<String>,
    /// What is known about revisions, oldest first; unreadable lines are left out and counted in [`Self::damaged`].
    pub revisions: Vec<RevisionLine>,
    /// How the last rollouts ended, oldest first.
    pub rollouts: Vec<RolloutLine>,
    /// Lines of either file that could not be read.
    pub damaged: Vec<String>,
    /// The rollout in progress, if any.
    pub record: RecordSeen,
    /// The lock.
    pub lock: LockSeen,
    /// Whether a script of an earlier run is still at work on the host.
    pub running: bool,
    /// What keeps releases of this kind from being rolled there, each with what to do about it.
    pub troubles: Vec<String>,
}

/// What one readiness probe got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeAnswer {
    /// The HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// The version value seen, where one is asked for and was there.
    pub version: Option<String>,
    /// Why no answer came, or the first line of the body: for people.
    pub note: String,
}
