//! `rollgate deploy`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::args::{Common, Deploy};
use super::signals;
use super::terminal::Terminal;
use super::wiring::{self, Options, Wired};
use crate::drivers::store;
use crate::engine::{self, StopWish};
use crate::event::{Emitter, EventKind, Level};
use crate::model::{ExitStatus, Outcome, Pause};

/// After the second signal: for what is being written to be written.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Runs the command.
pub(super) async fn run(common: &Common, deploy: &Deploy, terminal: &Terminal) -> ExitStatus {
    // Before anything else: a signal that comes before there is a listener is not heard.
    let stop = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => {
            return terminal.refuse(
                ExitStatus::Refused,
                "cannot listen for signals",
                &error.to_string(),
            );
        }
    };
    let loaded = match terminal.load(common, &deploy.subject) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    if loaded.strategy.pause == Pause::Manual && !deploy.approve && !Terminal::can_ask() {
        let hint = "run it at a terminal, or approve all pauses with `--approve`";
        return terminal.refuse(
            ExitStatus::Usage,
            "`pause = \"manual\"` needs somebody to ask",
            hint,
        );
    }
    let options = Options {
        timeout: deploy.timeout,
        lock_wait: deploy.lock_wait,
        approved: deploy.approve,
    };
    let wired = match wiring::wire(&loaded, &deploy.subject, options) {
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
    let outcome = carry_out(&wired, &emitter, stop).await;
    wired.close().await;
    outcome.exit_status()
}

async fn carry_out(
    wired: &Wired,
    emitter: &Arc<Emitter>,
    stop: watch::Receiver<StopWish>,
) -> Outcome {
    let (job, world) = (wired.job.clone(), wired.world.clone());
    let echo = say_stop(Arc::clone(emitter), stop.clone());
    let rollout = engine::deploy(job, world, Arc::clone(emitter), stop.clone());
    tokio::select! {
        outcome = rollout => outcome,
        () = echo => Outcome::Interrupted,
        () = last_breath(stop) => cut_short(emitter).await,
    }
}

/// Tells the person that the signal was heard. Never ends by itself.
async fn say_stop(emitter: Arc<Emitter>, mut stop: watch::Receiver<StopWish>) {
    if stop.wait_for(|wish| *wish > StopWish::None).await.is_ok() {
        let text = "stopping: no new host starts, hosts under way are brought to a safe end; once more stops at once";
        emitter
            .say(EventKind::Log {
                level: Level::Warning,
                text: text.to_owned(),
                host: None,
            })
            .await;
    }
    std::future::pending::<()>().await;
}

/// Returns when the second signal is a while ago and the run still has not ended.
async fn last_breath(mut stop: watch::Receiver<StopWish>) {
    if stop.wait_for(|wish| *wish == StopWish::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LAST_BREATH).await;
}

/// Ends where it is: the hosts' records hold what a later run needs.
async fn cut_short(emitter: &Emitter) -> Outcome {
    let outcome = Outcome::Interrupted;
    emitter
        .say(EventKind::RolloutFinished {
            outcome,
            exit_code: outcome.exit_status().code(),
            mixed: false,
            reasons: vec!["stopped at once".to_owned()],
            hosts: Vec::new(),
            seconds: 0.0,
        })
        .await;
    outcome
}
