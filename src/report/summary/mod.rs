//! The end of a rollout for people: the table of hosts on standard output; what failed, how the fleet stands and what to type next on
//! standard error.
//!
//! * [`results`]: the table and the totals. * [`trouble`]: what went wrong. * [`verdict`]: one sentence and the next step for each outcome.

mod results;
mod trouble;
mod verdict;

use std::collections::BTreeMap;

use super::paint::Paint;
use super::stream::Stream;
use crate::event::{Event, EventKind, HostEnd, RolloutState, Sink};
use crate::model::{Failure, HostName, HostResult, Outcome, Revision};

/// A stream, and whether it gets colours.
pub struct Page {
    /// Where lines go.
    pub stream: Stream,
    /// How they look.
    pub paint: Paint,
}

/// A sink that speaks once, when the rollout is over.
pub fn sink(out: Page, err: Page) -> Box<dyn Sink> {
    Box::new(Summary {
        out,
        err,
        told: Told::default(),
    })
}

struct Summary {
    out: Page,
    err: Page,
    told: Told,
}

impl Sink for Summary {
    fn event(&mut self, event: &Event, state: &RolloutState) {
        self.told.hear(&event.kind);
        let Some(end) = End::of(event, state) else {
            return;
        };
        let lines = results::lines(&self.told, &end, self.out.paint);
        self.out.stream.lines(&lines);
        if let Some(reason) = self.out.stream.failure() {
            let text = format!("warning: standard output could not be written: {reason}");
            self.err.stream.line(&text);
        }
        let lines = trouble::lines(&self.told, &end, self.err.paint);
        self.err.stream.lines(&lines);
    }
}

/// What was said on the way that the end needs.
#[derive(Default)]
struct Told {
    command: String,
    revision: Option<Revision>,
    skipped: BTreeMap<HostName, String>,
    failed: Vec<FailedHost>,
    stranded: BTreeMap<HostName, (String, Vec<String>)>,
}

/// One host's failure.
struct FailedHost {
    host: HostName,
    step: String,
    failure: Failure,
    logs: Vec<String>,
}

impl Told {
    fn hear(&mut self, kind: &EventKind) {
        match kind {
            EventKind::RolloutStarted { command, .. } => self.command.clone_from(command),
            EventKind::RolloutPlanned {
                revision, skipped, ..
            } => {
                self.revision = Some(*revision);
                self.skipped.clone_from(skipped);
            }
            EventKind::HostFailed {
                host,
                step,
                failure,
                logs,
                ..
            } => self.failed.push(FailedHost {
                host: host.clone(),
                step: step.clone(),
                failure: failure.clone(),
                logs: logs.clone(),
            }),
            EventKind::HostStranded {
                host, seen, mend, ..
            } => {
                self.stranded
                    .insert(host.clone(), (seen.clone(), mend.clone()));
            }
            _ => {}
        }
    }

    /// Where a host failed, if it did.
    fn step(&self, host: &HostName) -> Option<&str> {
        self.failed
            .iter()
            .find(|failed| failed.host == *host)
            .map(|failed| failed.step.as_str())
    }
}

/// `rollout.finished`, with what the whole stream was about.
struct End<'a> {
    rollout: &'a str,
    service: &'a str,
    version: &'a str,
    outcome: Outcome,
    exit_code: u8,
    mixed: bool,
    reasons: &'a [String],
    hosts: &'a [HostEnd],
    seconds: f64,
}

impl<'a> End<'a> {
    fn of(event: &'a Event, state: &'a RolloutState) -> Option<Self> {
        let EventKind::RolloutFinished {
            outcome,
            exit_code,
            mixed,
            reasons,
            hosts,
            seconds,
        } = &event.kind
        else {
            return None;
        };
        Some(Self {
            rollout: event.rollout.as_str(),
            service: &state.service,
            version: &state.version,
            outcome: *outcome,
            exit_code: *exit_code,
            mixed: *mixed,
            reasons,
            hosts,
            seconds: *seconds,
        })
    }

    fn count(&self, result: HostResult) -> usize {
        self.hosts
            .iter()
            .filter(|host| host.result == result)
            .count()
    }

    /// `2 updated, 1 skipped`: only what there is.
    fn counts(&self) -> String {
        let all = [
            HostResult::Updated,
            HostResult::Reverted,
            HostResult::Stranded,
            HostResult::Skipped,
            HostResult::Untouched,
        ];
        let parts: Vec<String> = all
            .into_iter()
            .map(|result| (self.count(result), result))
            .filter(|(count, _)| *count > 0)
            .map(|(count, result)| format!("{count} {}", result.as_str()))
            .collect();
        parts.join(", ")
    }
}
