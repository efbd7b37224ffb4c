//! Which revision `undo` goes to (F4). Pure.

use super::history::{HistoryDocument, HistoryRevision};
use crate::model::{HostName, Revision, Sha256, Version};

/// What a fleet is taken back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoTo {
    /// Its number.
    pub revision: Revision,
    /// Its version, where known.
    pub version: Option<Version>,
    /// Digest of its artifact; `None` for what was found.
    pub sha256: Option<Sha256>,
    /// Where its artifact came from.
    pub from: String,
}

/// Chooses the revision: the one that was asked for, or the newest one older than what the fleet runs now (the highest number that a host
/// runs) that once ended a rollout well, or was found, and is another release.
///
/// # Errors
/// Why there is none, with those that there are.
pub fn choose(history: &HistoryDocument, asked: Option<Revision>) -> Result<UndoTo, String> {
    match asked {
        Some(revision) => that(history, revision),
        None => newest_before(history),
    }
}

fn that(history: &HistoryDocument, revision: Revision) -> Result<UndoTo, String> {
    let known = history.revisions.iter();
    let Some(found) = known.into_iter().find(|known| known.revision == revision) else {
        return Err(format!(
            "no host knows revision {revision}; {}",
            others(history)
        ));
    };
    if found.ambiguous {
        return Err(format!(
            "revision {revision} is not the same release on all hosts ({}), so it is never used again; {}",
            both(found),
            others(history)
        ));
    }
    Ok(to(found))
}

fn newest_before(history: &HistoryDocument) -> Result<UndoTo, String> {
    let Some(now) = history.revisions.iter().find(|known| known.current) else {
        return Err(
            "no host runs a revision that rollgate knows: there is nothing to undo".to_owned(),
        );
    };
    let was_good = |known: &&HistoryRevision| {
        let differs = known.version != now.version
            || known.sha256 != now.sha256
            || known.configs != now.configs;
        known.revision < now.revision && known.good && differs && !known.ambiguous
    };
    history
        .revisions
        .iter()
        .find(was_good)
        .map(to)
        .ok_or_else(|| {
            format!(
                "there is no earlier release than revision {} that ended a rollout well; {}",
                now.revision,
                others(history)
            )
        })
}

fn to(found: &HistoryRevision) -> UndoTo {
    UndoTo {
        revision: found.revision,
        version: found.version.clone(),
        sha256: found.sha256.clone(),
        from: found.from.clone(),
    }
}

fn both(found: &HistoryRevision) -> String {
    let hosts: Vec<&str> = found.hosts.iter().map(HostName::as_str).collect();
    hosts.join(", ")
}

/// The revisions that can be gone to.
fn others(history: &HistoryDocument) -> String {
    let there = history.revisions.iter();
    let there = there.filter(|known| !known.staged.is_empty() && !known.ambiguous);
    let names: Vec<String> = there
        .map(|known| {
            let version = known.version.as_ref();
            format!(
                "{} ({})",
                known.revision,
                version.map_or("found", Version::as_str)
            )
        })
        .collect();
    if names.is_empty() {
        "no revision lies on any host".to_owned()
    } else {
        format!("those that lie on hosts: {}", names.join(", "))
    }
}
