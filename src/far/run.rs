//! What is run on a host besides swaps: hooks, and what prints the logs.

use std::sync::Arc;
use std::time::Duration;

use super::draft::{Kit, Privileged, Stdin};
use super::swap::seconds;
use super::{Answer, Draft, ScriptError, Site, unit};
use crate::model::{Command, Restart, Run};

/// How many lines of a hook's output are kept.
const HOOK_LINES: &str = "100";
/// How long a host may take to print its last log lines.
const LOGS_LIMIT: Duration = Duration::from_secs(10);
/// For what happens around a command, its end after its limit included.
const AROUND: Duration = Duration::from_secs(30);

/// A hook on a host.
#[derive(Debug, Clone, Copy)]
pub struct HookRun<'a> {
    /// The folder in which it runs; the root where that is absent.
    pub dir: &'a str,
    /// What is run, as the SSH user.
    pub command: &'a Command,
    /// Further variables of its environment.
    pub env: &'a [(String, String)],
    /// Its whole process group is ended after this.
    pub timeout: Duration,
}

impl HookRun<'_> {
    /// How long the whole may take.
    pub fn limit(&self) -> Duration {
        self.timeout + AROUND
    }

    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a variable or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        draft.value("DIR", self.dir)?;
        draft.value("LIMIT", &seconds(self.timeout))?;
        draft.value("KEEP_LINES", HOOK_LINES)?;
        let mut pairs = Vec::with_capacity(self.env.len() + 1);
        // `export` alone would print every variable.
        pairs.push(format!("ROLLGATE_ROOT={}", site.root()?));
        for (name, value) in self.env {
            pairs.push(format!("{}={value}", variable(name)?));
        }
        draft.words("env", &pairs)?;
        draft.words("hook", &site.words(self.command, Privileged::No))?;
        Ok(draft.finish(Kit::Command, &[include_str!("hook.sh")], Stdin::Closed))
    }

    /// Its exit code (124: its limit passed) and the last lines of its output.
    ///
    /// # Errors
    /// A text that says what is missing or odd.
    pub fn read(answer: &Answer) -> Result<(i32, Vec<String>), String> {
        let code = answer.need("code")?;
        let code = code
            .parse()
            .map_err(|error| format!("its `code` is no number (`{code}`): {error}"))?;
        Ok((code, answer.output()))
    }
}

/// Only names of rollgate's own: a script of ours must not lose its variables to a hook's.
fn variable(name: &str) -> Result<&str, ScriptError> {
    let fine = name.strip_prefix("ROLLGATE_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    if fine {
        Ok(name)
    } else {
        Err(ScriptError::Name {
            text: name.to_owned(),
            wanted: "a variable whose name is `ROLLGATE_` and letters, digits or `_`",
        })
    }
}

/// The service's last log lines.
#[derive(Debug, Clone, Copy)]
pub struct Logs<'a> {
    /// How the service is run.
    pub run: &'a Run,
    /// How many lines are wanted.
    pub lines: usize,
}

impl Logs<'_> {
    /// How long the whole may take.
    pub fn limit(&self) -> Duration {
        LOGS_LIMIT + AROUND
    }

    /// The script. Where nothing prints logs it shows what the start command, and what it left running, printed.
    ///
    /// # Errors
    /// [`ScriptError`] for a root or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let lines = self.lines.to_string();
        let command = match (&self.run.logs, &self.run.restart) {
            (Some(command), _) => Some(command.clone()),
            (None, Restart::Systemd(unit)) => Some(Command::Argv(unit::journalctl(unit, &lines))),
            // Of a container its engine has them: see `crate::far::container`.
            (None, Restart::Commands { .. } | Restart::Container(_)) => None,
        };
        let mut draft = Draft::new(site)?;
        draft.value("LIMIT", &seconds(LOGS_LIMIT))?;
        draft.value("KEEP_LINES", &lines)?;
        draft.value("LOGS", if command.is_some() { "yes" } else { "" })?;
        let own = self.run.logs.is_none() && self.run.unit().is_some_and(|unit| unit.user);
        let privileged = if own { Privileged::No } else { Privileged::Yes };
        let words = command.map_or_else(Vec::new, |command| site.words(&command, privileged));
        draft.words("logs", &words)?;
        Ok(draft.finish(Kit::Command, &[include_str!("logs.sh")], Stdin::Closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_of_our_own_are_set() {
        assert!(variable("ROLLGATE_VERSION").is_ok());
        for bad in ["PATH", "ROLLGATE_", "ROLLGATE_A=B", "ROLLGATE_A B", ""] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }
}
