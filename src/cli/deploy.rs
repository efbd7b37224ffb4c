//! `rollgate deploy`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::args::{Common, Deploy};
use super::ask::Ask;
use super::image;
use super::terminal::Terminal;
use super::wiring::{self, Wired};
use crate::drivers::store;
use crate::engine::{self, StopWish};
use crate::event::{Emitter, EventKind, HostEnd, HostPhase, Level};
use crate::model::{ExitStatus, Failure, HostName, HostResult, Outcome, Pause};

/// After the second signal: for what is being written to be written.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Runs the command.
pub(super) async fn run(common: &Common, deploy: &Deploy, terminal: &Terminal) -> ExitStatus {
    // Before anything else: a signal that comes before there is a listener is not heard.
    let stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
    };
    let loaded = match terminal.load(common, &deploy.subject) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    if loaded.strategy.pause == Pause::Manual && !deploy.approve && !Terminal::can_ask() {
        return terminal.nobody_to_ask();
    }
    let ask = Ask {
        timeout: deploy.timeout,
        lock_wait: deploy.lock_wait,
        approved: deploy.approve,
        ..Ask::of(&deploy.subject)
    };
    let ask = match image::resolve(&loaded, ask).await {
        Ok(ask) => ask,
        Err((status, reason)) => return terminal.refuse(status, &reason, "nothing was touched"),
    };
    match wiring::wire(&loaded, ask) {
        Ok(wired) => run_job(&wired, terminal, stop).await,
        Err(no) => terminal.refuse(no.status, &no.reason, ""),
    }
}

/// Runs a rollout to its end, with a journal, and says how it goes.
pub(super) async fn run_job(
    wired: &Wired,
    terminal: &Terminal,
    stop: watch::Receiver<StopWish>,
) -> ExitStatus {
    let (job, world, wishes) = (wired.job.clone(), wired.world.clone(), stop.clone());
    let work = |emitter| engine::deploy(job, world, emitter, wishes);
    run_work(wired, terminal, stop, work).await
}

/// The same for any work that ends as a rollout does: it hears the first signal itself, and the second one ends it at once.
pub(super) async fn run_work<F>(
    wired: &Wired,
    terminal: &Terminal,
    stop: watch::Receiver<StopWish>,
    work: impl FnOnce(Arc<Emitter>) -> F,
) -> ExitStatus
where
    F: Future<Output = Outcome>,
{
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
    let outcome = carry_out(Box::pin(work(Arc::clone(&emitter))), &emitter, stop).await;
    wired.close().await;
    outcome.exit_status_of(&wired.job.command)
}

async fn carry_out(
    work: impl Future<Output = Outcome>,
    emitter: &Arc<Emitter>,
    stop: watch::Receiver<StopWish>,
) -> Outcome {
    let echo = say_stop(Arc::clone(emitter), stop.clone());
    tokio::select! {
        outcome = work => outcome,
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

/// Ends where it is: the hosts' records hold what a later run needs, and every host is named as it was last heard of.
async fn cut_short(emitter: &Emitter) -> Outcome {
    let outcome = Outcome::Interrupted;
    let state = emitter.state();
    emitter
        .say(EventKind::RolloutFinished {
            outcome,
            exit_code: outcome.exit_status().code(),
            mixed: false,
            reasons: vec!["stopped at once".to_owned()],
            hosts: state
                .hosts
                .iter()
                .map(|(host, seen)| last_heard(&state.command, host, seen.phase))
                .collect(),
            seconds: 0.0,
        })
        .await;
    outcome
}

/// What can be said of a host whose cycle was cut short: only where it rests is known; anywhere else its state is open.
fn last_heard(command: &str, host: &HostName, phase: HostPhase) -> HostEnd {
    let result = match phase {
        HostPhase::Waiting | HostPhase::Staged => HostResult::Untouched,
        HostPhase::Skipped => HostResult::Skipped,
        HostPhase::Soaked => HostResult::Updated,
        HostPhase::Reverted => HostResult::Reverted,
        HostPhase::Draining
        | HostPhase::Drained
        | HostPhase::Swapping
        | HostPhase::Swapped
        | HostPhase::Probing
        | HostPhase::Ready
        | HostPhase::Enabling
        | HostPhase::Enabled
        | HostPhase::Failed
        | HostPhase::Reverting
        | HostPhase::Stranded => HostResult::Stranded,
    };
    let open = result == HostResult::Stranded;
    let mend = if matches!(command, "drain" | "enable") {
        "`rollgate status` shows how it stands; `rollgate resume` removes the lock, then run the command again"
    } else {
        "`rollgate resume` goes on with the rollout, `rollgate abort` takes it back"
    };
    HostEnd {
        host: host.clone(),
        result,
        revision: None,
        version: None,
        traffic: Vec::new(),
        durations: BTreeMap::new(),
        failure: open
            .then(|| Failure::new("the run was stopped at once: how far it is was not seen")),
        mend: open.then(|| mend.to_owned()).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_under_way_is_never_called_untouched() {
        let host = HostName::new("web-01").unwrap();
        let result = |phase| last_heard("deploy", &host, phase).result;
        assert_eq!(result(HostPhase::Staged), HostResult::Untouched);
        for phase in [
            HostPhase::Drained,
            HostPhase::Swapping,
            HostPhase::Reverting,
        ] {
            assert_eq!(result(phase), HostResult::Stranded);
        }
    }
}
