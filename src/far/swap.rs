//! The link and the service, in one round trip.

use std::sync::Arc;
use std::time::Duration;

use super::draft::{Kit, Privileged, Stdin};
use super::{Answer, Draft, ScriptError, Site, record, unit};
use crate::model::{Command, Record, ReleaseRef, Restart, Run, Sha256, Unit};

/// What a stop command gets besides `stop_timeout`: the time that a service may take is its own.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// What a start command gets besides `stop_timeout`, since a restart stops too.
const START_GRACE: Duration = Duration::from_secs(60);
/// The same of a unit, whose own `TimeoutStartSec` (90 s unless it says otherwise) ends a start that does not come to an end.
const UNIT_GRACE: Duration = Duration::from_secs(120);
/// For hashing, writing and switching around the commands.
const AROUND: Duration = Duration::from_secs(120);

/// One swap.
#[derive(Debug, Clone, Copy)]
pub struct Swap<'a> {
    /// The release that is to run; `None`: nothing is to run any more.
    pub to: Option<&'a ReleaseRef>,
    /// How what runs now is stopped; `None`: nothing of ours runs.
    pub leaving: Option<&'a Run>,
    /// How the release is started; with no release: how what runs is stopped.
    pub entering: &'a Run,
    /// Written before the first act.
    pub record: &'a Record,
    /// A file of the release (its name there, or an absolute path) with its digest, checked before the first act.
    pub expect: Option<(&'a str, &'a Sha256)>,
}

/// A command of the swap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Act {
    /// What it is called in messages.
    label: String,
    command: Command,
    privileged: Privileged,
    limit: Duration,
}

impl Swap<'_> {
    /// How long the whole may take.
    pub fn limit(&self) -> Duration {
        let acts = [self.stop(), self.start()];
        acts.iter().flatten().map(|act| act.limit).sum::<Duration>() + AROUND
    }

    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a folder or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        let dir = self.to.map_or("", |release| release.dir.as_str());
        if self.to.is_some() && !dir.starts_with('/') {
            return Err(ScriptError::Name {
                text: dir.to_owned(),
                wanted: "a release's folder, absolute",
            });
        }
        draft.value("DIR", dir)?;
        // Relative where it can be, so that the root may be moved or mounted elsewhere.
        let prefix = format!("{}/", site.root()?);
        draft.value("LINK", dir.strip_prefix(&prefix).unwrap_or(dir))?;
        let (proof, sha) = match self.expect {
            Some((name, sha)) if name.starts_with('/') => (name.to_owned(), sha.as_str()),
            Some((name, sha)) => (format!("{dir}/{name}"), sha.as_str()),
            None => (String::new(), ""),
        };
        draft.value("PROOF", &proof)?;
        draft.value("SHA", sha)?;
        draft.value("RECORD", &record::write("the record", self.record)?)?;
        draft.value("KEEP_LINES", "40")?;
        let to = self.to.map(|release| release.revision);
        let before = self.record.before.as_ref().map(|before| before.revision);
        unit::set(&mut draft, site, self.entering.unit(), (to, before))?;
        act(&mut draft, site, "STOP", self.stop())?;
        act(&mut draft, site, "START", self.start())?;
        let swap = include_str!("swap.sh");
        let whole = [unit::UNIT, swap];
        // A host reads a script byte by byte: what it has no use for is not sent.
        let body = if self.entering.unit().is_some() {
            &whole[..]
        } else {
            &[swap]
        };
        Ok(draft.finish(Kit::Command, body, Stdin::Closed))
    }

    /// What the stop command's failure was, if it failed; also said where there is nothing to stop the service with.
    pub fn read(&self, answer: &Answer) -> Option<String> {
        let said = answer.get("complaint").map(str::to_owned);
        let helpless = self.to.is_none() && self.stop().is_none();
        said.or_else(|| {
            helpless.then(|| "`[run]` has no `stop` command: the service may still run".to_owned())
        })
    }

    /// What is stopped before the link moves. A unit, or a `restart` command, that is entered again stops what ran by itself.
    fn stop(&self) -> Option<Act> {
        let run = match self.to {
            Some(_) => self.leaving?,
            None => self.entering,
        };
        let restarts_itself = self.to.is_some()
            && match (&run.restart, &self.entering.restart) {
                (Restart::Systemd(old), Restart::Systemd(new)) => {
                    (&old.name, old.user) == (&new.name, new.user)
                }
                (Restart::Commands { .. }, Restart::Commands { restart, .. }) => restart.is_some(),
                (Restart::Systemd(_), Restart::Commands { .. })
                | (Restart::Commands { .. }, Restart::Systemd(_))
                // Containers have a swap of their own.
                | (Restart::Container(_), _)
                | (_, Restart::Container(_)) => false,
            };
        if restarts_itself {
            return None;
        }
        let (label, command) = match &run.restart {
            Restart::Systemd(unit) => systemctl("stop", unit),
            Restart::Commands { stop, .. } => ("the stop command".to_owned(), stop.clone()?),
            Restart::Container(_) => return None,
        };
        Some(Act {
            label,
            privileged: privileged(run),
            command,
            limit: run.stop_timeout + STOP_GRACE,
        })
    }

    /// What is run when the link has moved: where nothing of ours runs a start command goes before a restart command.
    fn start(&self) -> Option<Act> {
        self.to?;
        let (label, command) = match &self.entering.restart {
            Restart::Systemd(unit) => systemctl("restart", unit),
            Restart::Commands { start, restart, .. } => {
                let fresh = self.leaving.is_none();
                let start = start.as_ref().map(|start| ("the start command", start));
                let restart = restart
                    .as_ref()
                    .map(|restart| ("the restart command", restart));
                let (label, command) = if fresh {
                    start.or(restart)?
                } else {
                    restart.or(start)?
                };
                (label.to_owned(), command.clone())
            }
            Restart::Container(_) => return None,
        };
        let unit = self.entering.unit();
        let grace = unit.map_or(START_GRACE, |_unit| UNIT_GRACE);
        Some(Act {
            label,
            privileged: privileged(self.entering),
            command,
            limit: self.entering.stop_timeout + grace,
        })
    }
}

fn systemctl(verb: &str, unit: &Unit) -> (String, Command) {
    let words = unit::systemctl(unit, verb);
    (format!("`{}`", words.join(" ")), Command::Argv(words))
}

/// What is the SSH user's own is never touched as somebody else.
fn privileged(run: &Run) -> Privileged {
    match run.unit() {
        Some(unit) if unit.user => Privileged::No,
        Some(_) | None => Privileged::Yes,
    }
}

/// The variables and the function of one command.
fn act(draft: &mut Draft, site: &Site, name: &str, act: Option<Act>) -> Result<(), ScriptError> {
    let (label, words, limit) = match act {
        Some(act) => (
            act.label,
            site.words(&act.command, act.privileged),
            act.limit,
        ),
        None => (String::new(), Vec::new(), Duration::ZERO),
    };
    draft.value(name, &label)?;
    draft.value(&format!("{name}_LIMIT"), &seconds(limit))?;
    draft.words(&name.to_lowercase(), &words)
}

/// Whole seconds, rounded up: `sleep` of POSIX knows no parts.
pub(super) fn seconds(limit: Duration) -> String {
    let up = u64::from(limit.subsec_nanos() > 0);
    limit.as_secs().saturating_add(up).max(1).to_string()
}

#[cfg(test)]
#[path = "swap_tests.rs"]
mod tests;
