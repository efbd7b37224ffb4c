//! `rollgate resume` and `rollgate abort`: asks the hosts which rollout was cut off, says so, and goes on with it, or back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::args::{Abort, Common, Resume, Service};
use super::ask::{Ask, Bits, TakesUp};
use super::deploy::run_job;
use super::image;
use super::terminal::Terminal;
use super::wiring::{self, Wired};
use crate::config::{Loaded, Request};
use crate::engine::{self, Cleared, StopWish, Survey};
use crate::model::{ExitStatus, Pause};
use crate::plan::unfinished::Open;
use crate::plan::{Goal, HookDoubt, Resumes, Wishes};

/// What both commands have in common.
struct Wish<'a> {
    service: &'a Service,
    goal: Goal,
    take_over: bool,
    accept_changes: bool,
    doubt: HookDoubt,
    timeout: Option<Duration>,
    approved: bool,
    lock_wait: Duration,
}

/// `rollgate resume`.
pub(super) async fn resume(common: &Common, resume: &Resume, terminal: &Terminal) -> ExitStatus {
    let doubt = match (resume.hook_done, resume.hook_again) {
        (true, _) => HookDoubt::Done,
        (false, true) => HookDoubt::Again,
        (false, false) => HookDoubt::Stop,
    };
    let wish = Wish {
        service: &resume.service,
        goal: Goal::Finish,
        take_over: resume.take_over,
        accept_changes: resume.accept_changes,
        doubt,
        timeout: resume.timeout,
        approved: resume.approve,
        lock_wait: resume.lock_wait,
    };
    take_up(common, &wish, terminal).await
}

/// `rollgate abort`.
pub(super) async fn abort(common: &Common, abort: &Abort, terminal: &Terminal) -> ExitStatus {
    let wish = Wish {
        service: &abort.service,
        goal: Goal::Revert,
        take_over: abort.take_over,
        accept_changes: true,
        doubt: HookDoubt::Done,
        timeout: None,
        approved: true,
        lock_wait: abort.lock_wait,
    };
    take_up(common, &wish, terminal).await
}

async fn take_up(common: &Common, wish: &Wish<'_>, terminal: &Terminal) -> ExitStatus {
    let stop = match terminal.listen() {
        Ok(stop) => stop,
        Err(status) => return status,
    };
    let loaded = match terminal.load_service(common, wish.service, None) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let wired = match wiring::wire(&loaded, Ask::default()) {
        Ok(wired) => wired,
        Err(no) => return terminal.refuse(no.status, &no.reason, ""),
    };
    let mut stopped = stop.clone();
    let survey = tokio::select! {
        biased;
        _ = stopped.wait_for(|wish| *wish > StopWish::None) => return ExitStatus::Interrupted,
        survey = engine::survey(&wired.job, &wired.world) => survey,
    };
    let found = choose(&survey, wish.goal);
    let status = match &found {
        Found::Nothing => nothing(&wired, &survey, terminal, &mut stop.clone()).await,
        Found::Not(status, reason, hint) => terminal.refuse(*status, reason, hint),
        Found::Open(_) => ExitStatus::Done,
    };
    wired.close().await;
    let Found::Open(open) = found else {
        return status;
    };
    Terminal::say(&words(&survey, &open, wish.goal));
    go_on(common, wish, terminal, (&open, stop)).await
}

/// What there is to go on with.
enum Found {
    Open(Box<Open>),
    /// There is something, and it is nothing for this command.
    Not(ExitStatus, String, String),
    Nothing,
}

fn choose(survey: &Survey, goal: Goal) -> Found {
    let Some(open) = survey
        .open
        .iter()
        .find(|open| !open.only_stranded)
        .or_else(|| survey.open.first())
    else {
        return Found::Nothing;
    };
    let name = format!(
        "rollout {} (to {})",
        open.rollout, open.record.target.version
    );
    match (goal, open.only_stranded, open.ended) {
        (Goal::Finish, true, _) => Found::Not(
            ExitStatus::Done,
            format!("{name} has ended, and left hosts that need a person; there is nothing to resume"),
            "a `rollgate deploy` of a release that works mends them, `rollgate abort` puts them back to what they had".to_owned(),
        ),
        (Goal::Revert, false, true) => Found::Not(
            ExitStatus::Refused,
            format!("{name} has ended; only its last words to some hosts were cut off"),
            "`rollgate resume` says them".to_owned(),
        ),
        (Goal::Revert, true, _) => match survey.moved_on(open) {
            Some(later) => Found::Not(
                ExitStatus::Refused,
                format!("the fleet has moved on since {name}: {later}"),
                "a `rollgate deploy` of a release that works mends the hosts that it left".to_owned(),
            ),
            None => Found::Open(Box::new(open.clone())),
        },
        (Goal::Finish | Goal::Revert, false, _) => Found::Open(Box::new(open.clone())),
    }
}

/// Nothing was cut off: what is left of locks that nobody holds goes.
async fn nothing(
    wired: &Wired,
    survey: &Survey,
    terminal: &Terminal,
    stop: &mut watch::Receiver<StopWish>,
) -> ExitStatus {
    if !survey.damaged.is_empty() {
        let hosts = survey.damaged.iter();
        let hosts: Vec<String> = hosts
            .map(|(host, why)| {
                format!("host `{host}`: its `.rollgate/rollout.json` cannot be read ({why})")
            })
            .collect();
        let hint = "look at the host and at `rollgate status`; then remove that file, or run `rollgate deploy` with `--take-over`";
        return terminal.refuse(ExitStatus::Refused, &hosts.join("; "), hint);
    }
    if !survey.away.is_empty() {
        let hosts: Vec<String> = survey
            .away
            .iter()
            .map(|(host, why)| format!("host `{host}`: {why}"))
            .collect();
        return terminal.refuse(
            ExitStatus::Refused,
            "no host that answers knows of a rollout that was cut off, but not all of them answer",
            &hosts.join("\n"),
        );
    }
    match engine::clear(&wired.job, &wired.world, survey, stop).await {
        Cleared::Held(whose) => terminal.refuse(
            ExitStatus::InTheWay,
            &format!("no rollout was cut off, and {whose}"),
            "",
        ),
        Cleared::Removed(hosts) => {
            let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            let locks = if names.is_empty() {
                String::new()
            } else {
                format!(
                    "; a lock that nobody holds any more was removed from {}",
                    names.join(", ")
                )
            };
            Terminal::say(&format!(
                "no rollout was cut off: there is nothing to do{locks}"
            ));
            ExitStatus::Done
        }
    }
}

/// What was found, and what is done now.
fn words(survey: &Survey, open: &Open, goal: Goal) -> String {
    let record = &open.record;
    let mut text = format!(
        "rollout {} ({} of {} to {} by {}, began {:.0}) has not ended:",
        open.rollout,
        record.command,
        record.service,
        record.target.version,
        record.by,
        record.started
    );
    let steps = survey.steps(open).into_iter();
    text.extend(steps.map(|(host, step)| format!("\n  {host}: {}", step.said())));
    text.push_str(match goal {
        Goal::Finish => "\ngoing on with it",
        Goal::Revert => "\ntaking back what it changed",
    });
    text
}

async fn go_on(
    common: &Common,
    wish: &Wish<'_>,
    terminal: &Terminal,
    (open, stop): (&Open, watch::Receiver<StopWish>),
) -> ExitStatus {
    let record = &open.record;
    let mut vars = kept_vars(&record.options);
    vars.extend(wish.service.vars.iter().cloned());
    let request = Request {
        playbook: wish.service.playbook.clone(),
        version: Some(record.target.version.to_string()),
        source_optional: true,
        without_files: wish.goal == Goal::Revert || record.undo,
        limit: record.options.get("limit").cloned(),
        vars,
        ..Request::default()
    };
    let loaded = match terminal.read(common, request) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    if loaded.strategy.pause == Pause::Manual && !wish.approved && !Terminal::can_ask() {
        return terminal.nobody_to_ask();
    }
    let ask = match ask(&loaded, wish, open) {
        Ok(ask) => ask,
        Err(reason) => return terminal.refuse(ExitStatus::Refused, &reason, ""),
    };
    let ask = match image::resolve(&loaded, ask).await {
        Ok(ask) => ask,
        Err((status, reason)) => return terminal.refuse(status, &reason, "nothing was touched"),
    };
    match wiring::wire(&loaded, ask) {
        Ok(wired) => run_job(&wired, terminal, stop).await,
        Err(no) => terminal.refuse(ExitStatus::Refused, &no.reason, "nothing was touched"),
    }
}

fn ask(loaded: &Loaded, wish: &Wish<'_>, open: &Open) -> Result<Ask, String> {
    let record = &open.record;
    // What was being aborted is gone on with as that.
    let goal = if record.command == "abort" {
        Goal::Revert
    } else {
        wish.goal
    };
    // A lock of a rollout that has ended is anybody's, so what is left of it is done under an id of its own.
    let (rollout, attempt) = if open.ended {
        (wiring::new_rollout()?, 1)
    } else {
        (open.rollout.clone(), record.attempt + 1)
    };
    let command = match goal {
        Goal::Finish => record.command.clone(),
        Goal::Revert => "abort".to_owned(),
    };
    let resumes = Resumes {
        rollout: open.rollout.clone(),
        goal,
        keys: loaded.keys.clone(),
        accept_changes: wish.accept_changes,
        doubt: wish.doubt,
        ended: open.ended,
    };
    Ok(Ask {
        command,
        timeout: wish.timeout,
        lock_wait: wish.lock_wait,
        approved: wish.approved,
        allow_downtime: record.options.contains_key("allow-downtime"),
        wishes: Wishes {
            take_over: wish.take_over,
            ..Wishes::default()
        },
        options: record.options.clone(),
        undo: record.undo.then_some(record.target.revision),
        message: None,
        adopt: record.options.contains_key("adopt"),
        bits: match goal {
            Goal::Finish if record.undo => Bits::Old {
                sha256: Some(record.target.sha256.clone()),
                from: String::new(),
            },
            Goal::Finish => Bits::Known {
                sha256: record.target.sha256.clone(),
                from: String::new(),
            },
            Goal::Revert => Bits::Untouched(record.target.sha256.clone()),
        },
        takes_up: Some(TakesUp {
            rollout,
            attempt,
            resumes,
        }),
    })
}

/// Variables that the rollout was begun with.
fn kept_vars(options: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let var = |(key, value): (&String, &String)| {
        let name = key.strip_prefix("var.")?;
        Some((name.to_owned(), value.clone()))
    };
    options.iter().filter_map(var).collect()
}
