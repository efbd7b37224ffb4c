//! Commands of a balancer's own, and files that make a host look unfit: for many servers in one round trip, side by side but bounded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::draft::{Kit, Privileged, Stdin, words};
use super::{Answer, Draft, ScriptError};
use crate::model::{Become, Command};

/// For all commands of one script together. With the second that a command has to end in, and rounded clocks, below 10 s.
pub const SPAN: Duration = Duration::from_secs(7);

/// The most that run at a time: whoever is behind the commands should not be flooded.
const LANES: usize = 8;

/// One thing to do for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand<'a> {
    /// Run this, through `become`.
    Run(&'a Command),
    /// See whether this file is there, and for how long.
    MarkLook(&'a str),
    /// See to it that it is there.
    MarkPut(&'a str),
    /// See to it that it is not.
    MarkTake(&'a str),
}

/// What came of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Came {
    /// The exit code; `None`: it did not end in time, and was ended.
    pub code: Option<i32>,
    /// What it printed, without the empty lines at the end.
    pub out: String,
    /// The last line of its standard error, without surrounding space.
    pub complaint: String,
    /// Why a file can be neither made nor taken away, if so.
    pub closed: Option<String>,
}

/// All errands of one script: jobs run side by side, and their errands one after the other.
#[derive(Debug, Clone)]
pub struct Errands<'a> {
    /// The folder in which commands run; `None`: where the shell begins.
    pub dir: Option<&'a str>,
    /// How commands get privilege.
    pub r#become: Become,
    /// Errands by job.
    pub jobs: Vec<Vec<Errand<'a>>>,
    /// Commands that are not run now, and without whose programs nothing can be done later.
    pub later: Vec<&'a Command>,
}

impl Errands<'_> {
    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a text that no script may be made of.
    pub fn script(&self) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::rootless();
        draft.value("PLACE", self.dir.unwrap_or_default())?;
        draft.value("SPAN", &SPAN.as_secs().to_string())?;
        draft.value("LANES", &LANES.to_string())?;
        draft.value("JOBS", &self.jobs.len().to_string())?;
        let programs: Vec<String> = self.programs().into_iter().collect();
        draft.words("programs", &programs)?;
        for (job, errands) in self.jobs.iter().enumerate() {
            let lines = errands.iter().enumerate();
            let lines: Vec<_> = lines
                .map(|(number, errand)| self.line(&key(job, number), errand))
                .collect();
            draft.function(&format!("job_{}", job + 1), &lines)?;
        }
        Ok(draft.finish(Kit::Process, &[include_str!("errands.sh")], Stdin::Closed))
    }

    fn line(&self, key: &str, errand: &Errand<'_>) -> Vec<String> {
        let (name, rest) = match errand {
            Errand::Run(command) => ("step", words(self.r#become, command, Privileged::Yes)),
            Errand::MarkLook(file) => ("mark_look", vec![(*file).to_owned()]),
            Errand::MarkPut(file) => ("mark_put", vec![(*file).to_owned()]),
            Errand::MarkTake(file) => ("mark_take", vec![(*file).to_owned()]),
        };
        let mut line = vec![name.to_owned(), key.to_owned()];
        line.extend(rest);
        line
    }

    /// Programs to look for. Where root runs them, root may see what this user does not.
    fn programs(&self) -> BTreeSet<String> {
        let looks = matches!(self.r#become, Become::None | Become::SudoAll);
        let program = |command: &Command| match command {
            Command::Argv(argv) => argv.first().cloned(),
            Command::Shell(_) => None,
        };
        let later = self.later.iter().filter(|_| looks);
        later.filter_map(|command| program(command)).collect()
    }

    /// What came of errand `number` of job `job`, both from 0.
    ///
    /// # Errors
    /// A text that says what is missing or odd.
    pub fn came(answer: &Answer, job: usize, number: usize) -> Result<Came, String> {
        let key = key(job, number);
        let code = answer.need(&format!("code.{key}"))?;
        let code = match code {
            "late" => None,
            code => Some(
                code.parse()
                    .map_err(|error| format!("its exit code is no number (`{code}`): {error}"))?,
            ),
        };
        let text = |name: &str| {
            let name = format!("{name}.{key}");
            answer.all(&name).collect::<Vec<_>>().join("\n")
        };
        let complaint = text("err");
        Ok(Came {
            code,
            out: text("out").trim_end().to_owned(),
            complaint: complaint
                .trim()
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            closed: answer.get(&format!("closed.{key}")).map(str::to_owned),
        })
    }

    /// Programs of [`Self::later`] that are not there.
    pub fn missing(answer: &Answer) -> Vec<&str> {
        answer.all("missing").collect()
    }
}

fn key(job: usize, number: usize) -> String {
    format!("{job}.{number}")
}
