//! `rollgate undo`: an ordinary rollout to a revision that the hosts know.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::args::{Common, Undo};
use super::artifact::sha256_of;
use super::ask::{Ask, Bits};
use super::deploy::run_job;
use super::relay;
use super::show::show_look;
use super::terminal::Terminal;
use super::wiring::{self, Wired};
use crate::config::{Loaded, Request};
use crate::engine::{self, StopWish};
use crate::model::{ExitStatus, Pause, Revision, Version};
use crate::plan::Wishes;
use crate::plan::history::{HistoryRevision, history};
use crate::plan::undo::{UndoTo, choose};

/// Runs the command.
pub(super) async fn run(common: &Common, undo: &Undo, terminal: &Terminal) -> ExitStatus {
    let stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
    };
    let mut stopped = stop.clone();
    let found = tokio::select! {
        biased;
        _ = stopped.wait_for(|wish| *wish > StopWish::None) => return ExitStatus::Interrupted,
        found = find(common, undo, terminal) => found,
    };
    let found = match found {
        Ok(found) => found,
        Err(status) => return status,
    };
    if found.loaded.strategy.pause == Pause::Manual && !undo.approve && !Terminal::can_ask() {
        return terminal.nobody_to_ask();
    }
    let wired = match wiring::wire(&found.loaded, ask(undo, &found)) {
        Ok(wired) => wired,
        Err(no) => return terminal.refuse(ExitStatus::Refused, &no.reason, "nothing was touched"),
    };
    if undo.dry_run {
        return show_look(&wired, terminal).await;
    }
    run_job(&wired, terminal, stop).await
}

/// What a look at the hosts found.
struct Found {
    to: UndoTo,
    /// The files, rendered for that version.
    loaded: Loaded,
    /// Its artifact, where it had to be fetched from a host.
    fetched: Option<TempDir>,
}

/// Asks every host which revisions there are, and chooses.
async fn find(common: &Common, undo: &Undo, terminal: &Terminal) -> Result<Found, ExitStatus> {
    let loaded = terminal.load_service(common, &undo.service, undo.limit.as_ref())?;
    let wired = wiring::wire(&loaded, Ask::default())
        .map_err(|no| terminal.refuse(no.status, &no.reason, ""))?;
    let (facts, problems) = engine::observe(&wired.job, &wired.world).await;
    let document = history(&facts, problems);
    let found = match choose(&document, undo.to_revision.map(Revision)) {
        Ok(to) => load(common, undo, terminal, &to).map(|loaded| (to, loaded)),
        Err(reason) => {
            let hint = document.problems.join("\n");
            Err(terminal.refuse(ExitStatus::Refused, &reason, &hint))
        }
    };
    let found = match found {
        Ok((to, loaded)) => {
            let revision = document.revisions.iter();
            let mut revision = revision.filter(|known| known.revision == to.revision);
            let fetched = match revision.next() {
                Some(known) => relayed(&wired, &loaded, known).await,
                None => None,
            };
            Ok(Found {
                to,
                loaded,
                fetched,
            })
        }
        Err(status) => Err(status),
    };
    wired.close().await;
    found
}

/// Hosts that lack the revision get it from one that has it, where the playbook's source is not its artifact any more.
async fn relayed(wired: &Wired, loaded: &Loaded, known: &HistoryRevision) -> Option<TempDir> {
    let (version, sha256) = (known.version.as_ref()?, known.sha256.as_ref()?);
    let is_here = sha256_of(&loaded.source).is_ok_and(|here| here == sha256.as_str());
    // A container comes with its settings, which no file of a host holds.
    if loaded.image.is_some() || is_here || !relay::lacking(loaded, known) {
        return None;
    }
    let what = (known.revision, version, sha256);
    relay::fetch(wired, loaded, what, &known.staged).await
}

fn load(
    common: &Common,
    undo: &Undo,
    terminal: &Terminal,
    to: &UndoTo,
) -> Result<Loaded, ExitStatus> {
    let request = Request {
        playbook: undo.service.playbook.clone(),
        vars: undo.service.vars.clone(),
        limit: undo.limit.clone(),
        version: to.version.as_ref().map(Version::to_string),
        source_optional: true,
        without_files: true,
        ..Request::default()
    };
    let loaded = terminal.read(common, request)?;
    if to.version.is_none() && loaded.ready.version.is_some() {
        let reason = format!(
            "revision {} never told its version, so it could not prove itself",
            to.revision
        );
        let hint =
            "choose another one with `--to-revision`, or deploy that release under a version";
        return Err(terminal.refuse(ExitStatus::Refused, &reason, hint));
    }
    Ok(loaded)
}

fn ask(undo: &Undo, found: &Found) -> Ask {
    let to = &found.to;
    let mut options = BTreeMap::new();
    if undo.allow_downtime {
        options.insert("allow-downtime".to_owned(), "true".to_owned());
    }
    if let Some(limit) = &undo.limit {
        options.insert("limit".to_owned(), limit.clone());
    }
    for (key, value) in &undo.service.vars {
        options.insert(format!("var.{key}"), value.clone());
    }
    Ask {
        command: "undo".to_owned(),
        timeout: undo.timeout,
        lock_wait: undo.lock_wait,
        approved: undo.approve,
        allow_downtime: undo.allow_downtime,
        wishes: Wishes {
            take_over: undo.take_over,
            ..Wishes::default()
        },
        options,
        bits: match &found.fetched {
            Some(dir) => Bits::Fetched {
                file: dir.path().join(&found.loaded.artifact_name),
                from: to.from.clone(),
            },
            None => Bits::Old {
                sha256: to.sha256.clone(),
                from: to.from.clone(),
            },
        },
        undo: Some(to.revision),
        ..Ask::default()
    }
}
