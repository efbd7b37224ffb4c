//! `rollgate plan --diff`: what changes in the files of each host. Secrets are masked; only looks.

use super::wiring::Wired;
use crate::drivers::host::HostDriver;
use crate::engine::Look;
use crate::model::{Overlay, ReleaseFile, ReleaseRef, redact};
use crate::plan::diff::{cautious, unified};
use crate::plan::document::{FileChange, PlanAction, PlanDocument};
use crate::plan::release;

/// Adds the changes to every host that would be updated.
///
/// # Errors
/// A template that cannot be rendered.
pub(super) async fn add(
    wired: &Wired,
    look: &Look,
    document: &mut PlanDocument,
) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a folder: {error}"))?;
    let updated = document.hosts.iter_mut();
    for host in updated.filter(|host| host.action == PlanAction::Update) {
        let view = look
            .facts
            .hosts
            .iter()
            .find(|view| view.spec.name == host.host);
        let (Some(view), Some(ports)) = (view, wired.world.hosts.get(&host.host)) else {
            continue;
        };
        let root = &view.spec.root;
        let to = release::release_ref(root, look.plan.revision, &wired.job.version);
        let recipes = &wired.world.recipes;
        let texts = (
            recipes.overlay(&host.host, &to)?,
            recipes.masked_overlay(&host.host, &to)?,
        );
        let current = view
            .facts
            .as_ref()
            .ok()
            .and_then(|facts| release::running(root, facts));
        let into = folder.path().join("file");
        host.files = changes(&*ports.driver, current.as_ref(), texts, &into).await;
    }
    Ok(())
}

async fn changes(
    driver: &dyn HostDriver,
    current: Option<&ReleaseRef>,
    (real, shown): (Overlay, Overlay),
    into: &std::path::Path,
) -> Vec<FileChange> {
    let mut changes = Vec::new();
    for (real, shown) in real.files.iter().zip(&shown.files) {
        let old = match current {
            Some(current) => fetched(driver, &format!("{}/{}", current.dir, real.path), into).await,
            None => None,
        };
        if old.as_deref() != Some(real.text.expose()) {
            changes.push(FileChange {
                path: real.path.clone(),
                diff: difference(old.as_deref(), shown),
            });
        }
    }
    changes
}

/// The text that lies there; `None` where there is none, or it cannot be read.
async fn fetched(driver: &dyn HostDriver, file: &str, into: &std::path::Path) -> Option<String> {
    let done = driver.fetch(file, into).await;
    let text = done
        .ok()
        .and_then(|_size| std::fs::read_to_string(into).ok());
    // It may hold secrets.
    drop(std::fs::remove_file(into));
    text
}

fn difference(old: Option<&str>, shown: &ReleaseFile) -> String {
    let new = shown.text.expose();
    let old = redact(old.unwrap_or_default());
    let old = if shown.secret {
        cautious(&old, new)
    } else {
        old.into_owned()
    };
    let diff = unified(&old, new, &shown.path);
    if diff.is_empty() {
        return format!(
            "--- {0}\n+++ {0}\nonly a secret in it changes\n",
            shown.path
        );
    }
    diff
}
