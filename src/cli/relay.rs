//! An artifact that is no longer here comes from a host that has it.

use std::path::Path;

use tempfile::TempDir;

use super::artifact::sha256_of;
use super::wiring::Wired;
use crate::config::Loaded;
use crate::model::{HostName, ReleaseKind, Revision, Sha256, Version};
use crate::plan::history::HistoryRevision;
use crate::plan::release;

/// Fetches the artifact of `revision` from the first of `holders` that gives it whole; `None` when none does. The folder goes when it is
/// dropped.
pub(super) async fn fetch(
    wired: &Wired,
    loaded: &Loaded,
    (revision, version, sha256): (Revision, &Version, &Sha256),
    holders: &[HostName],
) -> Option<TempDir> {
    if loaded.kind != ReleaseKind::Binary {
        return None;
    }
    let dir = tempfile::Builder::new()
        .prefix("rollgate-")
        .tempdir()
        .ok()?;
    let into = dir.path().join(&loaded.artifact_name);
    for name in holders {
        let spec = loaded.fleet.iter().find(|spec| spec.name == *name);
        let (Some(spec), Some(ports)) = (spec, wired.world.hosts.get(name)) else {
            continue;
        };
        let folder = release::release_ref(&spec.root, revision, version).dir;
        let file = format!("{folder}/{}", loaded.artifact_name);
        match ports.driver.fetch(&file, &into).await {
            Ok(_) if is_whole(&into, sha256) => return Some(dir),
            Ok(_) => tracing::warn!("host `{name}` has another file as {file}"),
            Err(error) => tracing::warn!("host `{name}`: {error}"),
        }
    }
    None
}

fn is_whole(file: &Path, sha256: &Sha256) -> bool {
    sha256_of(file).is_ok_and(|found| found == sha256.as_str())
}

/// Hosts of the fleet that lack the revision's files.
pub(super) fn lacking(loaded: &Loaded, revision: &HistoryRevision) -> bool {
    let chosen = loaded.fleet.iter();
    let mut chosen = chosen.filter(|spec| loaded.selected.contains(&spec.name));
    chosen.any(|spec| !revision.staged.contains(&spec.name))
}
