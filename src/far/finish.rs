//! What outlives a step or a rollout on its host: the record, the history, the end of the lock.

use std::sync::Arc;

use super::draft::{Kit, Stdin, folder_name};
use super::{Draft, ScriptError, Site, record};
use crate::model::{Record, RevisionLine, RolloutLine};

/// What the end does.
pub(super) const SCRIPT: &str = include_str!("finish.sh");

/// How many ended rollouts a host keeps besides the newest.
const ROLLOUTS_BEFORE: &str = "99";

/// Puts a record in the place of the last one.
#[derive(Debug, Clone, Copy)]
pub struct WriteRecord<'a> {
    /// The record.
    pub record: &'a Record,
}

impl WriteRecord<'_> {
    /// The script, which also renews the lock.
    ///
    /// # Errors
    /// [`ScriptError`] for a root or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        draft.value("RECORD", &record::write("the record", self.record)?)?;
        Ok(draft.finish(Kit::Act, &[include_str!("record.sh")], Stdin::Closed))
    }
}

/// What becomes of the record when a run ends.
#[derive(Debug, Clone, Copy)]
pub enum RecordFate<'a> {
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
    /// This one takes its place.
    Put(&'a Record),
}

/// The end of a rollout on one host.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// `revisions.jsonl`, whole; `None`: unchanged. An empty list changes nothing either: a history is never emptied.
    pub revisions: Option<&'a [RevisionLine]>,
    /// Added to `rollouts.jsonl`.
    pub rollout: Option<&'a RolloutLine>,
    /// What becomes of the record.
    pub record: RecordFate<'a>,
    /// Names of folders under `releases/` to remove; the one that runs is left, named or not.
    pub prune: &'a [String],
    /// Whether the lock is released.
    pub release_lock: bool,
}

impl Finish<'_> {
    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a name or a text that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        Ok(self.draft(site)?.finish(Kit::Act, &[SCRIPT], Stdin::Closed))
    }

    /// The variables of the script.
    pub(super) fn draft(&self, site: &Site) -> Result<Draft, ScriptError> {
        let mut draft = Draft::new(site)?;
        let revisions = record::write_revisions(self.revisions.unwrap_or_default())?;
        draft.value("REVISIONS", &revisions)?;
        let rollout = match self.rollout {
            Some(line) => record::write("the rollout's end", line)?,
            None => String::new(),
        };
        draft.value("ROLLOUT", &rollout)?;
        let (fate, text) = match self.record {
            RecordFate::Keep => ("keep", String::new()),
            RecordFate::Remove => ("remove", String::new()),
            RecordFate::Put(left) => ("put", record::write("the record", left)?),
        };
        draft.value("FATE", fate)?;
        draft.value("RECORD", &text)?;
        draft.value("KEEP", ROLLOUTS_BEFORE)?;
        draft.value("RELEASE", if self.release_lock { "yes" } else { "" })?;
        for name in self.prune {
            folder_name(name)?;
        }
        draft.words("prune", self.prune)?;
        Ok(draft)
    }
}
