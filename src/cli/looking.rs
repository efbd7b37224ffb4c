//! `rollgate status` and `rollgate history`: what the hosts and balancers show. Nothing is touched.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::args::{Common, History, Service, Status};
use super::ask::Ask;
use super::terminal::Terminal;
use super::wiring::{self, Wired};
use crate::engine::{self, StopWish};
use crate::model::ExitStatus;
use crate::plan::history::history as revisions;
use crate::plan::status::{StatusDocument, last_exit, status as document};

/// Between two looks of `--watch` and `--wait`.
const EVERY: Duration = Duration::from_secs(2);

/// Seconds after which a lock that was not renewed is nobody's.
const ABANDONED: u64 = 120;

fn wired(common: &Common, service: &Service, terminal: &Terminal) -> Result<Wired, ExitStatus> {
    let loaded = terminal.load_service(common, service, None)?;
    wiring::wire(&loaded, Ask::default()).map_err(|no| terminal.refuse(no.status, &no.reason, ""))
}

/// `rollgate history`.
pub(super) async fn history(common: &Common, history: &History, terminal: &Terminal) -> ExitStatus {
    let wired = match wired(common, &history.service, terminal) {
        Ok(wired) => wired,
        Err(status) => return status,
    };
    let (facts, problems) = engine::observe(&wired.job, &wired.world).await;
    wired.close().await;
    let document = revisions(&facts, problems);
    terminal.show_history(&document);
    let reached = facts.hosts.iter().any(|host| host.facts.is_ok());
    if reached || facts.hosts.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::Refused
    }
}

/// `rollgate status`.
pub(super) async fn status(common: &Common, status: &Status, terminal: &Terminal) -> ExitStatus {
    let stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
    };
    let wired = match wired(common, &status.service, terminal) {
        Ok(wired) => wired,
        Err(status) => return status,
    };
    let ended = tokio::select! {
        biased;
        () = stopped(stop) => ExitStatus::Interrupted,
        ended = look(&wired, status, terminal) => ended,
    };
    wired.close().await;
    ended
}

async fn look(wired: &Wired, status: &Status, terminal: &Terminal) -> ExitStatus {
    let began = Instant::now();
    loop {
        let (facts, problems) = engine::observe(&wired.job, &wired.world).await;
        let seen = document(&facts, problems);
        if status.watch {
            terminal.show_status(&seen, true);
        } else if !status.wait || !is_under_way(&seen) {
            terminal.show_status(&seen, false);
            return ending(status, &seen, last_exit(&facts));
        } else if status.timeout.is_some_and(|limit| began.elapsed() >= limit) {
            terminal.show_status(&seen, false);
            return ExitStatus::Deadline;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether a rollout holds a lock and renews it; a lock by hand is nothing to wait for.
fn is_under_way(seen: &StatusDocument) -> bool {
    let lock = seen.lock.as_ref();
    lock.is_some_and(|lock| lock.command.as_deref() != Some("lock") && lock.renewed < ABANDONED)
}

fn ending(status: &Status, seen: &StatusDocument, last: Option<u8>) -> ExitStatus {
    if status.wait {
        // Nobody is at work on it, and it has not ended: it was cut off.
        let cut_off = seen.rollout.is_some();
        return if cut_off {
            ExitStatus::Interrupted
        } else {
            last.and_then(ExitStatus::of).unwrap_or(ExitStatus::Done)
        };
    }
    if seen.well {
        ExitStatus::Done
    } else {
        ExitStatus::NotEverywhere
    }
}

async fn stopped(mut stop: watch::Receiver<StopWish>) {
    if stop.wait_for(|wish| *wish > StopWish::None).await.is_err() {
        std::future::pending::<()>().await;
    }
}
