//! What a host has to allow: asked ahead of the first drain, and shown by `check` (F2).

use std::sync::Arc;
use std::time::Duration;

use super::draft::{Kit, Privileged, Stdin, words};
use super::unit::{self, UNIT};
use super::{Answer, Draft, ScriptError, Site};
use crate::model::{Become, Command, Restart, Revision, Rights, Run};

/// A look whether the service can be restarted, and the files of its unit be changed, ahead of the first drain.
#[derive(Debug, Clone, Copy)]
pub struct Prepare<'a> {
    /// How the service is run.
    pub run: &'a Run,
    /// The revision that is to run.
    pub revision: Revision,
}

impl Prepare<'_> {
    /// How long the whole may take.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The script; `None` where there is nothing to be looked at.
    ///
    /// # Errors
    /// [`ScriptError`] for a root or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Option<Arc<str>>, ScriptError> {
        let unit = self.run.unit();
        let raised = match (site.r#become, unit) {
            (Become::Sudo | Become::Doas, Some(unit)) if unit.user => "",
            (Become::Sudo, _) => "sudo",
            (Become::Doas, _) => "doas",
            (Become::None | Become::SudoAll, _) => "",
        };
        if unit.is_none() && raised.is_empty() {
            return Ok(None);
        }
        let mut draft = Draft::new(site)?;
        unit::set(&mut draft, site, unit, (Some(self.revision), None))?;
        draft.value("RAISED", raised)?;
        draft.function("needs", &self.needs(site)?)?;
        let body = [UNIT, include_str!("rights.sh"), include_str!("prepare.sh")];
        Ok(Some(draft.finish(Kit::Act, &body, Stdin::Closed)))
    }

    /// What the host answered.
    pub fn read(answer: &Answer) -> Rights {
        let all = |key| answer.all(key).map(str::to_owned).collect();
        Rights {
            user: answer.get("user").unwrap_or_default().to_owned(),
            needed: all("needed"),
            lacking: all("lacking"),
        }
    }

    /// Commands that are run through `become`, each behind how it is asked for.
    fn needs(&self, site: &Site) -> Result<Vec<Vec<String>>, ScriptError> {
        let mut needs = match &self.run.restart {
            Restart::Systemd(unit) => unit::needs(unit, site)?,
            Restart::Commands {
                start,
                stop,
                restart,
            } => {
                let each = [start, stop, restart].into_iter().flatten();
                each.map(|command| asked("must", command)).collect()
            }
            Restart::Container(container) => {
                vec![vec!["any".to_owned(), container.engine.as_str().to_owned()]]
            }
        };
        needs.extend(self.run.logs.iter().map(|command| asked("may", command)));
        Ok(needs)
    }
}

fn asked(how: &str, command: &Command) -> Vec<String> {
    let words = words(Become::None, command, Privileged::No);
    std::iter::once(how.to_owned()).chain(words).collect()
}
