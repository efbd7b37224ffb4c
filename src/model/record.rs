//! What a host keeps about its revisions, its rollouts and its lock: the files under `<root>/.rollgate/`.
//!
//! These files outlive every version of rollgate, so each carries a format version; unknown fields are ignored, and a newer major
//! version is shown, never rewritten. The text forms are made and read in [`crate::far`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::observed::Admin;
use super::{
    BalancerName, HostName, LockToken, PoolName, Revision, RolloutId, ServerName, ServiceName,
    Sha256, Version,
};

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// How a revision ended its last rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevisionOutcome {
    /// It was there before rollgate.
    Found,
    /// It lies on the host and was never swapped in.
    Staged,
    /// It was swapped in and proved itself; its rollout has not ended yet, or ended without success elsewhere.
    Active,
    /// Its rollout ended well.
    Succeeded,
    /// It was swapped in and taken back.
    Reverted,
    /// It was rolled back by a person.
    Undone,
}

impl RevisionOutcome {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Succeeded => "succeeded",
            Self::Reverted => "reverted",
            Self::Undone => "undone",
        }
    }
}

/// One line of `revisions.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionLine {
    /// Format version.
    pub v: u32,
    /// Its number.
    pub revision: Revision,
    /// Its version; `None` for what was found without one.
    pub version: Option<Version>,
    /// Digest of the artifact; `None` for what was found.
    pub sha256: Option<Sha256>,
    /// Digest of what else reaches the process.
    pub config: Option<Sha256>,
    /// Its folder: relative to `releases/`, or absolute for what was found elsewhere.
    pub dir: String,
    /// Who rolled it out: `user@machine`.
    pub by: String,
    /// Where the artifact came from.
    pub from: String,
    /// When it was staged or last changed its outcome.
    pub at: Timestamp,
    /// How it went.
    pub outcome: RevisionOutcome,
    /// Whether it ever ended a rollout well, whatever came later.
    #[serde(default)]
    pub good: bool,
    /// The rollout that staged it or last changed it.
    pub rollout: Option<RolloutId>,
}

/// One line of `rollouts.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutLine {
    /// Format version.
    pub v: u32,
    /// Which rollout.
    pub id: RolloutId,
    /// `deploy`, `undo`, ….
    pub command: String,
    /// `succeeded`, `reverted`, …: see [`super::Outcome`].
    pub outcome: String,
    /// The exit code of the run.
    pub exit_code: u8,
    /// When it ended.
    pub at: Timestamp,
    /// The revision that it was about.
    pub revision: Option<Revision>,
}

/// What holds a host's lock: the text of the owner file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    /// Format version.
    pub v: u32,
    /// The rollout, or an id made for a lock held by hand.
    pub rollout: RolloutId,
    /// The process's own mark.
    pub token: LockToken,
    /// What it does: `deploy`, `lock`, ….
    pub command: String,
    /// The service that is rolled.
    pub service: Option<ServiceName>,
    /// `user@machine`.
    pub by: String,
    /// When it was taken, by the holder's clock.
    pub since: Timestamp,
    /// The holder's process, so that its own machine can tell whether it still lives.
    pub process: ProcessMark,
    /// A person's words, for a lock held by hand.
    pub message: Option<String>,
}

/// What tells a process apart from every other one that ever ran.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessMark {
    /// The kernel's boot id.
    pub boot_id: String,
    /// The pid namespace.
    pub pid_namespace: String,
    /// The process id there.
    pub pid: u32,
    /// Its start time in clock ticks since boot.
    pub start: u64,
}

/// What a rollout is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The number that the fleet gives it.
    pub revision: Revision,
    /// Its version.
    pub version: Version,
    /// Digest of the artifact.
    pub sha256: Sha256,
    /// Digest of what else reaches the process on this host.
    pub config: Sha256,
}

/// One server's state as it was found, or as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundTraffic {
    /// Which balancer.
    pub balancer: BalancerName,
    /// Which pool.
    pub pool: PoolName,
    /// Which server.
    pub server: ServerName,
    /// Its administrative state.
    pub admin: Admin,
    /// Whether requests were sent there.
    pub usable: bool,
    /// Its weight.
    pub weight: Option<u32>,
    /// Whether an agent check of the balancer ran for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
}

impl FoundTraffic {
    /// Whether it speaks of this server.
    pub fn is_at(&self, balancer: &BalancerName, pool: &PoolName, server: &ServerName) -> bool {
        self.balancer == *balancer && self.pool == *pool && self.server == *server
    }

    /// Whether both speak of one server, in whatever state.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.is_at(&other.balancer, &other.pool, &other.server)
    }
}

/// What a host's service showed before the first change: what a revert must show again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Whether the status seen counted as ready.
    pub ready: bool,
    /// The HTTP status seen.
    pub status: Option<u16>,
    /// The version value seen.
    pub version: Option<String>,
}

/// How far a host has come, written before each act there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordStep {
    /// Nothing was begun.
    Planned,
    /// It is being taken out of traffic.
    Drain,
    /// The new release is being swapped in.
    Swap,
    /// It is being put back into traffic on the new release.
    Enable,
    /// It passed its gate.
    Passed,
    /// The old release is being swapped back in.
    SwapBack,
    /// It is being put back as it was found.
    Restore,
    /// It was left out of traffic for a person to mend.
    Stranded,
}

impl RecordStep {
    /// For people: what was, or is, being done.
    pub fn said(self) -> &'static str {
        match self {
            Self::Planned => "not begun",
            Self::Drain => "being taken out of traffic",
            Self::Swap => "being swapped to the new release",
            Self::Enable => "back in traffic on the new release, or about to be",
            Self::Passed => "done",
            Self::SwapBack => "being swapped back",
            Self::Restore => "being put back as it was found",
            Self::Stranded => "needs a person",
        }
    }
}

/// `rollout.json`: a rollout in progress on this host, or the words about a host that was left stranded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format version.
    pub v: u32,
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which process of it, from 1.
    pub attempt: u32,
    /// `deploy`, `undo`, ….
    pub command: String,
    /// What it rolls.
    pub service: ServiceName,
    /// To what.
    pub target: Target,
    /// Who runs it: `user@machine`.
    pub by: String,
    /// When it began.
    pub started: Timestamp,
    /// The command line's options that a resume must keep.
    pub options: BTreeMap<String, String>,
    /// A digest for each key of the playbook, to notice a playbook that changed.
    pub keys: BTreeMap<String, String>,
    /// The plan's batches.
    pub batches: Vec<Vec<HostName>>,
    /// Hosts that had failed when this was written.
    pub failed: Vec<HostName>,
    /// Hooks begun (`true`: ended too), by their number and point.
    pub hooks: BTreeMap<String, bool>,
    /// How far this host is.
    pub step: RecordStep,
    /// Whether the new release was ever begun to be swapped in.
    #[serde(default)]
    pub swapped: bool,
    /// Whether the whole rollout is going back, or only says its last words: no new host starts.
    #[serde(default)]
    pub going_back: bool,
    /// Whether it goes to a revision that hosts had before.
    #[serde(default)]
    pub undo: bool,
    /// What `current` pointed to before; `None` where nothing was there.
    pub before: Option<Before>,
    /// What its service showed before.
    pub proof: Proof,
    /// Each server as it was found.
    pub found: Vec<FoundTraffic>,
    /// Each server as rollgate left it, for a stranded host.
    pub left: Vec<FoundTraffic>,
    /// Why the host was left stranded, and since when.
    pub stranded: Option<StrandedNote>,
}

/// What `current` pointed to before the first change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Its number; 0 for what rollgate found.
    pub revision: Revision,
    /// Its version, where known.
    pub version: Option<Version>,
    /// Its folder, absolute.
    pub dir: String,
}

/// Why a host needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrandedNote {
    /// What was seen.
    pub seen: String,
    /// The commands to mend it.
    pub mend: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}
