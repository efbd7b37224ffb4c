//! What the live display shows: a state, a moment and a screen's size become lines. Pure.

use jiff::Timestamp;

use crate::event::fold::HostState;
use crate::event::{HostPhase, RolloutState};
use crate::model::HostName;
use crate::report::paint::{Meaning, Paint};
use crate::report::text;

/// A screen, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// Lines of the display that are not of hosts, and one for the cursor.
const OTHER_LINES: usize = 3;

/// The display: a heading, the hosts of the batch under way, and how many others there are.
pub(super) fn lines(
    state: &RolloutState,
    now: Timestamp,
    screen: Screen,
    paint: Paint,
) -> Vec<String> {
    let fit = |line: &str| text::fit(line, screen.columns.saturating_sub(1));
    let mut lines = vec![paint.text(Meaning::Strong, fit(&heading(state, now)))];
    let current: Vec<(&HostName, &HostState)> = in_work(state);
    let room = screen.rows.saturating_sub(OTHER_LINES).max(1);
    let width = current
        .iter()
        .map(|(name, _)| text::width(name.as_str()))
        .max()
        .unwrap_or_default();
    for (name, host) in current.iter().take(room) {
        lines.push(host_line((name, host), width, now, &fit, paint));
    }
    let hidden = current.len().saturating_sub(room);
    if let Some(rest) = rest(state, hidden) {
        lines.push(paint.text(Meaning::Quiet, fit(&rest)));
    }
    lines
}

fn heading(state: &RolloutState, now: Timestamp) -> String {
    let elapsed = state
        .started
        .map_or(0, |started| text::elapsed(started, now));
    let place = match (state.batch, state.batches) {
        (0, 0) => "looking at hosts and balancers".to_owned(),
        (0, _) => format!(
            "staging: {} of {} hosts",
            past(state, HostPhase::Staged),
            planned(state)
        ),
        (batch, batches) => format!("batch {batch} of {batches}"),
    };
    let (service, version) = (&state.service, &state.version);
    format!(
        "{service} {version}  {place}  {}",
        text::whole_seconds(elapsed)
    )
}

/// Hosts that the run is to take through its cycle.
fn planned(state: &RolloutState) -> usize {
    state
        .hosts
        .values()
        .filter(|host| host.phase != HostPhase::Skipped)
        .count()
}

fn past(state: &RolloutState, phase: HostPhase) -> usize {
    state
        .hosts
        .values()
        .filter(|host| host.phase == phase)
        .count()
}

/// The hosts of the batch under way.
fn in_work(state: &RolloutState) -> Vec<(&HostName, &HostState)> {
    state
        .hosts
        .iter()
        .filter(|(_, host)| state.batch > 0 && host.batch == state.batch)
        .collect()
}

fn host_line(
    (name, host): (&HostName, &HostState),
    width: usize,
    now: Timestamp,
    fit: &dyn Fn(&str) -> String,
    paint: Paint,
) -> String {
    let (word, meaning) = phase(host.phase);
    let time = host.since.map_or(0, |since| text::elapsed(since, now));
    let note = text::clean(&host.note);
    let line = format!(
        "  {}  {:<9} {:>5}  {note}",
        text::pad(name.as_str(), width),
        word,
        text::whole_seconds(time)
    );
    let line = fit(line.trim_end());
    match meaning {
        Some(meaning) => paint.text(meaning, line),
        None => line,
    }
}

/// What people call a phase, and how good it is.
fn phase(phase: HostPhase) -> (&'static str, Option<Meaning>) {
    match phase {
        HostPhase::Waiting => ("waiting", Some(Meaning::Quiet)),
        HostPhase::Staged => ("staged", Some(Meaning::Quiet)),
        HostPhase::Draining => ("draining", None),
        HostPhase::Drained => ("drained", None),
        HostPhase::Swapping => ("swapping", None),
        HostPhase::Swapped => ("swapped", None),
        HostPhase::Probing => ("probing", None),
        HostPhase::Ready => ("ready", None),
        HostPhase::Enabling => ("enabling", None),
        HostPhase::Enabled => ("soaking", None),
        HostPhase::Soaked => ("done", Some(Meaning::Good)),
        HostPhase::Skipped => ("skipped", Some(Meaning::Quiet)),
        HostPhase::Failed => ("failed", Some(Meaning::Bad)),
        HostPhase::Reverting => ("reverting", Some(Meaning::Careful)),
        HostPhase::Reverted => ("reverted", Some(Meaning::Careful)),
        HostPhase::Stranded => ("stranded", Some(Meaning::Bad)),
    }
}

/// The hosts without a line of their own, in numbers.
fn rest(state: &RolloutState, hidden: usize) -> Option<String> {
    let count = |wanted: &dyn Fn(&HostState) -> bool| {
        state.hosts.values().filter(|host| wanted(host)).count()
    };
    let parts = [
        (hidden, "more in this batch"),
        (
            count(&|host| host.batch > 0 && host.batch < state.batch),
            "in earlier batches",
        ),
        (
            count(&|host| host.batch == 0 && host.phase != HostPhase::Skipped && state.batch > 0),
            "waiting",
        ),
        (
            count(&|host| host.phase == HostPhase::Skipped),
            "left alone",
        ),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!words.is_empty()).then(|| format!("  {}", words.join(", ")))
}
