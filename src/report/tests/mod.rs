//! What is said about whole rollouts, as snapshots.

mod documents;
#[expect(
    clippy::format_push_string,
    clippy::disallowed_methods,
    reason = "a display with a thread of its own is waited for on the real clock, and its screens are put together as text"
)]
mod progress;
mod streams;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::tz::TimeZone;

use self::streams::{Captured, play};
use super::paint::Paint;
use super::stream::Stream;
use super::summary::Page;
use super::{json, plain, summary};
use crate::event::EventKind;
use crate::model::{HostResult, Outcome};

/// Every rollout, by the name of its snapshots.
fn rollouts() -> [(&'static str, Vec<EventKind>); 8] {
    [
        ("success", streams::success()),
        ("nothing_to_do", streams::nothing_to_do()),
        ("reverted", streams::reverted()),
        ("stranded", streams::stranded()),
        ("refused", streams::refused()),
        ("locked", streams::locked()),
        ("interrupted", streams::interrupted()),
        ("rare", streams::rare()),
    ]
}

fn plain_text(kinds: Vec<EventKind>, paint: Paint) -> String {
    let err = Captured::default();
    play(kinds, plain::sink(err.stream(), paint, TimeZone::UTC));
    err.text()
}

/// Standard output, standard error.
fn summary_texts(kinds: Vec<EventKind>, paint: Paint) -> (String, String) {
    let (out, err) = (Captured::default(), Captured::default());
    let page = |captured: &Captured| Page {
        stream: captured.stream(),
        paint,
    };
    play(kinds, summary::sink(page(&out), page(&err)));
    (out.text(), err.text())
}

fn json_text(kinds: Vec<EventKind>) -> (String, String) {
    let (out, err) = (Captured::default(), Captured::default());
    play(kinds, json::sink(out.stream(), err.stream()));
    (out.text(), err.text())
}

#[test]
fn plain_says_every_rollout() {
    for (name, kinds) in rollouts() {
        insta::assert_snapshot!(format!("plain_{name}"), plain_text(kinds, Paint::PLAIN));
    }
}

#[test]
fn the_summary_says_every_rollout() {
    for (name, kinds) in rollouts() {
        let (out, err) = summary_texts(kinds, Paint::PLAIN);
        insta::assert_snapshot!(
            format!("summary_{name}"),
            format!("--- stdout\n{out}--- stderr\n{err}")
        );
    }
}

#[test]
fn json_lines_of_a_reverted_rollout() {
    insta::assert_snapshot!("json_reverted", json_text(streams::reverted()).0);
}

#[test]
fn json_lines_are_numbered_without_gaps_and_read_back() {
    for (name, kinds) in rollouts() {
        let count = kinds.len();
        let (out, err) = json_text(kinds);
        assert_eq!(err, "", "{name}");
        let events: Vec<crate::event::Event> = out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
        let wanted: Vec<u64> = (1..).take(count).collect();
        assert_eq!(numbers, wanted, "{name}");
    }
}

/// A new event without a line would be missed here.
#[test]
fn plain_has_one_line_with_a_time_for_each_event() {
    for (name, kinds) in rollouts() {
        let count = kinds.len();
        let said = plain_text(kinds, Paint::PLAIN);
        let dated = said
            .lines()
            .filter(|line| line.starts_with("14:15:"))
            .count();
        assert_eq!(dated, count, "{name}:\n{said}");
    }
}

/// Every name of the contract is in the streams above, so that none escapes these tests.
#[test]
fn the_streams_hold_every_event() {
    let wanted = include_str!("events.txt");
    let mut names: Vec<String> = rollouts()
        .into_iter()
        .flat_map(|(_, kinds)| {
            json_text(kinds)
                .0
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(&line).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names, wanted.lines().collect::<Vec<_>>());
    let documented = include_str!("../../../docs/events.md");
    for name in names {
        assert!(
            documented.contains(&format!("`{name}`")),
            "docs/events.md does not explain `{name}`"
        );
    }
}

#[test]
fn colours_change_nothing_but_the_looks() {
    for (name, kinds) in rollouts() {
        let strip = |text: &str| anstream::adapter::strip_str(text).to_string();
        let coloured = plain_text(kinds.clone(), Paint::new(true));
        assert_eq!(
            strip(&coloured),
            plain_text(kinds.clone(), Paint::PLAIN),
            "{name}"
        );
        let (out, err) = summary_texts(kinds.clone(), Paint::new(true));
        let (plain_out, plain_err) = summary_texts(kinds, Paint::PLAIN);
        assert_eq!((strip(&out), strip(&err)), (plain_out, plain_err), "{name}");
    }
}

#[test]
fn foreign_log_lines_cannot_move_the_cursor() {
    for text in [
        plain_text(streams::reverted(), Paint::PLAIN),
        summary_texts(streams::reverted(), Paint::PLAIN).1,
    ] {
        assert!(
            text.contains("app: cannot open cache") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}

/// Each outcome has a verdict, its exit code with the meaning, and, unless it went well, a next step.
#[test]
fn every_outcome_says_what_to_do_next() {
    use HostResult::{Reverted, Stranded, Untouched, Updated};
    let cases = [
        (
            Outcome::Partial,
            true,
            [Updated, Reverted, Updated, Updated],
        ),
        (
            Outcome::Reverted,
            false,
            [Reverted, Untouched, Untouched, Untouched],
        ),
        (
            Outcome::Halted,
            false,
            [Stranded, Untouched, Untouched, Untouched],
        ),
        (
            Outcome::Stranded,
            false,
            [Stranded, Stranded, Untouched, Untouched],
        ),
        (
            Outcome::Interrupted,
            true,
            [Updated, Untouched, Untouched, Untouched],
        ),
        (
            Outcome::Deadline,
            false,
            [Reverted, Untouched, Untouched, Untouched],
        ),
        (
            Outcome::Locked,
            true,
            [Updated, Untouched, Untouched, Untouched],
        ),
        (Outcome::Refused, false, [Untouched; 4]),
    ];
    let mut said = String::new();
    for (outcome, mixed, results) in cases {
        let (_, err) = summary_texts(streams::ended(outcome, mixed, results), Paint::PLAIN);
        assert!(
            err.starts_with("error: ") && err.contains("\nhint: "),
            "{outcome:?}: {err}"
        );
        let code = format!("\n  exit code: {} (", outcome.exit_status().code());
        assert!(
            err.contains(&code) && err.contains("a reason"),
            "{outcome:?}: {err}"
        );
        said = format!("{said}--- {}\n{err}", outcome.as_str());
    }
    insta::assert_snapshot!("summary_outcomes", said);
}

#[test]
fn an_abort_that_went_back_is_what_was_wanted() {
    let results = [HostResult::Reverted; 4];
    let mut kinds = streams::ended(Outcome::Reverted, false, results);
    if let Some(EventKind::RolloutStarted { command, .. }) = kinds.first_mut() {
        "abort".clone_into(command);
    }
    let (out, err) = summary_texts(kinds, Paint::PLAIN);
    assert_eq!(err, "");
    assert!(out.contains("4 reverted"), "{out}");
}

/// Counts what reaches it, and breaks after the first lines as a closed pager does.
struct Pager {
    writes: Arc<AtomicUsize>,
    kind: io::ErrorKind,
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.writes.fetch_add(1, Ordering::Relaxed) < 2 {
            Ok(bytes.len())
        } else {
            Err(self.kind.into())
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json_to_a_broken_stream(kind: io::ErrorKind) -> (usize, String) {
    let writes = Arc::new(AtomicUsize::new(0));
    let out = Stream::new(Pager {
        writes: Arc::clone(&writes),
        kind,
    });
    let err = Captured::default();
    play(streams::success(), json::sink(out, err.stream()));
    (writes.load(Ordering::Relaxed), err.text())
}

#[test]
fn a_closed_pipe_ends_the_printing_and_nothing_else() {
    let (writes, err) = json_to_a_broken_stream(io::ErrorKind::BrokenPipe);
    assert_eq!(writes, 3, "it was written to after it broke");
    assert_eq!(err, "");
}

#[test]
fn a_full_disk_is_said() {
    let (writes, err) = json_to_a_broken_stream(io::ErrorKind::StorageFull);
    assert_eq!(writes, 3);
    assert!(
        err.starts_with("warning: standard output could not be written"),
        "{err}"
    );
}
