//! `rollgate drain` and `rollgate enable`.

use std::sync::Arc;

use super::args::{Common, Maintain, Service};
use super::ask::Ask;
use super::signals;
use super::terminal::Terminal;
use super::wiring;
use crate::drivers::store;
use crate::engine::{ByHand, maintain};
use crate::event::Emitter;
use crate::model::ExitStatus;

/// Runs either command.
pub(super) async fn run(
    common: &Common,
    (asked, way): (&Maintain, ByHand),
    terminal: &Terminal,
) -> ExitStatus {
    let stop = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => {
            let reason = "cannot listen for signals";
            return terminal.refuse(ExitStatus::Refused, reason, &error.to_string());
        }
    };
    let service = Service {
        playbook: asked.playbook.clone(),
        vars: asked.vars.clone(),
    };
    let loaded = match terminal.load_service(common, &service, Some(&asked.hosts)) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let command = match way {
        ByHand::Drain => "drain",
        ByHand::Enable => "enable",
    };
    let ask = Ask {
        command: command.to_owned(),
        allow_downtime: asked.allow_downtime,
        lock_wait: asked.lock_wait,
        ..Ask::default()
    };
    let wired = match wiring::wire(&loaded, ask) {
        Ok(wired) => wired,
        Err(reason) => return terminal.refuse(ExitStatus::Usage, &reason, ""),
    };
    let journal = match store::open(&wired.job.rollout) {
        Ok(journal) => journal,
        Err(error) => {
            let hint =
                "nothing was contacted; name a folder that can be written with XDG_STATE_HOME";
            return terminal.refuse(ExitStatus::Refused, &error.to_string(), hint);
        }
    };
    let emitter = Arc::new(Emitter::new(
        wired.job.rollout.clone(),
        wired.job.attempt,
        Arc::clone(&wired.world.clock),
        journal,
        terminal.sinks(),
    ));
    let (job, world) = (wired.job.clone(), wired.world.clone());
    let outcome = maintain(job, world, emitter, (way, stop)).await;
    wired.close().await;
    outcome.exit_status()
}
