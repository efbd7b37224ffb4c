//! What a command adds to what the files say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::args::Subject;
use super::image::Image;
use crate::model::{Revision, RolloutId, Sha256};
use crate::plan::{Resumes, Wishes};

/// What a command adds to the configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    /// Its name in records.
    pub(super) command: String,
    /// For the whole rollout, instead of `strategy.deadline`.
    pub(super) timeout: Option<Duration>,
    /// For how long to queue behind another run's lock.
    pub(super) lock_wait: Duration,
    /// Whether pauses are approved in advance.
    pub(super) approved: bool,
    /// Also when a pool is left without a usable server.
    pub(super) allow_downtime: bool,
    /// The command line's wishes.
    pub(super) wishes: Wishes,
    /// Options that a resume must keep.
    pub(super) options: BTreeMap<String, String>,
    /// The revision that the fleet is taken back to.
    pub(super) undo: Option<Revision>,
    /// A person's words, for a lock by hand.
    pub(super) message: Option<String>,
    /// What the artifact is.
    pub(super) bits: Bits,
    /// Whether containers that rollgate did not start are taken over.
    pub(super) adopt: bool,
    /// The rollout that is gone on with, and what this process of it is.
    pub(super) takes_up: Option<TakesUp>,
}

/// Where an artifact's digest comes from.
#[derive(Debug, Clone, Default)]
pub(super) enum Bits {
    /// The command rolls nothing.
    #[default]
    None,
    /// The source is read.
    Read,
    /// Hosts have it already; a source that is there must be the same.
    Known {
        /// Its digest.
        sha256: Sha256,
        /// Where it came from, for the history.
        from: String,
    },
    /// An old revision's: the source is it only where its digest is that; what was found has none.
    Old {
        /// Its digest.
        sha256: Option<Sha256>,
        /// Where it came from, for the history.
        from: String,
    },
    /// The same, fetched from a host.
    Fetched {
        /// Where it lies here.
        file: PathBuf,
        /// Where it came from at first, for the history.
        from: String,
    },
    /// A container's image, found and made ready.
    Image(Arc<Image>),
    /// The command goes back from the artifact of that digest, and sends nothing.
    Untouched(Sha256),
}

/// A process of a rollout that is gone on with.
#[derive(Debug, Clone)]
pub(super) struct TakesUp {
    /// The rollout's id from now on.
    pub(super) rollout: RolloutId,
    /// Which process of it.
    pub(super) attempt: u32,
    /// What is gone on with.
    pub(super) resumes: Resumes,
}

impl Ask {
    /// Of a command that has a release for its subject.
    pub(super) fn of(subject: &Subject) -> Self {
        Self {
            command: "deploy".to_owned(),
            allow_downtime: subject.allow_downtime,
            wishes: Wishes {
                force: subject.force,
                again: subject.again,
                replace_artifact: subject.replace_artifact,
                take_over: subject.take_over,
            },
            options: kept_options(subject),
            bits: Bits::Read,
            adopt: subject.adopt,
            ..Self::default()
        }
    }
}

/// Options of the command line that a resume must keep.
fn kept_options(subject: &Subject) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let flags = [
        ("force", subject.force),
        ("again", subject.again),
        ("replace-artifact", subject.replace_artifact),
        ("allow-downtime", subject.allow_downtime),
        ("adopt", subject.adopt),
    ];
    for (name, given) in flags {
        if given {
            kept.insert(name.to_owned(), "true".to_owned());
        }
    }
    if let Some(limit) = &subject.limit {
        kept.insert("limit".to_owned(), limit.clone());
    }
    for (key, value) in &subject.vars {
        kept.insert(format!("var.{key}"), value.clone());
    }
    kept
}
