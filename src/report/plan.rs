//! A plan: as text for people, or as its document for scripts.

use serde::Serialize;

use super::paint::{Meaning, Paint};
use super::table::{Cell, Table};
use super::text;
use crate::model::{HostName, TrafficSeen, TrafficState};
use crate::plan::PlanDocument;
use crate::plan::document::{PlanAction, PlanCurrent, PlanHost};

/// The document on one line.
pub(super) fn json(document: &impl Serialize) -> String {
    match serde_json::to_string(document) {
        Ok(text) => text,
        // Names, numbers and texts always have a JSON form; a consumer still gets JSON if that ever changes.
        Err(error) => serde_json::json!({ "v": 1, "error": error.to_string() }).to_string(),
    }
}

/// The plan for people, without a line feed at its end.
pub(super) fn text(document: &PlanDocument, paint: Paint) -> String {
    let mut lines = vec![headline(document, paint)];
    lines.extend(batches(document));
    if !document.hosts.is_empty() {
        lines.push(String::new());
        lines.extend(hosts(document).lines(paint));
    }
    lines.extend(files(document, paint));
    lines.extend(footer(document, paint));
    lines.join("\n")
}

fn headline(document: &PlanDocument, paint: Paint) -> String {
    let PlanDocument {
        service,
        version,
        revision,
        ..
    } = document;
    let what = paint.text(Meaning::Strong, format!("{service} {version}"));
    if !document.refused.is_empty() {
        let reasons = text::count(document.refused.len(), "reason");
        let refused = paint.text(Meaning::Bad, "refused");
        return format!("{what}: {refused}, for {reasons}");
    }
    if document.batches.is_empty() {
        return format!("{what}: nothing to do");
    }
    format!(
        "{what} as revision {revision}: {} of {} in {}",
        document.updated(),
        text::count(document.hosts.len(), "host"),
        text::count(document.batches.len(), "batch"),
    )
}

fn batches(document: &PlanDocument) -> Vec<String> {
    if document.batches.is_empty() {
        return Vec::new();
    }
    let digits = document.batches.len().to_string().len();
    let mut lines = vec![String::new(), "batches, one after the other:".to_owned()];
    for (number, hosts) in (1..).zip(&document.batches) {
        let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        lines.push(format!("  {number:>digits$}. {}", names.join(", ")));
    }
    lines
}

fn hosts(document: &PlanDocument) -> Table {
    let has_reasons = document.hosts.iter().any(|host| !reason(host).is_empty());
    let mut head = vec!["host", "action", "release", "traffic"];
    if has_reasons {
        head.push("reason");
    }
    let mut table = Table::new(&head);
    for host in &document.hosts {
        let mut row = vec![
            Cell::from(host.host.as_str()),
            action(host.action),
            Cell::from(&release(document, host)),
            traffic_cell(&host.traffic),
        ];
        if has_reasons {
            row.push(Cell::from(reason(host)));
        }
        table.row(row);
    }
    table
}

/// The reason, unless it only says which release the host comes from: that is a column of its own.
fn reason(host: &PlanHost) -> &str {
    if host.action == PlanAction::Update && host.reason.starts_with("from ") {
        ""
    } else {
        &host.reason
    }
}

fn action(action: PlanAction) -> Cell {
    let meaning = match action {
        PlanAction::Update => Meaning::Good,
        PlanAction::Skip => Meaning::Quiet,
        PlanAction::Leave => Meaning::Careful,
    };
    Cell::new(meaning, action.as_str())
}

/// `1.0 (1) -> 2.0 (2)`: versions, and their revisions in brackets.
fn release(document: &PlanDocument, host: &PlanHost) -> String {
    let now = host
        .current
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), current);
    if host.action == PlanAction::Update {
        format!("{now} -> {} ({})", document.version, document.revision)
    } else if host.current.is_some() {
        now
    } else {
        String::new()
    }
}

fn current(current: &PlanCurrent) -> String {
    let version = current
        .version
        .as_ref()
        .map_or("unknown", |version| version.as_str());
    format!("{version} ({})", text::revision(current.revision))
}

/// The state of a host in its balancers: one word where all agree, else each server.
pub(super) fn traffic_cell(traffic: &[TrafficSeen]) -> Cell {
    let Some(first) = traffic.first() else {
        return Cell::from("");
    };
    let all_same = traffic.iter().all(|seen| seen.state == first.state);
    let words = if all_same {
        first.state.as_str().to_owned()
    } else {
        let each: Vec<String> = traffic
            .iter()
            .map(|seen| format!("{}/{}={}", seen.balancer, seen.pool, seen.state.as_str()))
            .collect();
        each.join(",")
    };
    if traffic.iter().all(|seen| seen.state == TrafficState::Ready) {
        Cell::from(&words)
    } else {
        Cell::new(Meaning::Careful, &words)
    }
}

/// What changes in the files of each host; hosts with the same changes are shown together.
fn files(document: &PlanDocument, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut shown: Vec<&PlanHost> = Vec::new();
    for host in document.hosts.iter().filter(|host| !host.files.is_empty()) {
        if shown.iter().any(|before| before.files == host.files) {
            continue;
        }
        shown.push(host);
        let same = document
            .hosts
            .iter()
            .filter(|other| other.files == host.files);
        let names: Vec<String> = same.map(|other| other.host.to_string()).collect();
        lines.push(String::new());
        lines.push(format!("{}:", names.join(", ")));
        let diffs = host.files.iter().flat_map(|change| change.diff.lines());
        lines.extend(diffs.map(|line| {
            let line = text::clean(line);
            match line.as_bytes().first() {
                Some(b'+') => paint.text(Meaning::Good, line),
                Some(b'-') => paint.text(Meaning::Bad, line),
                Some(_) | None => line.clone(),
            }
        }));
    }
    lines
}

fn footer(document: &PlanDocument, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(least) = document
        .least_usable
        .filter(|_| !document.batches.is_empty())
    {
        lines.push(format!(
            "usable servers in the pool that has the fewest on the way: {least}"
        ));
    }
    let warning = paint.text(Meaning::Careful, "warning");
    lines.extend(
        document
            .warnings
            .iter()
            .map(|text| format!("{warning}: {}", text::clean(text))),
    );
    let refused = paint.text(Meaning::Bad, "refused");
    lines.extend(
        document
            .refused
            .iter()
            .map(|text| format!("{refused}: {}", text::clean(text))),
    );
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}
