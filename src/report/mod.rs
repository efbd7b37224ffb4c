//! What people and scripts read: readers of the event stream, the plan, and errors at the edge.
//!
//! Results (final table, JSON, plan) go to standard output; progress and diagnostics to standard error. A reader whose stream is closed
//! stops printing, and the rollout goes on. No reader decides anything.
//!
//! * [`json`]: one event a line. * [`plain`]: one line an event, for logs. * [`progress`]: the live display of a terminal.
//! * [`summary`]: the final table and what to type next. * [`mod@plan`], [`mod@check`], [`mod@status`], [`mod@history`]: documents of commands that look. * [`diagnostic`]: errors with causes and hints.
//! * [`table`], [`text`], [`paint`], [`stream`]: what they are written with.

pub mod check;
pub mod diagnostic;
pub mod history;
pub mod json;
pub mod paint;
pub mod plain;
pub mod plan;
pub mod progress;
pub mod status;
pub mod stream;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod text;

use jiff::tz::TimeZone;

use self::paint::Paint;
use self::stream::Stream;
use self::summary::Page;
use crate::event::Sink;
use crate::plan::PlanDocument;
use crate::plan::check::CheckDocument;
use crate::plan::history::HistoryDocument;
use crate::plan::status::StatusDocument;

/// How results and progress are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For a person at a terminal: live progress.
    Human,
    /// For logs: a line for each event.
    Plain,
    /// For scripts: one JSON event a line.
    Json,
}

/// `--no-color`: nothing of this process is coloured, whatever the environment says. To be called before anything is printed.
pub fn forbid_color() {
    Paint::forbid();
}

/// Whether standard error may be coloured: it is a terminal, and `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` agree. What goes to
/// standard output asks the same of that stream too.
pub fn color_wanted() -> bool {
    Paint::for_stderr() != Paint::PLAIN
}

/// Sends diagnostics to standard error: our own warnings, more with `-v`, those of the libraries with `-vv`.
pub fn init_logging(verbose: u8) {
    diagnostic::init_logging(verbose, Stream::stderr());
}

/// An error at the edge, with a hint unless that is empty. Without a line feed at the end.
pub fn error(reason: &str, hint: &str, color: bool) -> String {
    diagnostic::error(reason, hint, Paint::new(color))
}

/// Says something on standard error, above the live display if there is one. A closed standard error has seen enough.
pub fn say(text: &str) {
    Stream::stderr().line(&crate::model::redact(text));
}

/// A plan for standard output: text, or its document on one line. With a line feed at the end.
pub fn plan(document: &PlanDocument, output: Output, color: bool) -> String {
    let mut said = match output {
        Output::Human | Output::Plain => plan::text(document, on_stdout(color)),
        Output::Json => plan::json(document),
    };
    said.push('\n');
    said
}

/// What `check` found, for standard output, as [`plan()`].
pub fn check(document: &CheckDocument, output: Output, color: bool) -> String {
    let mut said = match output {
        Output::Human | Output::Plain => check::text(document, on_stdout(color)),
        Output::Json => plan::json(document),
    };
    said.push('\n');
    said
}

/// How the fleet stands, for standard output, as [`plan()`].
pub fn status(document: &StatusDocument, output: Output, color: bool) -> String {
    let mut said = match output {
        Output::Human | Output::Plain => status::text(document, on_stdout(color)),
        Output::Json => plan::json(document),
    };
    said.push('\n');
    said
}

/// The revisions of the fleet, for standard output, as [`plan()`].
pub fn history(document: &HistoryDocument, output: Output, color: bool) -> String {
    let mut said = match output {
        Output::Human | Output::Plain => history::text(document, on_stdout(color)),
        Output::Json => plan::json(document),
    };
    said.push('\n');
    said
}

/// The readers of a rollout's events for one way of saying them.
pub fn sinks(output: Output, color: bool, _verbose: u8) -> Vec<Box<dyn Sink>> {
    match output {
        Output::Json => vec![json::sink(Stream::stdout(), Stream::stderr())],
        // The display goes first: the summary is to stand where it was.
        Output::Human if progress::is_possible() => {
            let paint = Paint::new(color);
            vec![
                progress::sink(Stream::stderr(), paint, TimeZone::system()),
                end(color),
            ]
        }
        Output::Human | Output::Plain => vec![lines(color), end(color)],
    }
}

fn lines(color: bool) -> Box<dyn Sink> {
    plain::sink(Stream::stderr(), Paint::new(color), TimeZone::system())
}

fn end(color: bool) -> Box<dyn Sink> {
    let page = |stream, paint| Page { stream, paint };
    summary::sink(
        page(Stream::stdout(), on_stdout(color)),
        page(Stream::stderr(), Paint::new(color)),
    )
}

/// Standard error may be a terminal while standard output is a file.
fn on_stdout(color: bool) -> Paint {
    if color {
        Paint::for_stdout()
    } else {
        Paint::PLAIN
    }
}
