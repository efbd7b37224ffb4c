//! One container stops, another one starts, in one round trip.

use std::sync::Arc;
use std::time::Duration;

use super::super::draft::{Kit, Stdin, folder_name};
use super::super::swap::seconds;
use super::super::{Draft, ScriptError, Site, record};
use super::{Berth, CONTAINERS, found_id};
use crate::model::{Record, ReleaseRef};

/// What a stop gets besides its own time, after which the engine kills what did not end.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// For starting, renaming and writing.
const AROUND: Duration = Duration::from_secs(420);

/// One swap.
#[derive(Debug, Clone, Copy)]
pub struct ContainerSwap<'a> {
    /// The release that is to run; `None`: nothing is to run any more.
    pub to: Option<&'a ReleaseRef>,
    /// For a container to stop.
    pub stop_timeout: Duration,
    /// Written before the first act.
    pub record: &'a Record,
    /// Where.
    pub berth: &'a Berth,
}

impl ContainerSwap<'_> {
    /// How long the whole may take.
    pub fn limit(&self) -> Duration {
        2 * (self.stop_timeout + STOP_GRACE) + AROUND
    }

    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a name or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        let dir = self.to.map_or("", |release| release.dir.as_str());
        let found = found_id(dir).unwrap_or_default();
        let before = self.record.before.as_ref();
        let before = before.and_then(|before| found_id(&before.dir));
        self.berth
            .fill(&mut draft, site, "", (found, before.unwrap_or_default()))?;
        let release = match self.to {
            Some(_) if found.is_empty() => folder_name(dir.rsplit('/').next().unwrap_or_default())?,
            Some(_) | None => "",
        };
        draft.value("RELEASE", release)?;
        draft.value("STOP_SECONDS", &seconds(self.stop_timeout))?;
        draft.value("STOP_LIMIT", &seconds(self.stop_timeout + STOP_GRACE))?;
        draft.value("RECORD", &record::write("the record", self.record)?)?;
        draft.value("KEEP_LINES", "40")?;
        let body = [CONTAINERS, include_str!("swap.sh")];
        Ok(draft.finish(Kit::Command, &body, Stdin::Closed))
    }
}
