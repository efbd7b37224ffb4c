//! What each step and undo really does, through the drivers. One file a step; what they share is here.
//!
//! Every step follows the same order: say it (the journal holds the intent), write the host's record (which confirms the lock), act, and
//! say the outcome. Waits end early when the batch orders something that changes the host's course; acts never do.

mod cut;
pub(super) mod doors;
mod drain;
mod enable;
mod prove;
mod ramp;
mod reset;
mod soak;
mod swap;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::HostPorts;
use super::context::{Context, HostContext};
use super::traffic::TrafficError;
use crate::cycle::{Action, HostCycle, Order};
use crate::drivers::host::HostError;
use crate::event::EventKind;
use crate::model::{Failure, HostName, Record};

pub(super) use drain::{drain, drain_again, drain_by_hand};
pub(super) use enable::{enable, enable_by_hand, restore};
pub(super) use prove::{prove, prove_before};
pub(super) use soak::soak;
pub(super) use swap::{swap, swap_back};

/// For how long a host that does not answer is tried again before it is given up: longer than a switch failover or a short reboot of a
/// firewall, shorter than a person's patience.
pub(super) const RECONNECT: Duration = Duration::from_secs(30);

/// Between two tries.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Why a step did not go to its end.
#[derive(Debug)]
pub(super) enum StepEnd {
    /// The batch ordered something that changes the host's course.
    Steered,
    /// It failed, and the host can be taken back.
    Failed(Failure),
    /// Nothing was begun, since others use up what may be out of traffic; no fault of the host.
    NoRoom(Failure),
    /// The host does not answer any more.
    Lost(Failure),
    /// The lock is not ours any more: nothing may be touched.
    Fenced(Failure),
}

pub(super) type StepResult<T = ()> = Result<T, StepEnd>;

/// One host's worker, at work on one step.
pub(super) struct Turn<'a> {
    pub(super) context: &'a Context,
    pub(super) host: &'a HostContext,
    pub(super) ports: &'a HostPorts,
    pub(super) name: &'a HostName,
    pub(super) batch: usize,
    pub(super) orders: &'a mut watch::Receiver<Order>,
    pub(super) cycle: &'a mut HostCycle,
}

impl Turn<'_> {
    /// Says an event.
    pub(super) async fn say(&self, kind: EventKind) {
        self.context.say(kind).await;
    }

    /// Says an event of a step, unless the host's swap is being taken back: then `host.reverting` and `host.reverted` say it all, and
    /// a reader that waits for `host.ready` or `host.enabled` never takes the old release for the new one.
    pub(super) async fn say_step(&self, kind: EventKind) {
        if !self.is_reverting() {
            self.say(kind).await;
        }
    }

    /// Whether the host's swap is being taken back.
    pub(super) fn is_reverting(&self) -> bool {
        self.cycle.was_swapped() && matches!(self.cycle.next(), Action::Undo(_))
    }

    /// Waits, unless an order changes the host's course.
    pub(super) async fn pause(&mut self, time: Duration) -> StepResult {
        self.pause_until(Instant::now() + time).await
    }

    /// The same with a fixed end.
    pub(super) async fn pause_until(&mut self, end: Instant) -> StepResult {
        loop {
            self.still_ours()?;
            if self.cycle.is_steered_by(*self.orders.borrow()) {
                return Err(StepEnd::Steered);
            }
            tokio::select! {
                biased;
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        // The batch is gone, and nobody will order anything any more.
                        tokio::time::sleep_until(end).await;
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(end) => return Ok(()),
            }
        }
    }

    /// A run that lost one of its locks touches no host any more, also none whose own lock still holds (F7).
    pub(super) fn still_ours(&self) -> StepResult {
        let lost = self.context.leases.lost_reason();
        lost.map_or(Ok(()), |reason| Err(StepEnd::Fenced(Failure::new(reason))))
    }

    /// Writes the host's record and so confirms its lock.
    pub(super) async fn write_record(&self, record: &Record) -> StepResult {
        let started = Instant::now();
        loop {
            self.still_ours()?;
            let sent = self.context.leases.now();
            let result = self.ports.driver.write_record(record).await;
            self.context.leases.learn(self.name, sent, &result);
            match result {
                Err(HostError::Transport(_)) if started.elapsed() < RECONNECT => {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
                result => {
                    return result
                        .map_err(|error| host_end("its record could not be written", error));
                }
            }
        }
    }
}

/// What an error of a host means for its step.
pub(super) fn host_end(what: &str, error: HostError) -> StepEnd {
    let failure = Failure::caused(what, &error);
    match error {
        HostError::Fenced { .. } => StepEnd::Fenced(failure),
        HostError::Transport(error) if error.outcome_unknown() || is_away(&error) => {
            StepEnd::Lost(failure)
        }
        HostError::Failed { output, .. } => StepEnd::Failed(Failure {
            causes: failure.causes.into_iter().chain(output).collect(),
            ..failure
        }),
        HostError::Transport(_) | HostError::Garbled { .. } => StepEnd::Failed(failure),
    }
}

fn is_away(error: &crate::drivers::transport::TransportError) -> bool {
    use crate::drivers::transport::TransportError as E;
    matches!(
        error,
        E::Unreachable { .. } | E::HostKey { .. } | E::Auth { .. } | E::NoCommands { .. }
    )
}

/// What an error of a balancer means for a step.
pub(super) fn traffic_end(what: &str, error: TrafficError) -> StepEnd {
    match error {
        TrafficError::Lease(error) => host_end(what, error),
        error @ (TrafficError::Balancer(_) | TrafficError::Gone { .. }) => {
            StepEnd::Failed(Failure::caused(what, &error))
        }
    }
}
