//! `rollgate lock` and `rollgate unlock`: a fleet is frozen by hand, and a lock is broken by hand.

use std::io::IsTerminal;

use tokio::sync::watch;

use super::args::{Common, Lock, Unlock};
use super::ask::Ask;
use super::terminal::Terminal;
use super::wiring;
use crate::drivers::store::NullJournal;
use crate::engine::{self, StopWish};
use crate::event::Emitter;
use crate::model::{ExitStatus, HostName};

/// `rollgate lock`.
pub(super) async fn lock(common: &Common, lock: &Lock, terminal: &Terminal) -> ExitStatus {
    let mut stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
    };
    let loaded = match terminal.load_service(common, &lock.service, lock.limit.as_ref()) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let ask = Ask {
        command: "lock".to_owned(),
        message: Some(lock.message.clone()),
        lock_wait: lock.lock_wait,
        ..Ask::default()
    };
    let wired = match wiring::wire(&loaded, ask) {
        Ok(wired) => wired,
        Err(no) => return terminal.refuse(no.status, &no.reason, ""),
    };
    let emitter = Emitter::new(
        wired.job.rollout.clone(),
        wired.job.attempt,
        std::sync::Arc::clone(&wired.world.clock),
        Box::new(NullJournal),
        Vec::new(),
    );
    let frozen = engine::freeze(&wired.job, &wired.world, &emitter, &mut stop).await;
    wired.close().await;
    match frozen {
        Ok(hosts) => {
            let names = names(&hosts);
            Terminal::say(&format!(
                "locked by hand: {names}; `rollgate unlock` ends it"
            ));
            ExitStatus::Done
        }
        Err((outcome, reason)) => {
            terminal.refuse(outcome.exit_status(), &reason, "nothing was locked")
        }
    }
}

/// `rollgate unlock`.
pub(super) async fn unlock(common: &Common, unlock: &Unlock, terminal: &Terminal) -> ExitStatus {
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !unlock.yes && !asks {
        let hint = "run it at a terminal, or say `--yes`; `rollgate status` shows whose lock it is";
        return terminal.refuse(ExitStatus::Usage, "nobody is there to ask", hint);
    }
    let mut stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
    };
    let loaded = match terminal.load_service(common, &unlock.service, unlock.limit.as_ref()) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let ask = Ask {
        command: "unlock".to_owned(),
        ..Ask::default()
    };
    let wired = match wiring::wire(&loaded, ask) {
        Ok(wired) => wired,
        Err(no) => return terminal.refuse(no.status, &no.reason, ""),
    };
    let mut stopped = stop.clone();
    let survey = tokio::select! {
        biased;
        _ = stopped.wait_for(|wish| *wish > StopWish::None) => return ExitStatus::Interrupted,
        survey = engine::survey(&wired.job, &wired.world) => survey,
    };
    let status = break_locks(unlock, terminal, (&wired, &survey), &mut stop).await;
    wired.close().await;
    status
}

async fn break_locks(
    unlock: &Unlock,
    terminal: &Terminal,
    (wired, survey): (&wiring::Wired, &engine::Survey),
    stop: &mut watch::Receiver<StopWish>,
) -> ExitStatus {
    let held = survey.held(&wired.job, &wired.world);
    for (host, why) in &survey.away {
        Terminal::say(&format!("warning: host `{host}` was not looked at: {why}"));
    }
    if held.is_empty() {
        if survey.away.is_empty() {
            Terminal::say("no host is locked: there is nothing to do");
            return ExitStatus::Done;
        }
        return terminal.refuse(ExitStatus::Refused, "no host that answers is locked", "");
    }
    for lock in &held {
        Terminal::say(&lock.whose);
    }
    let question = "break these locks? Whoever holds them is stopped where it is";
    let mut stopped = stop.clone();
    let approved = unlock.yes
        || tokio::select! {
            approved = wired.world.people.approve(question) => approved,
            _ = stopped.wait_for(|wish| *wish > StopWish::None) => false,
        };
    if !approved {
        return terminal.refuse(ExitStatus::InTheWay, "the locks were left as they are", "");
    }
    if held.iter().any(|lock| lock.may_act) {
        Terminal::say(
            "waiting 20s for what its holder may still tell a balancer; Ctrl-C ends the wait",
        );
    }
    let free = engine::unlock(&wired.job, &wired.world, survey, stop).await;
    if !free.is_empty() {
        Terminal::say(&format!("unlocked: {}", names(&free)));
    }
    let still: Vec<HostName> = held
        .into_iter()
        .map(|lock| lock.host)
        .filter(|host| !free.contains(host))
        .collect();
    if !still.is_empty() {
        let reason = format!("the lock could not be broken on {}", names(&still));
        let hint = "a script of its holder may still be at work there; try again";
        return terminal.refuse(ExitStatus::InTheWay, &reason, hint);
    }
    if survey.open.iter().any(|open| !open.only_stranded) {
        Terminal::say(
            "a rollout was cut off: `rollgate resume` goes on with it, `rollgate abort` takes it back",
        );
    }
    ExitStatus::Done
}

fn names(hosts: &[HostName]) -> String {
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    names.join(", ")
}
