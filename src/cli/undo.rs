//! `rollgate undo`: an ordinary rollout to a revision that the hosts know.

use std::collections::BTreeMap;

use super::args::{Common, Undo};
use super::ask::{Ask, Bits};
use super::deploy::run_job;
use super::show::show_look;
use super::signals;
use super::terminal::Terminal;
use super::wiring;
use crate::config::{Loaded, Request};
use crate::engine;
use crate::model::{ExitStatus, Pause, Revision, Version};
use crate::plan::Wishes;
use crate::plan::history::history;
use crate::plan::undo::{UndoTo, choose};

/// Runs the command.
pub(super) async fn run(common: &Common, undo: &Undo, terminal: &Terminal) -> ExitStatus {
    let stop = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => {
            let reason = "cannot listen for signals";
            return terminal.refuse(ExitStatus::Refused, reason, &error.to_string());
        }
    };
    let to = match target(common, undo, terminal).await {
        Ok(to) => to,
        Err(status) => return status,
    };
    let loaded = match load(common, undo, terminal, &to) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    if loaded.strategy.pause == Pause::Manual && !undo.approve && !Terminal::can_ask() {
        return terminal.nobody_to_ask();
    }
    let wired = match wiring::wire(&loaded, ask(undo, &to)) {
        Ok(wired) => wired,
        Err(reason) => return terminal.refuse(ExitStatus::Refused, &reason, "nothing was touched"),
    };
    if undo.dry_run {
        return show_look(&wired, terminal).await;
    }
    run_job(&wired, terminal, stop).await
}

/// Asks every host which revisions there are, and chooses.
async fn target(common: &Common, undo: &Undo, terminal: &Terminal) -> Result<UndoTo, ExitStatus> {
    let loaded = terminal.load_service(common, &undo.service, undo.limit.as_ref())?;
    let wired = wiring::wire(&loaded, Ask::default())
        .map_err(|reason| terminal.refuse(ExitStatus::Usage, &reason, ""))?;
    let (facts, problems) = engine::observe(&wired.job, &wired.world).await;
    wired.close().await;
    let document = history(&facts, problems);
    choose(&document, undo.to_revision.map(Revision)).map_err(|reason| {
        let hint = document.problems.join("\n");
        terminal.refuse(ExitStatus::Refused, &reason, &hint)
    })
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

fn ask(undo: &Undo, to: &UndoTo) -> Ask {
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
        bits: Bits::Old {
            sha256: to.sha256.clone(),
            from: to.from.clone(),
        },
        undo: Some(to.revision),
        ..Ask::default()
    }
}
