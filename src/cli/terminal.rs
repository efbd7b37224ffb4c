//! What a command reads from and says to: the two output streams, and how they are written on.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use tokio::sync::watch;

use super::args::{Common, OutputFormat, Service, Subject};
use super::signals;
use crate::config::{self, Loaded, Request};
use crate::engine::StopWish;
use crate::event::Sink;
use crate::model::{ExitStatus, any_known, redact, redact_json};
use crate::plan::PlanDocument;
use crate::plan::check::CheckDocument;
use crate::plan::history::HistoryDocument;
use crate::plan::status::StatusDocument;
use crate::report::{self, Output};

/// The inventory that is read when none is named.
const DEFAULT_INVENTORY: &str = "inventory.toml";

/// Moves to the upper left corner and clears what follows. Source: ECMA-48, CUP and ED.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Names and words of documents, which are never masked.
const NAMES: [&str; 12] = [
    "service", "version", "rollout", "host", "hosts", "batches", "balancer", "pool", "server",
    "state", "action", "outcome",
];

fn print(text: &str) {
    let masked = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(mut document) if any_known() => {
            redact_json(&mut document, &NAMES);
            format!("{document}\n")
        }
        Ok(_) => text.to_owned(),
        Err(_not_json) => redact(text).into_owned(),
    };
    let mut out = std::io::stdout().lock();
    // A closed pager has seen enough.
    drop(out.write_all(masked.as_bytes()).and_then(|()| out.flush()));
}

/// Where a command says things, and how.
pub(super) struct Terminal {
    output: Output,
    color: bool,
    verbose: u8,
}

impl Terminal {
    /// Decides once how things are said.
    ///
    /// # Errors
    /// A text for people when the format is not supported yet.
    pub(super) fn new(common: &Common) -> Result<Self, String> {
        let output = match common.output {
            Some(OutputFormat::Human) => Output::Human,
            Some(OutputFormat::Json) => Output::Json,
            Some(OutputFormat::Github | OutputFormat::Gitlab) => {
                return Err("`--output github` and `--output gitlab` are not supported yet; use `--output plain`".to_owned());
            }
            None if std::io::stderr().is_terminal() && std::io::stdout().is_terminal() => {
                Output::Human
            }
            Some(OutputFormat::Plain) | None => Output::Plain,
        };
        if common.no_color {
            report::forbid_color();
        }
        let color = report::color_wanted();
        report::init_logging(common.verbose);
        Ok(Self {
            output,
            color,
            verbose: common.verbose,
        })
    }

    /// Whether there is a person to ask.
    pub(super) fn can_ask() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Begins to hear signals; to be called before anything else is done.
    ///
    /// # Errors
    /// The exit status when the system refuses it.
    pub(super) fn listen(&self) -> Result<watch::Receiver<StopWish>, ExitStatus> {
        signals::listen().map_err(|error| {
            let reason = "cannot listen for signals";
            self.refuse(ExitStatus::Refused, reason, &error.to_string())
        })
    }

    /// The readers of a rollout's events.
    pub(super) fn sinks(&self) -> Vec<Box<dyn Sink>> {
        report::sinks(self.output, self.color, self.verbose)
    }

    /// Reads and checks both files; what is wrong with them is shown, all at once.
    ///
    /// # Errors
    /// The exit status when something is wrong.
    pub(super) fn load(&self, common: &Common, subject: &Subject) -> Result<Loaded, ExitStatus> {
        let request = Request {
            playbook: subject.playbook.clone(),
            version: Some(subject.version.clone()),
            limit: subject.limit.clone(),
            vars: subject.vars.clone(),
            ..Request::default()
        };
        let loaded = self.read(common, request)?;
        for warning in &loaded.warnings {
            report::say(&format!("warning: {warning}"));
        }
        Ok(loaded)
    }

    /// The same for any request; its inventories are those of the command line.
    ///
    /// # Errors
    /// As [`Terminal::load`].
    pub(super) fn read(&self, common: &Common, mut request: Request) -> Result<Loaded, ExitStatus> {
        request.inventories.clone_from(&common.inventory);
        if request.inventories.is_empty() {
            request.inventories.push(PathBuf::from(DEFAULT_INVENTORY));
        }
        match config::load(&request) {
            Ok(loaded) => Ok(loaded),
            Err(findings) => {
                report::say(findings.render(self.color).trim_end());
                Err(ExitStatus::Usage)
            }
        }
    }

    /// The files of a command that asks the hosts which release they run.
    ///
    /// # Errors
    /// As [`Terminal::load`].
    pub(super) fn load_service(
        &self,
        common: &Common,
        service: &Service,
        limit: Option<&String>,
    ) -> Result<Loaded, ExitStatus> {
        let request = Request {
            limit: limit.cloned(),
            playbook: service.playbook.clone(),
            vars: service.vars.clone(),
            source_optional: true,
            without_files: true,
            ..Request::default()
        };
        self.read(common, request)
    }

    /// Says why the command ends here.
    pub(super) fn refuse(&self, status: ExitStatus, reason: &str, hint: &str) -> ExitStatus {
        report::say(&report::error(reason, hint, self.color));
        status
    }

    /// Says that a pause needs a person, and that there is none.
    pub(super) fn nobody_to_ask(&self) -> ExitStatus {
        let hint = "run it at a terminal, or approve all pauses with `--approve`";
        let reason = "`pause = \"manual\"` needs somebody to ask";
        self.refuse(ExitStatus::Usage, reason, hint)
    }

    /// Says something beside the results.
    pub(super) fn say(text: &str) {
        report::say(text);
    }

    /// The plan, on standard output.
    pub(super) fn show_plan(&self, document: &PlanDocument) {
        print(&report::plan(document, self.output, self.color));
    }

    /// How the fleet stands, on standard output; with `clear` in place of what a terminal showed before.
    pub(super) fn show_status(&self, document: &StatusDocument, clear: bool) {
        let text = report::status(document, self.output, self.color);
        if clear && self.output == Output::Human && std::io::stdout().is_terminal() {
            print(CLEAR);
        }
        print(&text);
    }

    /// What `check` found, on standard output.
    pub(super) fn show_check(&self, document: &CheckDocument) {
        print(&report::check(document, self.output, self.color));
    }

    /// The revisions of the fleet, on standard output.
    pub(super) fn show_history(&self, document: &HistoryDocument) {
        print(&report::history(document, self.output, self.color));
    }
}
