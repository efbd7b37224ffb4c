//! The lines of the display, as a function of the rollout's state, the terminal's size and the time.

use jiff::Timestamp;

use super::hosts::{self, Host};
use super::line::Line;
use super::screen::Size;
use crate::event::{HostPhase, RolloutState};
use crate::report::paint::{Meaning, Paint};
use crate::report::text;

/// More names than this on one line help nobody.
const MOST_NAMES: usize = 3;

/// The display now: at most three quarters of the screen's lines, none wider than the terminal. Empty before the
/// rollout began and after it ended.
pub(in crate::report) fn frame(
    state: &RolloutState,
    size: Size,
    now: Timestamp,
    paint: Paint,
) -> Vec<String> {
    if state.started.is_none() || state.finished {
        return Vec::new();
    }
    let columns = usize::from(size.columns);
    let most = most_lines(size);
    let (under_way, others): (Vec<Host<'_>>, Vec<Host<'_>>) = state
        .hosts
        .iter()
        .partition(|(_, host)| is_under_way(state, host.phase, host.batch));
    let above = [Some(header(state, columns, now)), done(state, &others)];
    let below = [staging(state), hook(state, now), next(state, &others)];
    let fixed = above.iter().chain(&below).flatten().count();
    let room = most.saturating_sub(fixed);
    let middle = hosts::lines(&under_way, room, columns, now);
    let lines = above.into_iter().flatten().chain(middle);
    lines
        .chain(below.into_iter().flatten())
        .take(most)
        .map(|line| line.show(columns, paint))
        .collect()
}

/// A quarter of the screen stays free for what is written above: a failure must not scroll away behind the hosts that are well.
fn most_lines(size: Size) -> usize {
    let rows = usize::from(size.rows);
    rows.saturating_sub((rows / 4).max(1)).max(1)
}

/// The hosts of the batch under way, and those of earlier ones that are being taken back.
fn is_under_way(state: &RolloutState, phase: HostPhase, batch: usize) -> bool {
    let is_of_batch = batch > 0 && batch == state.batch && !state.batch_ended;
    is_of_batch || hosts::is_busy(phase)
}

/// What is rolled, how far, for how long. A long name gives way: the numbers are always there.
fn header(state: &RolloutState, columns: usize, now: Timestamp) -> Line {
    let what = text::clean(&text::subject(
        &state.command,
        &state.service,
        &state.version,
    ));
    let place = match (state.batch, state.batches) {
        (0, 0) => "looking at the hosts".to_owned(),
        (0, batches) => text::count(batches, "batch"),
        (batch, batches) => format!("batch {batch} of {}", batches.max(batch)),
    };
    let elapsed = state
        .started
        .map(|started| text::whole_seconds(text::elapsed(started, now)))
        .unwrap_or_default();
    let halted = if state.halted { ", halted" } else { "" };
    let numbers = format!("  {place}{halted}  {elapsed}");
    let what = text::fit(&what, columns.saturating_sub(text::width(&numbers)));
    let line = Line::default().with(Meaning::Strong, &what);
    if state.halted {
        line.with(Meaning::Careful, &numbers)
    } else {
        line.plain(&numbers)
    }
}

/// What lies behind: the batches that ended, and how their hosts did.
fn done(state: &RolloutState, others: &[Host<'_>]) -> Option<Line> {
    let ended: Vec<Host<'_>> = others
        .iter()
        .copied()
        .filter(|(_, host)| !is_to_come(host.phase))
        .collect();
    if ended.is_empty() {
        return None;
    }
    let batches = state.batch - usize::from(!state.batch_ended && state.batch > 0);
    let label = match batches {
        0 => String::new(),
        batches => format!("{}, ", text::count(batches, "batch")),
    };
    let words = format!("  done: {label}{}", hosts::counts(&ended));
    Some(Line::default().with(Meaning::Quiet, &words))
}

/// Before the first batch: how many hosts have the release, and whom is waited for.
fn staging(state: &RolloutState) -> Option<Line> {
    let skipped = count(state, HostPhase::Skipped);
    let (all, staged) = (state.hosts.len() - skipped, count(state, HostPhase::Staged));
    if state.batch > 0 || state.halted || (staged == 0 && state.batches == 0) || staged == all {
        return None;
    }
    let missing: Vec<&str> = state
        .hosts
        .iter()
        .filter(|(_, host)| host.phase == HostPhase::Waiting)
        .map(|(name, _)| name.as_str())
        .collect();
    let line = Line::default().plain(&format!("  staging: {staged} of {all} hosts"));
    let words = if missing.is_empty() {
        String::new()
    } else {
        format!(", missing {}", text::names(&missing, MOST_NAMES))
    };
    Some(line.with(Meaning::Quiet, &words))
}

fn count(state: &RolloutState, phase: HostPhase) -> usize {
    let hosts = state.hosts.values();
    hosts.filter(|host| host.phase == phase).count()
}

/// The hook of the whole rollout that runs.
fn hook(state: &RolloutState, now: Timestamp) -> Option<Line> {
    let (words, since) = state.hook.as_ref()?;
    let time = text::whole_seconds(text::elapsed(*since, now));
    Some(Line::default().plain(&format!("  {words}  {time}")))
}

/// What is still to come.
fn next(state: &RolloutState, others: &[Host<'_>]) -> Option<Line> {
    let count = others
        .iter()
        .filter(|(_, host)| is_to_come(host.phase))
        .count();
    if count == 0 || state.batch == 0 {
        return None;
    }
    let word = if state.halted { "untouched" } else { "to come" };
    let words = format!("  {word}: {}", text::count(count, "host"));
    Some(Line::default().with(Meaning::Quiet, &words))
}

fn is_to_come(phase: HostPhase) -> bool {
    matches!(phase, HostPhase::Waiting | HostPhase::Staged)
}
