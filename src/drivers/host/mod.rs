//! Everything that rollgate does on a host, as one trait. The engine knows nothing else of a host.

mod container;
mod shell;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

pub use container::{Containers, Pulling};

use crate::drivers::transport::{Transport, TransportError};
use crate::model::{
    Artifact, Command, HostFacts, LockOwner, LockToken, Overlay, Record, ReleaseRef, Revision,
    RevisionLine, Rights, RolloutId, RolloutLine, Run, Sha256,
};

/// The driver for a host with a POSIX shell.
///
/// `root` is the folder of releases there, absolute: with another one every call answers [`HostError::Failed`] and nothing is sent.
/// `rollout` and `token` name this process: the lock that [`HostDriver::inspect`] takes, and the fence of every other call.
pub fn open(
    transport: Arc<dyn Transport>,
    root: &str,
    rollout: RolloutId,
    token: LockToken,
) -> Arc<dyn HostDriver> {
    Arc::new(shell::ShellHost::new(transport, root, rollout, token))
}

/// The driver for a host whose releases are containers; the rest as [`open`].
pub fn open_containers(
    transport: Arc<dyn Transport>,
    root: &str,
    (rollout, token): (RolloutId, LockToken),
    containers: Containers,
) -> Arc<dyn HostDriver> {
    let shell = shell::ShellHost::new(transport, root, rollout, token);
    Arc::new(container::ContainerHost::new(shell, containers))
}

/// What an inspection does about the lock, in the same round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockWish {
    /// Only looks.
    Look,
    /// Takes it if it is free.
    Take(Box<LockOwner>),
    /// Takes it from the owner file that was seen (`owner.<id>.<token>`), first ending or waiting out that owner's script on the host.
    TakeOver {
        /// Who takes it.
        owner: Box<LockOwner>,
        /// The owner file's name as seen; empty when the lock had none.
        seen: String,
    },
}

/// What is staged on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageOrder {
    /// Where it goes.
    pub release: ReleaseRef,
    /// What it is.
    pub artifact: Artifact,
    /// Folders of releases there that may hold the same artifact already, best first: reused by copy after their sha256 was checked.
    pub candidates: Vec<String>,
    /// Whether the look under this lock saw nothing in its place: then it is sent without asking again, which saves a round trip. What
    /// is there all the same is still never overwritten.
    pub is_absent: bool,
    /// What else lies in the release; `None` where nobody knows it any more, as of an old revision: then it cannot be made anew.
    pub overlay: Option<Overlay>,
}

/// How staging went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Staged {
    /// Bytes sent; 0 when the artifact was there.
    pub sent_bytes: u64,
}

/// What a host is switched to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapTo {
    /// `current` points to this release, and the service runs it.
    Release(ReleaseRef),
    /// Nothing: the service is stopped and `current` removed, since there was nothing before.
    Nothing,
}

/// One swap, forward or back. Converges: run twice, it does no harm.
#[derive(Debug, Clone)]
pub struct SwapOrder {
    /// To what.
    pub to: SwapTo,
    /// The `[run]` table of what runs now, for its stop command; `None` when nothing of ours runs.
    pub leaving: Option<Run>,
    /// The `[run]` table of what is to run. For [`SwapTo::Nothing`]: of what is stopped.
    pub entering: Run,
    /// The record that must be on the host's disk before the first act.
    pub record: Record,
    /// Digest of the artifact that must lie there, checked before the link moves; `None` for what was found.
    pub expect: Option<(String, Sha256)>,
}

/// How a swap went, when its exit status is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swapped {
    /// A stop command that failed (the service may have been dead already), in words.
    pub stop_complaint: Option<String>,
}

/// What becomes of the record of a rollout when a run ends on a host.
#[derive(Debug, Clone, Default)]
pub enum RecordEnd {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is removed: nothing is left to be done there.
    Remove,
    /// This one takes its place: a stranded host's, or one to be resumed.
    Put(Box<Record>),
}

/// What is left on a host when a rollout ends there.
#[derive(Debug, Clone, Default)]
pub struct FinishOrder {
    /// `revisions.jsonl`, whole; `None`: unchanged.
    pub revisions: Option<Vec<RevisionLine>>,
    /// The line to append to `rollouts.jsonl`; `None`: none.
    pub rollout: Option<RolloutLine>,
    /// What becomes of `rollout.json`.
    pub record: RecordEnd,
    /// Folders under `releases/` to remove: names, never paths.
    pub prune: Vec<String>,
    /// Whether the lock is released.
    pub release_lock: bool,
}

/// A command that finished on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; 124 when its limit passed.
    pub code: i32,
    /// The last lines of what it printed, standard error included.
    pub output: Vec<String>,
}

/// Why something on a host did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The connection, or what it runs.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The lock no longer holds this process's id: nothing was done.
    #[error("the lock on this host is no longer ours{}", .holder.as_ref().map(|h| format!("; it is held by {h}")).unwrap_or_default())]
    Fenced {
        /// Who holds it now, if somebody does.
        holder: Option<String>,
    },
    /// A step ended with a failure that is known.
    #[error("{what}")]
    Failed {
        /// What failed, in words.
        what: String,
        /// What the command printed, last lines.
        output: Vec<String>,
    },
    /// The host's answer could not be understood.
    #[error("the host's answer to \"{purpose}\" could not be understood: {reason}")]
    Garbled {
        /// Of the call.
        purpose: &'static str,
        /// In words.
        reason: String,
    },
}

impl HostError {
    /// Whether the act may have happened, wholly or in part.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Transport(error) => error.outcome_unknown(),
            Self::Garbled { .. } => true,
            Self::Fenced { .. } | Self::Failed { .. } => false,
        }
    }
}

/// One host. Every method that changes something checks the fence on the host, in the same script, before each act (R3); until
/// [`HostDriver::inspect`] has taken the lock, those methods answer [`HostError::Fenced`].
pub trait HostDriver: Send + Sync + fmt::Debug {
    /// One look, and the lock if wanted, in one round trip. [`HostFacts::lock`] tells whether it was got.
    fn inspect<'a>(&'a self, lock: &'a LockWish) -> BoxFuture<'a, Result<HostFacts, HostError>>;

    /// Confirms and renews the lock.
    fn confirm(&self) -> BoxFuture<'_, Result<(), HostError>>;

    /// Confirms the lock and puts `record` in the place of the last one, synced.
    fn write_record<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), HostError>>;

    /// Puts the artifact into its release folder, whole and checked, or leaves nothing.
    fn stage<'a>(&'a self, order: &'a StageOrder) -> BoxFuture<'a, Result<Staged, HostError>>;

    /// Looks whether the service can be restarted as `run` says, and the files of its unit be changed, before anything is, and what is
    /// run with privilege. Changes nothing; needs no lock.
    fn prepare<'a>(
        &'a self,
        run: &'a Run,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Rights, HostError>>;

    /// Switches and restarts, in one round trip.
    fn swap<'a>(&'a self, order: &'a SwapOrder) -> BoxFuture<'a, Result<Swapped, HostError>>;

    /// Runs a hook in the release's folder.
    fn run_hook<'a>(
        &'a self,
        dir: &'a str,
        command: &'a Command,
        env: &'a [(String, String)],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Ran, HostError>>;

    /// The service's last log lines, as many as can be had; empty when there is no way to get them.
    fn logs<'a>(
        &'a self,
        run: &'a Run,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, HostError>>;

    /// Writes what outlives the rollout, prunes, and releases the lock, in one round trip.
    fn finish<'a>(&'a self, order: &'a FinishOrder) -> BoxFuture<'a, Result<(), HostError>>;

    /// Copies a file of the host to a new file here, as it is, and tells how many bytes it has. Only looks; needs no lock.
    fn fetch<'a>(&'a self, file: &'a str, into: &'a Path) -> BoxFuture<'a, Result<u64, HostError>>;

    /// Breaks the lock whose owner file was seen (empty: one without an owner file), whoever holds it.
    fn break_lock<'a>(&'a self, seen: &'a str) -> BoxFuture<'a, Result<(), HostError>>;
}
