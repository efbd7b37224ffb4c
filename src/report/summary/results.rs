//! The table of hosts, and the totals.

use super::{End, Told, verdict};
use crate::event::HostEnd;
use crate::model::{HostResult, Outcome};
use crate::report::paint::{Meaning, Paint};
use crate::report::plan::traffic_cell;
use crate::report::table::{Cell, Table};
use crate::report::text;

/// Everything for standard output. Nothing where nothing was begun: then the reasons on standard error say it all.
pub(super) fn lines(told: &Told, end: &End<'_>, paint: Paint) -> Vec<String> {
    let not_begun = end.outcome == Outcome::Locked && told.revision.is_none();
    if end.hosts.is_empty() || end.outcome == Outcome::Refused || not_begun {
        return Vec::new();
    }
    let mut lines = table(told, end).lines(paint);
    lines.push(String::new());
    lines.push(totals(told, end, paint));
    lines
}

fn table(told: &Told, end: &End<'_>) -> Table {
    let notes: Vec<String> = end.hosts.iter().map(|host| note(told, host)).collect();
    let has_notes = notes.iter().any(|note| !note.is_empty());
    let mut head = vec!["host", "result", "revision", "version", "traffic", "time"];
    if has_notes {
        head.push("note");
    }
    let mut table = Table::new(&head);
    for (host, note) in end.hosts.iter().zip(&notes) {
        let mut row = vec![
            Cell::from(host.host.as_str()),
            Cell::new(meaning(host.result), host.result.as_str()),
            Cell::from(&host.revision.map(text::revision).unwrap_or_default()),
            Cell::from(host.version.as_deref().unwrap_or_default()),
            traffic_cell(&host.traffic),
            Cell::from(&time(host)),
        ];
        if has_notes {
            row.push(Cell::from(note));
        }
        table.row(row);
    }
    table
}

fn meaning(result: HostResult) -> Meaning {
    match result {
        HostResult::Updated => Meaning::Good,
        HostResult::Skipped | HostResult::Untouched => Meaning::Quiet,
        HostResult::Reverted => Meaning::Careful,
        HostResult::Stranded => Meaning::Bad,
    }
}

fn note(told: &Told, host: &HostEnd) -> String {
    if let Some(step) = told.step(&host.host) {
        return format!("failed in {step}");
    }
    match host.result {
        HostResult::Skipped | HostResult::Untouched => {
            told.skipped.get(&host.host).cloned().unwrap_or_default()
        }
        HostResult::Updated | HostResult::Reverted | HostResult::Stranded => String::new(),
    }
}

/// All phases together; nothing for a host on which nothing was done.
fn time(host: &HostEnd) -> String {
    if host.durations.is_empty() {
        return String::new();
    }
    text::seconds(host.durations.values().sum())
}

fn totals(told: &Told, end: &End<'_>, paint: Paint) -> String {
    let counts = format!("{}, in {}", end.counts(), text::seconds(end.seconds));
    if end.outcome == Outcome::Succeeded {
        let sentence = paint.text(Meaning::Good, verdict::sentence(told, end));
        format!("{sentence}: {counts}")
    } else {
        counts
    }
}
