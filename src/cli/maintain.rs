//! `rollgate drain` and `rollgate enable`.

use super::args::{Common, Maintain, Service};
use super::ask::Ask;
use super::deploy::run_work;
use super::terminal::Terminal;
use super::wiring;
use crate::engine::{ByHand, maintain};
use crate::model::ExitStatus;

/// Runs either command.
pub(super) async fn run(
    common: &Common,
    (asked, way): (&Maintain, ByHand),
    terminal: &Terminal,
) -> ExitStatus {
    let stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
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
        Err(no) => return terminal.refuse(no.status, &no.reason, ""),
    };
    let (job, world, wishes) = (wired.job.clone(), wired.world.clone(), stop.clone());
    let work = |emitter| maintain(job, world, emitter, (way, wishes));
    run_work(&wired, terminal, stop, work).await
}
