//! Puts the release on every host ahead of the first drain: what fails here has cost nothing.

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::context::{Context, Stopwatch};
use crate::drivers::host::{HostError, StageOrder, Staged};
use crate::event::EventKind;
use crate::model::release::NO_CONFIG;
use crate::model::{Failure, HostName, Overlay, RecordStep, Revision};
use crate::plan::Start;

/// Hosts that are staged at once. How many of them are sent to at a time is bounded more closely by the transport; the others check,
/// copy, hash or flush meanwhile.
const STAGED_AT_ONCE: usize = 64;

/// Writes every host's record and stages the release there. Returns the hosts that failed.
pub(super) async fn stage_all(context: &Arc<Context>) -> Vec<(HostName, Failure)> {
    let names: Vec<HostName> = context
        .hosts
        .iter()
        .filter(|(_, host)| host.planned.start == Start::First)
        .map(|(name, _)| name.clone())
        .collect();
    let results: Vec<(HostName, Result<(), Failure>)> = stream::iter(names)
        .map(|name| {
            let context = Arc::clone(context);
            async move {
                let result = stage(&context, &name).await;
                (name, result)
            }
        })
        .buffer_unordered(STAGED_AT_ONCE)
        .collect()
        .await;
    results
        .into_iter()
        .filter_map(|(name, result)| result.err().map(|failure| (name, failure)))
        .collect()
}

async fn stage(context: &Context, name: &HostName) -> Result<(), Failure> {
    let (Some(host), Some(ports)) = (context.host(name), context.ports(name)) else {
        return Ok(());
    };
    let watch = Stopwatch::start();
    // What an earlier attempt had begun there must not be forgotten.
    let earlier = context.job.earlier_record(&host.facts);
    let step = earlier.map_or(RecordStep::Planned, |record| record.step);
    let record = context.record(host, step);
    let order = StageOrder {
        release: host.release.clone(),
        artifact: context.job.artifact.clone(),
        candidates: candidates(context, name),
        overlay: overlay(context, name)?,
        is_absent: !host
            .facts
            .releases
            .iter()
            .any(|folder| host.release.dir.ends_with(&format!("/{folder}"))),
    };
    let run = context.run_forward(name, host)?;
    let sent = context.leases.now();
    let result = async {
        ports.driver.write_record(&record).await?;
        let rights = ports.driver.prepare(&run, host.release.revision).await?;
        if let Some((what, mend)) = rights.complaint() {
            return Err(HostError::Failed {
                what: format!("{what}: {mend}"),
                output: Vec::new(),
            });
        }
        if host.release.revision == Revision::FOUND {
            // It lies where it was found.
            return Ok(Staged::default());
        }
        ports.driver.stage(&order).await
    }
    .await;
    context.leases.learn(name, sent, &result);
    let staged = result.map_err(|error| failure(&error))?;
    let seconds = host.spent("stage", watch.elapsed());
    context
        .say(EventKind::HostStaged {
            host: name.clone(),
            revision: context.revision(),
            sent_bytes: staged.sent_bytes,
            seconds,
        })
        .await;
    Ok(())
}

/// What else lies in the release. Of an old revision nobody knows it but the host, unless there was nothing.
fn overlay(context: &Context, name: &HostName) -> Result<Option<Overlay>, Failure> {
    let Some(host) = context.host(name) else {
        return Ok(None);
    };
    if context.job.undo.is_some() {
        let nothing = host.target.config.as_str() == NO_CONFIG;
        return Ok(nothing.then(Overlay::default));
    }
    let overlay = context.world.recipes.overlay(name, &host.release);
    overlay.map(Some).map_err(Failure::new)
}

fn failure(error: &HostError) -> Failure {
    let mut failure = Failure::caused("the release could not be staged", error);
    if let HostError::Failed { output, .. } = error {
        failure.causes.extend(output.iter().cloned());
    }
    failure
}

/// Folders on the host whose artifact has the same digest, newest first.
fn candidates(context: &Context, name: &HostName) -> Vec<String> {
    let Some(host) = context.host(name) else {
        return Vec::new();
    };
    let same = |line: &&crate::model::RevisionLine| {
        line.revision > Revision::FOUND
            && line.sha256.as_ref() == Some(&context.job.artifact.sha256)
    };
    let folder =
        |line: &crate::model::RevisionLine| format!("{}/releases/{}", host.spec.root, line.dir);
    host.facts
        .revisions
        .iter()
        .rev()
        .filter(same)
        .map(folder)
        .filter(|dir| *dir != host.release.dir)
        .collect()
}
