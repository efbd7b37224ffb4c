//! Logs, and what is removed when a rollout ends.

use std::sync::Arc;
use std::time::Duration;

use super::super::draft::{Kit, Stdin};
use super::super::finish::{self, Finish};
use super::super::{Draft, ScriptError, Site};
use super::{Berth, CONTAINERS};

/// How long a host may take to print its last log lines.
pub const LOGS_LIMIT: Duration = Duration::from_secs(40);

/// How the container in service stands, and its last log lines.
#[derive(Debug, Clone, Copy)]
pub struct ContainerLogs<'a> {
    /// Where.
    pub berth: &'a Berth,
    /// How many lines are wanted.
    pub lines: usize,
}

impl ContainerLogs<'_> {
    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        self.berth.fill(&mut draft, site, "", ("", ""))?;
        draft.value("LINES_WANTED", &self.lines.to_string())?;
        let body = [CONTAINERS, include_str!("logs.sh")];
        Ok(draft.finish(Kit::Base, &body, Stdin::Closed))
    }
}

/// The end of a rollout on a host with containers.
#[derive(Debug, Clone, Copy)]
pub struct ContainerFinish<'a> {
    /// What ends; what it prunes are containers and their images.
    pub finish: Finish<'a>,
    /// Where.
    pub berth: &'a Berth,
}

impl ContainerFinish<'_> {
    /// The script.
    ///
    /// # Errors
    /// As [`Finish::script`].
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = self.finish.draft(site)?;
        self.berth.fill(&mut draft, site, "", ("", ""))?;
        let body = [finish::SCRIPT, CONTAINERS, include_str!("prune.sh")];
        Ok(draft.finish(Kit::Command, &body, Stdin::Closed))
    }
}
