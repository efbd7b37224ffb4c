//! Events to state: one fold for display, summary, report and resume.

use std::collections::BTreeMap;

use super::{Event, EventKind};
use crate::model::HostName;

/// How far a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostPhase {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// Its release lies there.
    Staged,
    /// It is being taken out of traffic.
    Draining,
    /// Nothing is in flight there.
    Drained,
    /// The new release is being swapped in.
    Swapping,
    /// Its service was restarted.
    Swapped,
    /// It is asked whether it is ready.
    Probing,
    /// It is ready.
    Ready,
    /// It is being put into traffic.
    Enabling,
    /// It is in traffic, and watched.
    Enabled,
    /// It passed.
    Soaked,
    /// It is left alone.
    Skipped,
    /// It failed.
    Failed,
    /// It is being taken back.
    Reverting,
    /// It was taken back.
    Reverted,
    /// It needs a person.
    Stranded,
}

/// One host's part of the state.
#[derive(Debug, Clone, Default)]
pub struct HostState {
    /// How far it is.
    pub phase: HostPhase,
    /// Its batch, from 1; 0 before it has one.
    pub batch: usize,
    /// What is worth saying beside the phase.
    pub note: String,
    /// When the phase began.
    pub since: Option<jiff::Timestamp>,
    /// Whether it failed at some time.
    pub failed: bool,
}

/// A rollout, as its events tell it so far.
#[derive(Debug, Clone, Default)]
pub struct RolloutState {
    /// Its hosts.
    pub hosts: BTreeMap<HostName, HostState>,
    /// The batch under way, from 1; 0 before the first.
    pub batch: usize,
    /// How many batches there are.
    pub batches: usize,
    /// Whether the batch under way has ended, well or not.
    pub batch_ended: bool,
    /// Whether no new batch begins.
    pub halted: bool,
    /// The command: `deploy`, ….
    pub command: String,
    /// The hook of the whole rollout that runs, with when it began.
    pub hook: Option<(String, jiff::Timestamp)>,
    /// When it began.
    pub started: Option<jiff::Timestamp>,
    /// The service that is rolled.
    pub service: String,
    /// To which version.
    pub version: String,
    /// Whether the last event came.
    pub finished: bool,
}

impl RolloutState {
    /// Counts one event.
    #[expect(clippy::too_many_lines, reason = "one arm for each event, short ones")]
    pub fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::RolloutStarted {
                command,
                service,
                version,
                hosts,
            } => {
                self.command.clone_from(command);
                self.started = Some(event.time);
                self.service.clone_from(service);
                self.version = version.to_string();
                self.hosts = hosts
                    .iter()
                    .map(|host| (host.clone(), HostState::default()))
                    .collect();
            }
            EventKind::RolloutPlanned { batches, .. } => self.batches = batches.len(),
            EventKind::BatchStarted {
                batch,
                batches,
                hosts,
            } => {
                self.batch = *batch;
                self.batches = *batches;
                self.batch_ended = false;
                for host in hosts {
                    self.hosts.entry(host.clone()).or_default().batch = *batch;
                }
            }
            EventKind::RolloutFinished { .. } => self.finished = true,
            EventKind::RolloutHalted { .. } => self.halted = true,
            EventKind::BatchFinished { .. } | EventKind::BatchFailed { .. } => {
                self.batch_ended = true;
            }
            EventKind::HookStarted {
                at, number, host, ..
            } => {
                let words = format!("hook {number}, {at}");
                self.hook(host.as_ref(), Some((words, event.time)));
            }
            EventKind::HookFinished { host, .. } => self.hook(host.as_ref(), None),
            EventKind::LockAcquired { .. }
            | EventKind::LockReleased { .. }
            | EventKind::BalancerReset { .. }
            | EventKind::Log { .. } => {}
            EventKind::HostStaged { .. }
            | EventKind::HostDraining { .. }
            | EventKind::HostDrained { .. }
            | EventKind::HostSwapping { .. }
            | EventKind::HostSwapped { .. }
            | EventKind::HostProbing { .. }
            | EventKind::HostReady { .. }
            | EventKind::HostEnabling { .. }
            | EventKind::HostEnabled { .. }
            | EventKind::HostSoaked { .. }
            | EventKind::HostSkipped { .. }
            | EventKind::HostFailed { .. }
            | EventKind::HostReverting { .. }
            | EventKind::HostReverted { .. }
            | EventKind::HostStranded { .. } => self.apply_host(event, &event.kind),
        }
    }

    /// A hook runs, or none does any more: on a host it is the host's note.
    fn hook(&mut self, host: Option<&HostName>, running: Option<(String, jiff::Timestamp)>) {
        match host {
            Some(host) => {
                let state = self.hosts.entry(host.clone()).or_default();
                state.note = running.map(|(words, _)| words).unwrap_or_default();
            }
            None => self.hook = running,
        }
    }

    fn apply_host(&mut self, event: &Event, kind: &EventKind) {
        let Some(host) = kind.host() else { return };
        let Some((phase, note)) = phase_of(kind) else {
            return;
        };
        let state = self.hosts.entry(host.clone()).or_default();
        state.failed |= phase == HostPhase::Failed;
        state.phase = phase;
        state.note = note;
        state.since = Some(event.time);
    }
}

fn phase_of(kind: &EventKind) -> Option<(HostPhase, String)> {
    let quiet = String::new;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every event that is not about a host's phase was sorted out by the caller"
    )]
    Some(match kind {
        EventKind::HostStaged { .. } => (HostPhase::Staged, quiet()),
        EventKind::HostDraining { .. } => (HostPhase::Draining, quiet()),
        EventKind::HostDrained { .. } => (HostPhase::Drained, quiet()),
        EventKind::HostSwapping { .. } => (HostPhase::Swapping, quiet()),
        EventKind::HostSwapped { .. } => (HostPhase::Swapped, quiet()),
        EventKind::HostProbing { url, .. } => (HostPhase::Probing, url.clone()),
        EventKind::HostReady { version, .. } => {
            (HostPhase::Ready, version.clone().unwrap_or_default())
        }
        EventKind::HostEnabling { .. } => (HostPhase::Enabling, quiet()),
        EventKind::HostEnabled { .. } => (HostPhase::Enabled, quiet()),
        EventKind::HostSoaked { .. } => (HostPhase::Soaked, quiet()),
        EventKind::HostSkipped { reason, .. } => (HostPhase::Skipped, reason.clone()),
        EventKind::HostFailed { failure, .. } => (HostPhase::Failed, failure.line()),
        EventKind::HostReverting { .. } => (HostPhase::Reverting, quiet()),
        EventKind::HostReverted { .. } => (HostPhase::Reverted, quiet()),
        EventKind::HostStranded { seen, .. } => (HostPhase::Stranded, seen.clone()),
        _ => return None,
    })
}
