//! From shapes to the words of the model. Each file checks one part of what was read, goes on after a mistake, and leaves
//! `None` where something is missing that the report already tells.

pub(crate) mod balancers;
pub(crate) mod choose;
pub(crate) mod container;
pub(crate) mod files;
pub(crate) mod hosts;
pub(crate) mod inside;
pub(crate) mod policy;
pub(crate) mod pools;
pub(crate) mod ready;
pub(crate) mod release;
pub(crate) mod run;
pub(crate) mod scope;
pub(crate) mod ssh;
pub(crate) mod traffic;
pub(crate) mod unit;

use std::ops::Range;

use toml::Spanned;

use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::Field;
use crate::config::template::{self, Context, Fault, Scope};

/// A text of a file, with its place.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// Where it stands.
    pub at: Place,
    /// The text itself.
    pub text: String,
}

impl Text {
    /// A string of a file.
    pub(crate) fn of(file: FileId, text: &Spanned<String>) -> Self {
        Self {
            at: Place::at(file, &text.span()),
            text: text.get_ref().clone(),
        }
    }

    /// An element of a list.
    pub(crate) fn at(file: FileId, span: &Range<usize>, text: &str) -> Self {
        Self {
            at: Place::at(file, span),
            text: text.to_owned(),
        }
    }

    /// Renders it; `who` says for whom, such as ` (for web-01)`.
    pub(crate) fn render(
        &self,
        scope: &Scope,
        context: &Context,
        who: &str,
        report: &mut Report,
    ) -> Option<String> {
        match template::render(&self.text, scope, context) {
            Ok(text) => Some(text),
            Err(faults) => {
                self.report_faults(faults, who, report);
                None
            }
        }
    }

    /// Checks what can be told without values, so that it is told even where there is no host to render for.
    pub(crate) fn check(&self, scope: &Scope, report: &mut Report) {
        self.report_faults(template::check(&self.text, scope), "", report);
    }

    /// Adds faults of this template to the report, at their places inside it.
    pub(crate) fn report_faults(&self, faults: Vec<Fault>, who: &str, report: &mut Report) {
        for fault in faults {
            let place = match &fault.range {
                Some(range) => report.inside(&self.at, &self.text, range),
                None => self.at.clone(),
            };
            report.add(place, fault.title, format!("{}{who}", fault.help));
        }
    }
}

/// The text of a required string; reports its absence at `table`.
pub(crate) fn required(
    field: &Field<String>,
    (file, table): (FileId, &Place),
    key: &str,
    example: &str,
    report: &mut Report,
) -> Option<Text> {
    if field.is_missing() {
        report.add(
            table.clone(),
            format!("`{key}` is missing"),
            format!("add {key} = {example}"),
        );
    }
    field.spanned().map(|text| Text::of(file, text))
}
