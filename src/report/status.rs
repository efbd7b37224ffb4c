//! How the fleet stands, for people.

use super::paint::{Meaning, Paint};
use super::plan::traffic_cell;
use super::table::{Cell, Table};
use super::text;
use crate::plan::status::{StatusDocument, StatusHost, StatusLock};

/// The status, without a line feed at its end.
pub(super) fn text(document: &StatusDocument, paint: Paint) -> String {
    let mut lines = vec![headline(document, paint)];
    if let Some(rollout) = &document.rollout {
        lines.push(format!(
            "rollout {}: {} to {} (revision {}) by {} since {:.0} has not ended",
            rollout.rollout,
            rollout.command,
            text::clean(rollout.version.as_str()),
            rollout.revision,
            text::clean(&rollout.by),
            rollout.started
        ));
    }
    if let Some(held) = &document.lock {
        lines.push(lock(held));
    }
    lines.push(String::new());
    lines.extend(hosts(document).lines(paint));
    lines.extend(stranded(document, paint));
    let problem = paint.text(Meaning::Bad, "problem");
    let problems = document.problems.iter();
    lines.extend(problems.map(|words| format!("{problem}: {}", text::clean(words))));
    lines.join("\n")
}

fn headline(document: &StatusDocument, paint: Paint) -> String {
    let what = paint.text(Meaning::Strong, &document.service);
    let count = text::count(document.hosts.len(), "host");
    if document.well {
        let first = document.hosts.first();
        let version = first.and_then(|host| host.version.as_deref());
        let version = version.unwrap_or("an unknown version");
        let well = paint.text(Meaning::Good, "well");
        return format!("{what}: {well}, {count} on {}", text::clean(version));
    }
    let not_well = paint.text(Meaning::Bad, "not well");
    format!("{what}: {not_well}, {count}")
}

fn lock(held: &StatusLock) -> String {
    let by = held.by.as_deref().unwrap_or("somebody unnamed");
    let command = held.command.as_deref().unwrap_or("an unknown command");
    let since = held
        .since
        .map_or_else(String::new, |since| format!(" since {since:.0}"));
    let message = held
        .message
        .as_ref()
        .map_or_else(String::new, |message| format!(": \"{message}\""));
    let renewed = if held.command.as_deref() == Some("lock") {
        String::new()
    } else {
        format!(", renewed {}s ago", held.renewed)
    };
    text::clean(&format!(
        "lock: {} held by {by} ({command}){since}{renewed}{message}",
        text::count(held.hosts.len(), "host")
    ))
}

fn hosts(document: &StatusDocument) -> Table {
    let has_notes = document.hosts.iter().any(|host| !note(host).is_empty());
    let mut head = vec!["host", "revision", "version", "ready", "traffic"];
    if has_notes {
        head.push("note");
    }
    let mut table = Table::new(&head);
    for host in &document.hosts {
        let ready = if host.ready {
            Cell::from("yes")
        } else {
            Cell::new(Meaning::Bad, "no")
        };
        let mut row = vec![
            Cell::from(host.host.as_str()),
            Cell::from(&host.revision.map(text::revision).unwrap_or_default()),
            Cell::from(host.version.as_deref().unwrap_or_default()),
            ready,
            traffic_cell(&host.traffic),
        ];
        if has_notes {
            row.push(Cell::from(&note(host)));
        }
        table.row(row);
    }
    table
}

fn note(host: &StatusHost) -> String {
    if let Some(error) = &host.error {
        return error.clone();
    }
    if host.stranded.is_some() {
        return "needs a person".to_owned();
    }
    host.step
        .map_or_else(String::new, |step| format!("in a rollout: {}", step.said()))
}

fn stranded(document: &StatusDocument, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for host in &document.hosts {
        let Some(note) = &host.stranded else { continue };
        let name = paint.text(Meaning::Bad, host.host.as_str());
        lines.push(String::new());
        let seen = text::clean(&note.seen);
        lines.push(format!(
            "{name} needs a person since {:.0}: {seen}",
            note.since
        ));
        lines.extend(
            note.mend
                .iter()
                .map(|mend| format!("  {}", text::clean(mend))),
        );
    }
    lines
}
