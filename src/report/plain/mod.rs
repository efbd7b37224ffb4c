//! `--output plain`: one short line for each event on standard error, for CI, cron and `grep`.
//!
//! `14:15:02 web-01 drained in 0.3s`: the time of day, whom it is about, what happened. Causes, log lines of the service and commands
//! stand indented below. The words of the events are kept (`drained`, `swapped`, …), so that a pattern of the JSON lines finds them here too.
//!
//! * [`fleet`]: the line of each event about the rollout, a batch, a lock, a hook. * [`host`]: of each event about one host.

mod fleet;
mod host;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::paint::{Meaning, Paint};
use super::stream::Stream;
use super::text;
use crate::event::{Event, EventKind, RolloutState, Sink};
use crate::model::Failure;

/// A sink that writes its lines to `err`, with the time of day in `zone`.
pub fn sink(err: Stream, paint: Paint, zone: TimeZone) -> Box<dyn Sink> {
    Box::new(Plain { err, paint, zone })
}

struct Plain {
    err: Stream,
    paint: Paint,
    zone: TimeZone,
}

impl Sink for Plain {
    fn event(&mut self, event: &Event, state: &RolloutState) {
        if let Some(said) = said(&event.kind, state) {
            let time = time_of_day(event.time, &self.zone);
            self.err.lines(&said.lines(&time, self.paint));
        }
    }
}

/// What an event says; every event says something.
pub(super) fn said(kind: &EventKind, state: &RolloutState) -> Option<Said> {
    fleet::said(kind, state).or_else(|| host::said(kind))
}

/// The time of day that lines begin with.
pub(super) fn time_of_day(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone())
        .strftime("%H:%M:%S")
        .to_string()
}

/// What one event says.
pub(super) struct Said {
    /// Whom it is about.
    subject: String,
    text: String,
    meaning: Option<Meaning>,
    /// Lines below it.
    details: Vec<String>,
}

impl Said {
    fn new(subject: &(impl ToString + ?Sized), text: impl Into<String>) -> Self {
        Self {
            subject: subject.to_string(),
            text: text.into(),
            meaning: None,
            details: Vec::new(),
        }
    }

    fn colored(mut self, meaning: Meaning) -> Self {
        self.meaning = Some(meaning);
        self
    }

    /// Adds a line for each text, `label: text`.
    fn detail<T: AsRef<str>>(mut self, label: &str, texts: impl IntoIterator<Item = T>) -> Self {
        let lines = texts
            .into_iter()
            .map(|text| format!("{label}: {}", text.as_ref()));
        self.details.extend(lines);
        self
    }

    fn failure(self, failure: &Failure) -> Self {
        self.detail("cause", &failure.causes)
            .detail("hint", &failure.hint)
    }

    /// Whether it is a warning or worse.
    pub(super) fn is_trouble(&self) -> bool {
        matches!(self.meaning, Some(Meaning::Bad | Meaning::Careful))
    }

    /// Its lines: the first one with the time of day, the others indented.
    pub(super) fn lines(&self, time: &str, paint: Paint) -> Vec<String> {
        let words = text::clean(&self.text);
        let words = match self.meaning {
            Some(meaning) => paint.text(meaning, words),
            None => words,
        };
        let time = paint.text(Meaning::Quiet, time);
        let first = format!("{time} {} {words}", text::clean(&self.subject));
        let indented = self
            .details
            .iter()
            .map(|line| format!("    {}", text::clean(line)));
        std::iter::once(first).chain(indented).collect()
    }
}
