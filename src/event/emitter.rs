//! Numbers events, writes them ahead, and hands them to the sinks. The only reader of the wall clock in a rollout.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Event, EventKind, FORMAT, RolloutState};
use crate::model::{RolloutId, any_known, redact_json};

/// Names and words of events: never masked, or the event would be another one.
const NAMES: [&str; 19] = [
    "event", "time", "rollout", "service", "version", "command", "host", "hosts", "batches",
    "balancer", "pool", "server", "state", "outcome", "result", "level", "at", "on", "step",
];

/// The event without any secret that a command may have printed: whatever comes after this, no reader can show one.
fn masked(event: Event) -> Event {
    if !any_known() {
        return event;
    }
    let value = serde_json::to_value(&event).map(|mut value| {
        redact_json(&mut value, &NAMES);
        value
    });
    match value.and_then(serde_json::from_value) {
        Ok(masked) => masked,
        Err(_) => Event {
            kind: EventKind::Log {
                level: super::Level::Warning,
                text: "an event could not be shown without a secret in it".to_owned(),
                host: None,
            },
            ..event
        },
    }
}

/// Time, as it comes in from outside. Waits use the runtime's clock, which tests can stop; this one is for what is written down and
/// for leases.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, for people and records.
    fn wall(&self) -> Timestamp;
    /// Since some fixed moment, also counting while the machine sleeps: what the age of a lock's confirmation is measured by (R3).
    fn since_boot(&self) -> Duration;
}

/// Where events are kept for `resume` and for people: append only.
pub trait Journal: Send + Sync {
    /// Takes one line (without its line feed) into the queue at once, in the order of the calls; the future ends when it was written
    /// and, if `durable`, synced to disk.
    fn append(&self, line: String, durable: bool) -> BoxFuture<'static, Result<(), String>>;
}

/// A reader of the stream. It is called in order, between events, and must not block for long.
pub trait Sink: Send {
    /// Takes one event; `state` already counts it.
    fn event(&mut self, event: &Event, state: &RolloutState);
}

/// The one mouth of a rollout.
pub struct Emitter {
    rollout: RolloutId,
    attempt: u32,
    clock: std::sync::Arc<dyn Clock>,
    journal: Box<dyn Journal>,
    inner: Mutex<Inner>,
}

struct Inner {
    seq: u64,
    state: RolloutState,
    sinks: Vec<Box<dyn Sink>>,
    broken: Option<String>,
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("rollout", &self.rollout)
            .finish_non_exhaustive()
    }
}

impl Emitter {
    /// An emitter that has said nothing yet.
    pub fn new(
        rollout: RolloutId,
        attempt: u32,
        clock: std::sync::Arc<dyn Clock>,
        journal: Box<dyn Journal>,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Self {
        let inner = Inner {
            seq: 0,
            state: RolloutState::default(),
            sinks,
            broken: None,
        };
        Self {
            rollout,
            attempt,
            clock,
            journal,
            inner: Mutex::new(inner),
        }
    }

    /// Says one thing. Returns when the journal holds it, where it must hold it first ([`EventKind::is_intent`]), else at once.
    ///
    /// A journal that cannot be written does not stop the act: the host's own record is already there. It is remembered, said once as
    /// a `log` event, and no new host is started ([`Emitter::journal_failure`]).
    pub async fn say(&self, kind: EventKind) {
        let durable = kind.is_intent();
        let written = self.accept(kind, durable);
        if durable && let Err(reason) = written.await {
            self.journal_broke(&reason);
        }
    }

    /// Why the journal cannot be written any more, if so.
    pub fn journal_failure(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// The state so far.
    pub fn state(&self) -> RolloutState {
        self.lock().state.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A sink that panicked has not left the counters half changed: they are set before sinks are called.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, kind: EventKind, durable: bool) -> BoxFuture<'static, Result<(), String>> {
        let mut inner = self.lock();
        if inner.state.finished {
            // `rollout.finished` is the last event, whatever somebody still has to say.
            return Box::pin(std::future::ready(Ok(())));
        }
        inner.seq += 1;
        let event = Event {
            v: FORMAT,
            time: self.clock.wall(),
            rollout: self.rollout.clone(),
            attempt: self.attempt,
            seq: inner.seq,
            kind,
        };
        let event = masked(event);
        let line = serde_json::to_string(&event).map_err(|error| error.to_string());
        let Inner { state, sinks, .. } = &mut *inner;
        state.apply(&event);
        for sink in sinks.iter_mut() {
            sink.event(&event, state);
        }
        match line {
            Ok(line) => self.journal.append(line, durable),
            Err(reason) => Box::pin(std::future::ready(Err(reason))),
        }
    }

    fn journal_broke(&self, reason: &str) {
        let first = self.lock().broken.replace(reason.to_owned()).is_none();
        if first {
            let text = format!("the journal cannot be written: {reason}; no new host starts");
            let said = self.accept(
                EventKind::Log {
                    level: super::Level::Error,
                    text,
                    host: None,
                },
                false,
            );
            drop(said);
        }
    }
}
