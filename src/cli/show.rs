//! `rollgate plan` and `deploy --dry-run`: commands that only look.

use super::args::{Common, Deploy, Plan, Subject};
use super::ask::Ask;
use super::differences;
use super::terminal::Terminal;
use super::wiring::{self, Wired};
use crate::engine;
use crate::model::{ExitStatus, Pause};

/// `rollgate plan`.
pub(super) async fn plan(common: &Common, plan: &Plan, terminal: &Terminal) -> ExitStatus {
    show(common, &plan.subject, terminal, (true, plan.diff)).await
}

/// `rollgate deploy --dry-run`.
pub(super) async fn dry_run(common: &Common, deploy: &Deploy, terminal: &Terminal) -> ExitStatus {
    let may_ask = deploy.approve || Terminal::can_ask();
    show(common, &deploy.subject, terminal, (may_ask, false)).await
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
    let wired = match wiring::wire(&loaded, Ask::of(subject)) {
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
