//! What happened, as a stream: the spine of rollgate.
//!
//! The engine says everything it does as [`EventKind`]s; the [`emitter`] numbers them, writes them to the journal *before* the act
//! they announce, and hands them to the sinks. Progress display, `--output json`, summary and journal are readers of this one stream,
//! and the engine knows none of them. [`fold`] turns a stream into the state of a rollout, for all readers alike.
//!
//! Events are a contract: fields are added, never changed or removed. To add one: a variant here, an arm in `fold`, a line in the
//! plain display, a row in `docs/events.md`.

pub mod emitter;
pub mod fold;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{
    Failure, HostName, HostResult, Outcome, Revision, RolloutId, TrafficSeen, Version,
};

pub use emitter::{Clock, Emitter, Journal, Sink};
pub use fold::{HostPhase, RolloutState};

/// The format of events that this version writes.
pub const FORMAT: u32 = 1;

/// One event with its envelope: one line of `--output json` and of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Format version.
    pub v: u32,
    /// When, UTC, milliseconds.
    #[serde(serialize_with = "as_millis")]
    pub time: Timestamp,
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which process of it, from 1.
    pub attempt: u32,
    /// From 1 in each process, without gaps.
    pub seq: u64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

fn as_millis<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// How serious a [`EventKind::Log`] line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the curious.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// One host in `rollout.finished`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostEnd {
    /// Which host.
    pub host: HostName,
    /// How it ended.
    pub result: HostResult,
    /// The revision that runs there, where known.
    pub revision: Option<Revision>,
    /// Its version, where known.
    pub version: Option<String>,
    /// The state in each balancer, as last seen.
    pub traffic: Vec<TrafficSeen>,
    /// Seconds by phase: `stage`, `drain`, `swap`, `ready`, `enable`, `soak`, `revert`.
    pub durations: BTreeMap<String, f64>,
    /// Why, where it did not go as wished.
    pub failure: Option<Failure>,
    /// The commands to mend it, for a stranded host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mend: Vec<String>,
}

/// What happened. The names are those of the contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
#[expect(
    missing_docs,
    reason = "fields carry the names of the contract and are explained in docs/events.md"
)]
pub enum EventKind {
    /// The run begins to look at hosts and balancers.
    #[serde(rename = "rollout.started")]
    RolloutStarted {
        command: String,
        service: String,
        version: Version,
        hosts: Vec<HostName>,
    },
    /// The plan stands.
    #[serde(rename = "rollout.planned")]
    RolloutPlanned {
        revision: Revision,
        batches: Vec<Vec<HostName>>,
        /// Hosts that are not touched, with the reason.
        skipped: BTreeMap<HostName, String>,
        least_usable: Option<usize>,
        warnings: Vec<String>,
    },
    /// No new batch begins.
    #[serde(rename = "rollout.halted")]
    RolloutHalted { reason: String },
    /// The last event of every run.
    #[serde(rename = "rollout.finished")]
    RolloutFinished {
        outcome: Outcome,
        exit_code: u8,
        mixed: bool,
        reasons: Vec<String>,
        hosts: Vec<HostEnd>,
        seconds: f64,
    },
    #[serde(rename = "batch.started")]
    BatchStarted {
        batch: usize,
        batches: usize,
        hosts: Vec<HostName>,
    },
    #[serde(rename = "batch.finished")]
    BatchFinished { batch: usize, seconds: f64 },
    #[serde(rename = "batch.failed")]
    BatchFailed { batch: usize, reason: String },
    /// The release lies on the host, whole and checked.
    #[serde(rename = "host.staged")]
    HostStaged {
        host: HostName,
        revision: Revision,
        sent_bytes: u64,
        seconds: f64,
    },
    #[serde(rename = "host.draining")]
    HostDraining { host: HostName, batch: usize },
    /// Every balancer shows nothing in flight there.
    #[serde(rename = "host.drained")]
    HostDrained {
        host: HostName,
        batch: usize,
        seconds: f64,
    },
    #[serde(rename = "host.swapping")]
    HostSwapping {
        host: HostName,
        batch: usize,
        revision: Revision,
    },
    #[serde(rename = "host.swapped")]
    HostSwapped {
        host: HostName,
        batch: usize,
        revision: Revision,
        seconds: f64,
    },
    #[serde(rename = "host.probing")]
    HostProbing {
        host: HostName,
        batch: usize,
        url: String,
    },
    #[serde(rename = "host.ready")]
    HostReady {
        host: HostName,
        batch: usize,
        probes: u32,
        version: Option<String>,
        seconds: f64,
    },
    #[serde(rename = "host.enabling")]
    HostEnabling { host: HostName, batch: usize },
    #[serde(rename = "host.enabled")]
    HostEnabled {
        host: HostName,
        batch: usize,
        seconds: f64,
    },
    #[serde(rename = "host.soaked")]
    HostSoaked {
        host: HostName,
        batch: usize,
        flaps: u32,
        seconds: f64,
    },
    #[serde(rename = "host.skipped")]
    HostSkipped { host: HostName, reason: String },
    #[serde(rename = "host.failed")]
    HostFailed {
        host: HostName,
        batch: usize,
        step: String,
        failure: Failure,
        logs: Vec<String>,
    },
    #[serde(rename = "host.reverting")]
    HostReverting {
        host: HostName,
        batch: usize,
        revision: Option<Revision>,
    },
    /// Only for a host whose swap was taken back.
    #[serde(rename = "host.reverted")]
    HostReverted {
        host: HostName,
        batch: usize,
        revision: Option<Revision>,
        seconds: f64,
    },
    #[serde(rename = "host.stranded")]
    HostStranded {
        host: HostName,
        batch: usize,
        seen: String,
        mend: Vec<String>,
    },
    #[serde(rename = "lock.acquired")]
    LockAcquired { hosts: Vec<HostName> },
    #[serde(rename = "lock.released")]
    LockReleased { hosts: Vec<HostName> },
    #[serde(rename = "hook.started")]
    HookStarted {
        at: String,
        on: String,
        number: usize,
        host: Option<HostName>,
    },
    #[serde(rename = "hook.finished")]
    HookFinished {
        at: String,
        on: String,
        number: usize,
        host: Option<HostName>,
        exit: Option<i32>,
        output: Vec<String>,
        seconds: f64,
    },
    /// A balancer forgot, or somebody changed, what rollgate had told it.
    #[serde(rename = "balancer.reset")]
    BalancerReset {
        balancer: String,
        host: HostName,
        pool: String,
        server: String,
        seen: String,
    },
    #[serde(rename = "log")]
    Log {
        level: Level,
        text: String,
        host: Option<HostName>,
    },
}

impl EventKind {
    /// Whether the journal must hold this event before anything else happens: it announces an act, or says how a host ended.
    pub fn is_intent(&self) -> bool {
        matches!(
            self,
            Self::RolloutStarted { .. }
                | Self::RolloutPlanned { .. }
                | Self::RolloutHalted { .. }
                | Self::RolloutFinished { .. }
                | Self::BatchStarted { .. }
                | Self::HostDraining { .. }
                | Self::HostSwapping { .. }
                | Self::HostEnabling { .. }
                | Self::HostReverting { .. }
                | Self::HostStranded { .. }
                | Self::HookStarted { .. }
        )
    }

    /// The host it is about, if it is about one.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::HostStaged { host, .. }
            | Self::HostDraining { host, .. }
            | Self::HostDrained { host, .. }
            | Self::HostSwapping { host, .. }
            | Self::HostSwapped { host, .. }
            | Self::HostProbing { host, .. }
            | Self::HostReady { host, .. }
            | Self::HostEnabling { host, .. }
            | Self::HostEnabled { host, .. }
            | Self::HostSoaked { host, .. }
            | Self::HostSkipped { host, .. }
            | Self::HostFailed { host, .. }
            | Self::HostReverting { host, .. }
            | Self::HostReverted { host, .. }
            | Self::HostStranded { host, .. }
            | Self::BalancerReset { host, .. } => Some(host),
            Self::HookStarted { host, .. }
            | Self::HookFinished { host, .. }
            | Self::Log { host, .. } => host.as_ref(),
            Self::RolloutStarted { .. }
            | Self::RolloutPlanned { .. }
            | Self::RolloutHalted { .. }
            | Self::RolloutFinished { .. }
            | Self::BatchStarted { .. }
            | Self::BatchFinished { .. }
            | Self::BatchFailed { .. }
            | Self::LockAcquired { .. }
            | Self::LockReleased { .. } => None,
        }
    }
}
