//! `rollgate plan` and `deploy --dry-run`: commands that only look.

use super::args::{Check, Common, Deploy, Plan, Subject};
use super::ask::Ask;
use super::differences;
use super::image;
use super::terminal::Terminal;
use super::wiring::{self, Wired};
use crate::engine;
use crate::model::{ExitStatus, Pause};
use crate::plan::check::{Finding, Severity, check as findings};

/// `rollgate plan`.
pub(super) async fn plan(common: &Common, plan: &Plan, terminal: &Terminal) -> ExitStatus {
    show(common, &plan.subject, terminal, (true, plan.diff)).await
}

/// `rollgate deploy --dry-run`.
pub(super) async fn dry_run(common: &Common, deploy: &Deploy, terminal: &Terminal) -> ExitStatus {
    let may_ask = deploy.approve || Terminal::can_ask();
    show(common, &deploy.subject, terminal, (may_ask, false)).await
}

/// `rollgate check`: everything that would be in the way of a rollout, whichever release it is of.
pub(super) async fn check(common: &Common, check: &Check, terminal: &Terminal) -> ExitStatus {
    let loaded = match terminal.load_service(common, &check.service, check.limit.as_ref()) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let ask = Ask {
        command: "check".to_owned(),
        ..Ask::default()
    };
    let wired = match wiring::wire(&loaded, ask) {
        Ok(wired) => wired,
        Err(refusal) => return terminal.refuse(refusal.status, &refusal.reason, ""),
    };
    let look = engine::look(&wired.job, &wired.world).await;
    let rights = engine::rights(&wired.job, &wired.world, &look).await;
    wired.close().await;
    let in_the_way = look.in_the_way.as_deref();
    let document = findings(&look.facts, &look.plan, &rights, in_the_way);
    terminal.show_check(&document);
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    if in_the_way.is_some() {
        ExitStatus::InTheWay
    } else if document.findings.iter().any(is_error) {
        ExitStatus::Refused
    } else {
        ExitStatus::Done
    }
}

/// Shows the plan, and ends with what `deploy` would answer before it touches anything (F10).
async fn show(
    common: &Common,
    subject: &Subject,
    terminal: &Terminal,
    (may_ask, diff): (bool, bool),
) -> ExitStatus {
    let loaded = match terminal.load(common, subject) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    if loaded.strategy.pause == Pause::Manual && !may_ask {
        return terminal.nobody_to_ask();
    }
    let ask = match image::resolve(&loaded, Ask::of(subject)).await {
        Ok(ask) => ask,
        Err((status, reason)) => return terminal.refuse(status, &reason, ""),
    };
    let wired = match wiring::wire(&loaded, ask) {
        Ok(wired) => wired,
        Err(no) => return terminal.refuse(no.status, &no.reason, ""),
    };
    show_looked(&wired, terminal, diff).await
}

/// Shows what a look at the fleet makes of a job.
pub(super) async fn show_look(wired: &Wired, terminal: &Terminal) -> ExitStatus {
    show_looked(wired, terminal, false).await
}

async fn show_looked(wired: &Wired, terminal: &Terminal, diff: bool) -> ExitStatus {
    let look = engine::look(&wired.job, &wired.world).await;
    let mut document = look.plan.document();
    let added = if diff {
        differences::add(wired, &look, &mut document).await
    } else {
        Ok(())
    };
    wired.close().await;
    if let Err(reason) = added {
        return terminal.refuse(ExitStatus::Refused, &reason, "nothing was touched");
    }
    let status = match &look.in_the_way {
        Some(reason) => {
            document.warnings.push(format!("in the way: {reason}"));
            ExitStatus::InTheWay
        }
        None if look.plan.refused.is_empty() => ExitStatus::Done,
        None => ExitStatus::Refused,
    };
    terminal.show_plan(&document);
    status
}
