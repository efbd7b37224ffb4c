//! What all parts of one rollout share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::lease::Leases;
use super::traffic::Traffic;
use super::{HostPorts, Job, World};
use crate::event::{Emitter, EventKind, Level};
use crate::model::{
    BalancerName, FoundTraffic, HostFacts, HostName, HostSpec, RecordStep, ReleaseRef, Revision,
    Target,
};
use crate::plan::{Plan, PlannedHost};

/// One host's part of a rollout.
#[derive(Debug)]
pub(super) struct HostContext {
    pub(super) spec: HostSpec,
    pub(super) planned: PlannedHost,
    /// What it was found to hold.
    pub(super) facts: HostFacts,
    /// What it is taken to.
    pub(super) release: ReleaseRef,
    /// The same, for records.
    pub(super) target: Target,
    /// What can still change.
    pub(super) state: Mutex<HostLedger>,
}

/// What changes about a host on the way.
#[derive(Debug)]
pub(super) struct HostLedger {
    /// Its servers as they are to be put back. An operator's change meanwhile changes this.
    pub(super) found: Vec<FoundTraffic>,
    /// Which of them were put into maintenance by rollgate itself, since clients stuck to them.
    pub(super) cut: Vec<FoundTraffic>,
    /// Which process of each balancer was told that the host is ready: another one has forgotten, or restored, what it was told.
    pub(super) told: BTreeMap<BalancerName, String>,
    /// What runs there; `None` while nobody knows.
    pub(super) runs: Option<ReleaseRef>,
    /// How far its record last said it is.
    pub(super) step: RecordStep,
    /// Whether the new release was ever begun to be swapped in.
    pub(super) swapped: bool,
    /// Whether it was put into traffic and not taken out by rollgate since: then a state of less traffic is an operator's.
    pub(super) enabled: bool,
    /// Seconds by phase.
    pub(super) durations: BTreeMap<String, f64>,
    /// What its service says about itself, for the final table.
    pub(super) logs: Vec<String>,
}

impl Default for HostLedger {
    fn default() -> Self {
        Self {
            found: Vec::new(),
            cut: Vec::new(),
            told: BTreeMap::new(),
            runs: None,
            step: RecordStep::Planned,
            swapped: false,
            enabled: false,
            durations: BTreeMap::new(),
            logs: Vec::new(),
        }
    }
}

impl HostContext {
    pub(super) fn ledger(&self) -> MutexGuard<'_, HostLedger> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's servers as they are to be put back.
    pub(super) fn found(&self) -> Vec<FoundTraffic> {
        self.ledger().found.clone()
    }

    /// Whether any balancer is to send requests there at the end.
    pub(super) fn belongs_in_traffic(&self) -> bool {
        self.ledger()
            .found
            .iter()
            .any(|entry| entry.admin == crate::model::Admin::Ready)
    }

    /// Adds to a phase's seconds.
    pub(super) fn spent(&self, phase: &str, time: Duration) -> f64 {
        let seconds = rounded(time);
        *self.ledger().durations.entry(phase.to_owned()).or_default() += seconds;
        seconds
    }
}

/// Seconds with three decimals: what events and tables show.
pub(super) fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// What all parts of one rollout share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) job: Job,
    pub(super) world: World,
    pub(super) plan: Plan,
    pub(super) emitter: Arc<Emitter>,
    pub(super) leases: Arc<Leases>,
    pub(super) traffic: Traffic,
    /// The hosts that the plan updates.
    pub(super) hosts: BTreeMap<HostName, HostContext>,
    /// Hooks begun, and whether they ended, for the records.
    pub(super) hooks: Mutex<BTreeMap<String, bool>>,
    /// Hooks that ended in an earlier attempt of this rollout: they are not run again.
    pub(super) hooks_before: BTreeSet<String>,
    /// Whether a batch was ordered back as a whole, for whatever reason: no later attempt goes forward again.
    pub(super) going_back: AtomicBool,
    /// Hosts that failed so far.
    pub(super) failed: Mutex<Vec<HostName>>,
}

impl Context {
    pub(super) fn host(&self, name: &HostName) -> Option<&HostContext> {
        self.hosts.get(name)
    }

    pub(super) fn ports(&self, name: &HostName) -> Option<&HostPorts> {
        self.world.hosts.get(name)
    }

    pub(super) async fn say(&self, kind: EventKind) {
        self.emitter.say(kind).await;
    }

    pub(super) async fn warn(&self, host: Option<&HostName>, text: impl Into<String>) {
        self.say(EventKind::Log {
            level: Level::Warning,
            text: text.into(),
            host: host.cloned(),
        })
        .await;
    }

    pub(super) fn failed_hosts(&self) -> Vec<HostName> {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note_failed(&self, host: &HostName) {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(host.clone());
    }

    pub(super) fn revision(&self) -> Revision {
        self.plan.revision
    }
}

/// Measures one stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
