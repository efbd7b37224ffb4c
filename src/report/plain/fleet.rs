//! Lines about the rollout, its batches, locks and hooks.

use std::collections::BTreeMap;

use super::Said;
use crate::event::{EventKind, Level, RolloutState};
use crate::model::{HostName, Outcome, Revision};
use crate::report::paint::Meaning;
use crate::report::text;

/// More names than this on one line help nobody; JSON has them all.
const MOST_NAMES: usize = 12;

/// What an event says that is not about one host's way; `None` for the others.
pub(super) fn said(kind: &EventKind, state: &RolloutState) -> Option<Said> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are `host::said`'s; a test gives every event to both"
    )]
    Some(match kind {
        EventKind::RolloutStarted { command, hosts, .. } => started(command, hosts, state),
        EventKind::RolloutPlanned {
            revision,
            batches,
            skipped,
            least_usable,
            warnings,
        } => planned(*revision, batches, skipped, *least_usable).detail("warning", warnings),
        EventKind::RolloutHalted { reason } => {
            Said::new("rollout", format!("halted: {reason}")).colored(Meaning::Careful)
        }
        EventKind::RolloutFinished {
            outcome,
            exit_code,
            seconds,
            ..
        } => finished(*outcome, *exit_code, *seconds),
        EventKind::BatchStarted { batch, hosts, .. } => Said::new(
            &numbered(*batch, state),
            format!("started: {}", names(hosts)),
        )
        .colored(Meaning::Strong),
        EventKind::BatchFinished { batch, seconds } => Said::new(
            &numbered(*batch, state),
            format!("finished in {}", text::seconds(*seconds)),
        )
        .colored(Meaning::Good),
        EventKind::BatchFailed { batch, reason } => {
            Said::new(&numbered(*batch, state), format!("failed: {reason}")).colored(Meaning::Bad)
        }
        _ => return beside(kind),
    })
}

/// What stands beside the batches: locks, hooks, balancers, the log.
fn beside(kind: &EventKind) -> Option<Said> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are `said`'s and `host::said`'s; a test gives every event to all"
    )]
    Some(match kind {
        EventKind::LockAcquired { hosts } => locks("acquired", hosts),
        EventKind::LockReleased { hosts } => locks("released", hosts),
        EventKind::HookStarted {
            at,
            on,
            number,
            host,
        } => hook(*number, host.as_ref(), format!("started: {at}, on {on}")),
        EventKind::HookFinished {
            at,
            number,
            host,
            exit,
            output,
            seconds,
            ..
        } => {
            let said = hook(
                *number,
                host.as_ref(),
                format!(
                    "finished: {at}, {} in {}",
                    exit_words(*exit),
                    text::seconds(*seconds)
                ),
            );
            hook_color(said, *exit).detail("output", output)
        }
        EventKind::BalancerReset {
            balancer,
            host,
            pool,
            server,
            seen,
        } => {
            let text = format!(
                "balancer {balancer} reset: {pool}/{server} was found {seen}, and was drained again"
            );
            Said::new(host, text).colored(Meaning::Careful)
        }
        EventKind::Log { level, text, host } => log(*level, text, host.as_ref()),
        _ => return None,
    })
}

fn started(command: &str, hosts: &[HostName], state: &RolloutState) -> Said {
    let what = text::subject(command, &state.service, &state.version);
    let hosts = text::count(hosts.len(), "host");
    Said::new("rollout", format!("started: {what} on {hosts}")).colored(Meaning::Strong)
}

fn planned(
    revision: Revision,
    batches: &[Vec<HostName>],
    skipped: &BTreeMap<HostName, String>,
    least: Option<usize>,
) -> Said {
    let hosts = batches.iter().map(Vec::len).sum();
    if batches.is_empty() {
        return Said::new(
            "rollout",
            format!("planned: no host is touched, {} left alone", skipped.len()),
        );
    }
    let mut words = format!(
        "planned: revision {revision} on {} in {}, {} left alone",
        text::count(hosts, "host"),
        text::count(batches.len(), "batch"),
        skipped.len(),
    );
    if let Some(least) = least {
        words.push_str(", at least ");
        words.push_str(&text::count(least, "server"));
        words.push_str(" usable");
    }
    Said::new("rollout", words)
}

fn finished(outcome: Outcome, exit_code: u8, seconds: f64) -> Said {
    let meaning = if exit_code == 0 {
        Meaning::Good
    } else {
        Meaning::Bad
    };
    let words = format!(
        "finished: {}, exit code {exit_code}, in {}",
        outcome.as_str(),
        text::seconds(seconds)
    );
    Said::new("rollout", words).colored(meaning)
}

fn numbered(batch: usize, state: &RolloutState) -> String {
    format!("batch {batch}/{}", state.batches.max(batch))
}

fn locks(what: &str, hosts: &[HostName]) -> Said {
    Said::new(
        "lock",
        format!("{what} on {}", text::count(hosts.len(), "host")),
    )
}

fn hook(number: usize, host: Option<&HostName>, words: String) -> Said {
    match host {
        Some(host) => Said::new(host, format!("hook {number} {words}")),
        None => Said::new(&format_args!("hook {number}"), words),
    }
}

fn hook_color(said: Said, exit: Option<i32>) -> Said {
    if exit == Some(0) {
        said
    } else {
        said.colored(Meaning::Bad)
    }
}

fn exit_words(exit: Option<i32>) -> String {
    exit.map_or_else(
        || "could not be run".to_owned(),
        |exit| format!("exit code {exit}"),
    )
}

fn log(level: Level, words: &str, host: Option<&HostName>) -> Said {
    let subject = host.map_or_else(|| "rollout".to_owned(), ToString::to_string);
    match level {
        Level::Info => Said::new(&subject, words),
        Level::Warning => {
            Said::new(&subject, format!("warning: {words}")).colored(Meaning::Careful)
        }
        Level::Error => Said::new(&subject, format!("error: {words}")).colored(Meaning::Bad),
    }
}

fn names(hosts: &[HostName]) -> String {
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    text::names(&names, MOST_NAMES)
}
