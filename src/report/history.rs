//! The revisions of the fleet, for people.

use super::paint::{Meaning, Paint};
use super::table::{Cell, Table};
use super::text;
use crate::model::RevisionOutcome;
use crate::plan::history::{HistoryDocument, HistoryRevision};

/// The history, without a line feed at its end.
pub(super) fn text(document: &HistoryDocument, paint: Paint) -> String {
    let what = paint.text(Meaning::Strong, &document.service);
    let mut lines = Vec::new();
    if document.revisions.is_empty() {
        lines.push(format!(
            "{what}: no revision was ever rolled out by rollgate"
        ));
    } else {
        let count = text::count(document.revisions.len(), "revision");
        lines.push(format!("{what}: {count}, newest first"));
        lines.push(String::new());
        lines.extend(table(document).lines(paint));
    }
    let problem = paint.text(Meaning::Bad, "problem");
    let problems = document.problems.iter();
    lines.extend(problems.map(|words| format!("{problem}: {}", text::clean(words))));
    lines.join("\n")
}

fn table(document: &HistoryDocument) -> Table {
    let head = [
        "revision", "version", "outcome", "runs on", "at", "by", "from", "sha256",
    ];
    let mut table = Table::new(&head);
    for revision in &document.revisions {
        let sha256 = revision.sha256.as_ref();
        let short = sha256.and_then(|sha256| sha256.as_str().get(..12));
        table.row(vec![
            Cell::from(&text::revision(revision.revision)),
            Cell::from(
                revision
                    .version
                    .as_ref()
                    .map_or("", |version| version.as_str()),
            ),
            outcome(revision),
            Cell::from(&runs_on(revision)),
            Cell::from(&format!("{:.0}", revision.at)),
            Cell::from(&revision.by),
            Cell::from(&revision.from),
            Cell::from(short.unwrap_or_default()),
        ]);
    }
    table
}

fn outcome(revision: &HistoryRevision) -> Cell {
    let words = revision.outcome.as_str();
    match revision.outcome {
        RevisionOutcome::Succeeded => Cell::new(Meaning::Good, words),
        RevisionOutcome::Reverted | RevisionOutcome::Undone => Cell::new(Meaning::Careful, words),
        RevisionOutcome::Found | RevisionOutcome::Staged | RevisionOutcome::Active => {
            Cell::new(Meaning::Quiet, words)
        }
    }
}

fn runs_on(revision: &HistoryRevision) -> String {
    match revision.running.len() {
        0 => String::new(),
        count if count == revision.hosts.len() => text::count(count, "host"),
        count => format!("{count} of {}", text::count(revision.hosts.len(), "host")),
    }
}
