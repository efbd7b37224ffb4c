//! The lines of the hosts under way.

use jiff::Timestamp;

use super::line::Line;
use crate::event::HostPhase;
use crate::event::fold::HostState;
use crate::model::HostName;
use crate::report::paint::Meaning;
use crate::report::text;

/// A host with its state.
pub(super) type Host<'a> = (&'a HostName, &'a HostState);

/// The widest word of [`word`].
const WORD: usize = 9;

/// The widest duration below 10 hours.
const TIME: usize = 6;

/// What a host is doing, in a word.
fn word(phase: HostPhase) -> (&'static str, Option<Meaning>) {
    match phase {
        HostPhase::Waiting => ("waiting", Some(Meaning::Quiet)),
        HostPhase::Staged => ("staged", Some(Meaning::Quiet)),
        HostPhase::Draining => ("draining", None),
        HostPhase::Drained => ("drained", None),
        HostPhase::Swapping => ("swapping", None),
        HostPhase::Swapped => ("swapped", None),
        HostPhase::Probing => ("probing", None),
        HostPhase::Ready => ("ready", Some(Meaning::Good)),
        HostPhase::Enabling => ("enabling", None),
        HostPhase::Enabled => ("soaking", Some(Meaning::Good)),
        HostPhase::Soaked => ("updated", Some(Meaning::Good)),
        HostPhase::Skipped => ("skipped", Some(Meaning::Quiet)),
        HostPhase::Failed => ("failed", Some(Meaning::Bad)),
        HostPhase::Reverting => ("reverting", Some(Meaning::Careful)),
        HostPhase::Reverted => ("reverted", Some(Meaning::Careful)),
        HostPhase::Stranded => ("stranded", Some(Meaning::Bad)),
    }
}

/// Whether something is being done to the host now.
pub(super) fn is_busy(phase: HostPhase) -> bool {
    match phase {
        HostPhase::Draining
        | HostPhase::Drained
        | HostPhase::Swapping
        | HostPhase::Swapped
        | HostPhase::Probing
        | HostPhase::Ready
        | HostPhase::Enabling
        | HostPhase::Enabled
        | HostPhase::Reverting => true,
        HostPhase::Waiting
        | HostPhase::Staged
        | HostPhase::Soaked
        | HostPhase::Skipped
        | HostPhase::Failed
        | HostPhase::Reverted
        | HostPhase::Stranded => false,
    }
}

/// Which hosts are shown first where not all have room: those in trouble, those with something going on, those that will be next.
fn rank(phase: HostPhase) -> u8 {
    match phase {
        HostPhase::Failed | HostPhase::Stranded | HostPhase::Reverting => 0,
        HostPhase::Waiting | HostPhase::Staged => 2,
        HostPhase::Soaked | HostPhase::Skipped | HostPhase::Reverted => 3,
        HostPhase::Draining
        | HostPhase::Drained
        | HostPhase::Swapping
        | HostPhase::Swapped
        | HostPhase::Probing
        | HostPhase::Ready
        | HostPhase::Enabling
        | HostPhase::Enabled => 1,
    }
}

/// The hosts in at most `room` lines, in their order; where that is too few, the last line counts the rest.
pub(super) fn lines(hosts: &[Host<'_>], room: usize, columns: usize, now: Timestamp) -> Vec<Line> {
    if hosts.len() <= room {
        return rows(hosts, columns, now);
    }
    let mut ranked: Vec<(usize, Host<'_>)> = hosts.iter().copied().enumerate().collect();
    ranked.sort_by_key(|(place, (_, state))| (rank(state.phase), *place));
    let rest = ranked.split_off(room.saturating_sub(1).min(ranked.len()));
    ranked.sort_by_key(|(place, _)| *place);
    let shown: Vec<Host<'_>> = ranked.into_iter().map(|(_, host)| host).collect();
    let rest: Vec<Host<'_>> = rest.into_iter().map(|(_, host)| host).collect();
    let mut lines = rows(&shown, columns, now);
    if room > 0 {
        let words = format!("  and {} more: {}", rest.len(), counts(&rest));
        lines.push(Line::default().with(Meaning::Quiet, &words));
    }
    lines
}

/// `2 draining, 1 updated`: only what there is, in the order of a host's way.
pub(super) fn counts(hosts: &[Host<'_>]) -> String {
    let mut counted: Vec<(HostPhase, usize)> = Vec::new();
    for (_, state) in hosts {
        match counted.iter_mut().find(|(phase, _)| *phase == state.phase) {
            Some((_, count)) => *count += 1,
            None => counted.push((state.phase, 1)),
        }
    }
    counted.sort_by_key(|(phase, _)| *phase as u8);
    let parts: Vec<String> = counted
        .into_iter()
        .map(|(phase, count)| format!("{count} {}", word(phase).0))
        .collect();
    parts.join(", ")
}

fn rows(hosts: &[Host<'_>], columns: usize, now: Timestamp) -> Vec<Line> {
    let widest = hosts
        .iter()
        .map(|(name, _)| text::width(name.as_str()))
        .max()
        .unwrap_or(0);
    // A long name is not to push away what the host is doing.
    let names = widest.min(columns.saturating_sub(2 + 2 + WORD + 1 + TIME).max(8));
    let rows = hosts
        .iter()
        .map(|(name, state)| row(name.as_str(), state, names, now));
    rows.collect()
}

fn row(name: &str, state: &HostState, names: usize, now: Timestamp) -> Line {
    let name = text::pad(&text::fit(name, names), names);
    let (word, meaning) = word(state.phase);
    let word = text::pad(word, WORD);
    let line = Line::default().plain(&format!("  {name}  "));
    let line = match meaning {
        Some(meaning) => line.with(meaning, &word),
        None => line.plain(&word),
    };
    let time = state
        .since
        .filter(|_| is_busy(state.phase))
        .map(|since| text::whole_seconds(text::elapsed(since, now)))
        .unwrap_or_default();
    line.plain(&format!(" {time:>TIME$}  "))
        .with(Meaning::Quiet, &state.note)
}
