//! Which release each host runs, and which number the new one gets (F3, F4).

use std::collections::BTreeMap;

use super::{Facts, HostView};
use crate::model::{
    Current, HostFacts, ReleaseRef, Revision, RevisionLine, RevisionOutcome, RolloutId, Version,
};

/// The name of a release's folder under `releases/`.
pub fn folder(revision: Revision, version: &Version) -> String {
    format!("{revision}-{version}")
}

/// The release with that number and version on a host whose root is `root`.
pub fn release_ref(root: &str, revision: Revision, version: &Version) -> ReleaseRef {
    ReleaseRef {
        revision,
        version: Some(version.clone()),
        dir: format!("{root}/releases/{}", folder(revision, version)),
    }
}

/// The release with that number that a host has already: of what was found, where it lies.
pub fn known_ref(
    root: &str,
    facts: &HostFacts,
    revision: Revision,
    version: &Version,
) -> ReleaseRef {
    let found = line(facts, revision).filter(|_| revision == Revision::FOUND);
    match found {
        Some(line) => ReleaseRef {
            revision,
            version: Some(version.clone()),
            dir: line.dir.clone(),
        },
        None => release_ref(root, revision, version),
    }
}

/// What `current` points to on a host, in the fleet's numbers; `None` where nothing is there or it is no link.
pub fn running(root: &str, facts: &HostFacts) -> Option<ReleaseRef> {
    let Current::Link(dir) = &facts.current else {
        return None;
    };
    let ours = dir
        .strip_prefix(root)
        .and_then(|rest| rest.strip_prefix("/releases/"))
        .filter(|folder| is_ours(facts, folder))
        .and_then(parse_folder);
    let (revision, version) = match ours {
        Some((revision, version)) => (revision, Some(version)),
        None => (
            Revision::FOUND,
            line(facts, Revision::FOUND).and_then(|line| line.version.clone()),
        ),
    };
    Some(ReleaseRef {
        revision,
        version,
        dir: dir.clone(),
    })
}

/// Whether rollgate staged that folder. A name alone says little: `2024-01-05` may be somebody's date.
pub fn is_ours(facts: &HostFacts, folder: &str) -> bool {
    let named = |line: &RevisionLine| line.revision > Revision::FOUND && line.dir == folder;
    facts.revisions.iter().any(named)
}

fn parse_folder(name: &str) -> Option<(Revision, Version)> {
    let (number, version) = name.split_once('-')?;
    let number = number.parse::<u64>().ok().filter(|number| *number > 0)?;
    Some((Revision(number), Version::new(version).ok()?))
}

fn line(facts: &HostFacts, revision: Revision) -> Option<&RevisionLine> {
    facts
        .revisions
        .iter()
        .rev()
        .find(|line| line.revision == revision)
}

/// Whether the host runs the target: version, artifact and config all equal (F3).
pub fn is_on_target(facts: &Facts, host: &HostView) -> bool {
    let Ok(seen) = &host.facts else { return false };
    if let Some(revision) = facts.undo {
        return running(&host.spec.root, seen).is_some_and(|current| current.revision == revision);
    }
    running(&host.spec.root, seen)
        .and_then(|current| line(seen, current.revision))
        .is_some_and(|line| is_same(facts, host, line))
}

fn is_same(facts: &Facts, host: &HostView, line: &RevisionLine) -> bool {
    line.version.as_ref() == Some(&facts.version)
        && line.sha256.as_ref() == Some(&facts.sha256)
        && line.config.as_ref() == Some(&host.config)
}

fn lines(facts: &Facts) -> impl Iterator<Item = (&HostView, &RevisionLine)> {
    facts.hosts.iter().flat_map(|host| {
        host.facts
            .iter()
            .flat_map(move |seen| seen.revisions.iter().map(move |line| (host, line)))
    })
}

/// The number for the target: one that the fleet already gave to exactly this release, where no host holds that number with other
/// digests; else one more than the highest found anywhere.
pub fn number(facts: &Facts) -> Revision {
    if let Some(revision) = facts.undo {
        return revision;
    }
    let mut fits: BTreeMap<Revision, bool> = BTreeMap::new();
    let mut highest = Revision::FOUND;
    for (host, line) in lines(facts) {
        highest = highest.max(line.revision);
        if line.revision > Revision::FOUND {
            let same = is_same(facts, host, line);
            fits.entry(line.revision)
                .and_modify(|fit| *fit &= same)
                .or_insert(same);
        }
    }
    fits.iter()
        .rev()
        .find(|(_, fit)| **fit)
        .map_or_else(|| highest.next(), |(revision, _)| *revision)
}

/// Digests other than the target's under which the fleet already runs, or ran, this version.
pub fn other_artifacts(facts: &Facts) -> Vec<(Revision, String)> {
    let mut found: Vec<(Revision, String)> = lines(facts)
        .filter(|(_, line)| {
            line.version.as_ref() == Some(&facts.version) && line.outcome != RevisionOutcome::Staged
        })
        .filter_map(|(_, line)| Some((line.revision, line.sha256.clone()?)))
        .filter(|(_, sha256)| *sha256 != facts.sha256)
        .map(|(revision, sha256)| (revision, sha256.to_string()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The rollout that took this very release back, if its latest one did (F4): a cron job never puts back what was taken away.
pub fn taken_back(facts: &Facts) -> Option<(&HostView, &RevisionLine)> {
    let this = |line: &RevisionLine| {
        line.version.as_ref() == Some(&facts.version) && line.sha256.as_ref() == Some(&facts.sha256)
    };
    let ran = |line: &RevisionLine| line.outcome != RevisionOutcome::Staged;
    let latest: Option<&RolloutId> = lines(facts)
        .filter(|(_, line)| this(line) && ran(line))
        .filter_map(|(_, line)| line.rollout.as_ref())
        .max();
    let latest = latest?;
    lines(facts).find(|(host, line)| {
        this(line)
            && line.config.as_ref() == Some(&host.config)
            && line.rollout.as_ref() == Some(latest)
            && matches!(
                line.outcome,
                RevisionOutcome::Reverted | RevisionOutcome::Undone
            )
    })
}
