//! Runs a rollout: looks, locks, plans, stages, takes the batches through their cycles, and leaves every host named.
//!
//! The decisions are elsewhere ([`crate::plan`], [`crate::cycle`], [`outcome`]); the doing is behind the traits of [`crate::drivers`];
//! what is said goes through one [`crate::event::Emitter`]. What remains here is order, waiting, and care:
//!
//! * [`inspect`]: all hosts and balancers, one round trip each, with the locks in the same trip.
//! * [`mod@survey`]: the same for commands that ask what there is to do.
//! * [`rollout`]: the sequence from plan to end. [`batch`]: one batch and its gate. [`worker`]: one host's task.
//! * [`steps`]: what each step and undo really does, through the drivers.
//! * [`lease`]: how old the last confirmation of each host's lock is (R3). [`traffic`]: what is read from balancers.
//! * [`telling`]: what is told to them, under that lease. [`gather`]: changes of a batch that share one reload.
//! * [`watch`]: reads every balancer each second while hosts are held out of traffic.
//! * [`bound`]: how many hosts may be out now (R1). [`hooks`]: when hooks run and what they are told.
//! * [`finish`]: records, pruning, unlocking. [`ends`]: what is said about every host at the end. [`outcome`]: from host ends to the rollout's outcome.

mod batch;
mod bound;
mod conflict;
mod context;
mod ends;
mod finish;
mod gather;
mod hooks;
mod inspect;
mod lease;
mod locks;
pub mod outcome;
mod records;
mod rollout;
mod staging;
mod steps;
mod survey;
mod telling;
mod traffic;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::drivers::balancer::LoadBalancer;
use crate::drivers::host::{HostDriver, Ran};
use crate::drivers::probe::Probe;
use crate::event::Clock;
use crate::model::record::ProcessMark;
use crate::model::{
    Artifact, BalancerName, DrainPolicy, Hook, HostName, HostSpec, LockToken, ReadyPolicy, Recipes,
    Revision, RolloutId, ServiceName, Sha256, Strategy, Version,
};
use crate::plan::{Resumes, Wishes};

pub use inspect::{Look, look, observe, rights};
pub use rollout::{ByHand, deploy, maintain};
pub use survey::{Cleared, Held, Survey, clear, freeze, survey, unlock};

/// One host of the playbook's fleet.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who it is.
    pub spec: HostSpec,
    /// Whether `--limit` (or its absence) chose it.
    pub selected: bool,
    /// The digest of what reaches the process there besides the artifact.
    pub config: Sha256,
}

/// What is to be done, with everything that the files and the command line say.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub rollout: RolloutId,
    /// This process's own mark.
    pub token: LockToken,
    /// Which process of the rollout this is, from 1.
    pub attempt: u32,
    /// `deploy`.
    pub command: String,
    /// `user@machine`.
    pub by: String,
    /// This process, as its own machine knows it.
    pub process: ProcessMark,
    /// What is rolled.
    pub service: ServiceName,
    /// To which version.
    pub version: Version,
    /// The artifact.
    pub artifact: Artifact,
    /// The whole fleet, in the order of the inventory.
    pub fleet: Vec<Member>,
    /// `[strategy]`.
    pub strategy: Strategy,
    /// `[drain]`.
    pub drain: DrainPolicy,
    /// `[ready]`.
    pub ready: ReadyPolicy,
    /// Revisions kept on each host.
    pub keep: usize,
    /// Tools that every host must have.
    pub tools: Vec<&'static str>,
    /// The command line's wishes.
    pub wishes: Wishes,
    /// The rollout that is gone on with; `None`: a new one begins.
    pub resumes: Option<Resumes>,
    /// The revision that the fleet is taken back to; `None`: a release is rolled out.
    pub undo: Option<Revision>,
    /// A person's words, for a lock by hand.
    pub message: Option<String>,
    /// How long to queue behind another run's lock.
    pub lock_wait: Duration,
    /// Whether pauses are approved in advance.
    pub approved: bool,
    /// Options that a resume must keep, for the record.
    pub options: BTreeMap<String, String>,
    /// A digest for each key of the playbook, for the record.
    pub keys: BTreeMap<String, String>,
}

/// What the engine may do to one host.
#[derive(Debug, Clone)]
pub struct HostPorts {
    /// Everything on the host.
    pub driver: Arc<dyn HostDriver>,
    /// Its readiness.
    pub probe: Arc<dyn Probe>,
}

/// What the engine may do to one balancer.
#[derive(Debug, Clone)]
pub struct BalancerPort {
    /// The balancer.
    pub driver: Arc<dyn LoadBalancer>,
    /// For how long it is tried again when it does not answer.
    pub patience: Duration,
}

/// Runs hooks on this machine.
pub trait LocalCommands: Send + Sync + fmt::Debug {
    /// Runs one hook; its whole process group is killed when its timeout passes.
    fn run<'a>(&'a self, hook: &'a Hook) -> BoxFuture<'a, Result<Ran, String>>;
}

/// Asks a person.
pub trait People: Send + Sync + fmt::Debug {
    /// Asks whether to go on; returns when a person answered.
    fn approve<'a>(&'a self, question: &'a str) -> BoxFuture<'a, bool>;
}

/// Knows the processes of this machine.
pub trait Processes: Send + Sync + fmt::Debug {
    /// Whether the process still lives; `None` when it is not one of this machine's.
    fn alive(&self, mark: &ProcessMark) -> Option<bool>;
}

/// Everything outside: the engine's only doors.
#[derive(Clone)]
pub struct World {
    /// The fleet's hosts.
    pub hosts: BTreeMap<HostName, HostPorts>,
    /// The playbook's balancers.
    pub balancers: BTreeMap<BalancerName, BalancerPort>,
    /// Templates.
    pub recipes: Arc<dyn Recipes>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Hooks on this machine.
    pub local: Arc<dyn LocalCommands>,
    /// Approvals.
    pub people: Arc<dyn People>,
    /// This machine's processes.
    pub processes: Arc<dyn Processes>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("hosts", &self.hosts.keys())
            .field("balancers", &self.balancers.keys())
            .finish_non_exhaustive()
    }
}

/// How urgently a person or the system wants the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StopWish {
    /// It may go on.
    #[default]
    None,
    /// No new host starts; hosts under way are brought to a safe end.
    Gently,
    /// At once; the hosts hold what a resume needs.
    Now,
}
