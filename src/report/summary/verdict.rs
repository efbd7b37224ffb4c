//! One sentence for each outcome, what its exit code means, and what to type next.

use super::{End, Told};
use crate::model::{HostResult, Outcome};
use crate::report::text;

/// Whether it ended as it was meant to: of `abort`, going back is what was wanted.
pub(super) fn went_well(told: &Told, end: &End<'_>) -> bool {
    end.outcome == Outcome::Succeeded || is_aborted(told, end)
}

fn is_aborted(told: &Told, end: &End<'_>) -> bool {
    told.command == "abort" && end.outcome == Outcome::Reverted
}

/// Whether hosts were drained or enabled by hand: then no release is spoken of.
fn is_by_hand(told: &Told) -> bool {
    matches!(told.command.as_str(), "drain" | "enable")
}

/// How hosts ended that were drained or enabled by hand.
fn by_hand(told: &Told, end: &End<'_>) -> String {
    let way = if told.command == "drain" {
        "out of traffic, with nothing in flight"
    } else {
        "in traffic"
    };
    match end.outcome {
        Outcome::Succeeded => {
            let hosts = text::count(end.count(HostResult::Updated), "host");
            format!("{hosts} of {} {way}", end.service)
        }
        Outcome::Locked if told.revision.is_none() => {
            format!(
                "`{}` was not begun: a lock or an unfinished rollout is in the way",
                told.command
            )
        }
        Outcome::Refused => format!("`{}` was refused; nothing was touched", told.command),
        Outcome::Interrupted => format!("`{}` was interrupted", told.command),
        Outcome::Partial
        | Outcome::Reverted
        | Outcome::Halted
        | Outcome::Stranded
        | Outcome::Deadline
        | Outcome::Locked => format!("not every host is {way}"),
    }
}

/// How it ended.
pub(super) fn sentence(told: &Told, end: &End<'_>) -> String {
    if is_by_hand(told) {
        return by_hand(told, end);
    }
    let what = format!("{} {}", end.service, end.version);
    match end.outcome {
        Outcome::Succeeded => succeeded(told, end, &what),
        Outcome::Partial => format!("{what} does not run on every host; what failed was put back"),
        Outcome::Reverted if is_aborted(told, end) => {
            format!("the rollout of {what} was aborted: what it had changed was taken back")
        }
        Outcome::Reverted if end.mixed => {
            format!("{what} failed and its batch was taken back: the fleet now runs two releases")
        }
        Outcome::Reverted => format!("{what} failed and was taken back"),
        Outcome::Halted => {
            format!("{what} failed, and what failed stays out of traffic (`on_failure = \"halt\"`)")
        }
        Outcome::Stranded => stranded(end, &what),
        Outcome::Interrupted => format!("the rollout of {what} was interrupted"),
        Outcome::Deadline => format!(
            "the rollout of {what} passed its deadline, and what was under way was taken back"
        ),
        Outcome::Locked if told.revision.is_none() => {
            format!("{what} was not begun: a lock or an unfinished rollout is in the way")
        }
        Outcome::Locked => format!("the rollout of {what} lost its lock and stopped where it was"),
        Outcome::Refused => {
            format!("{what} was refused; nothing was drained, swapped or restarted")
        }
    }
}

fn succeeded(told: &Told, end: &End<'_>, what: &str) -> String {
    if end.count(HostResult::Updated) == 0 {
        return format!("nothing to do for {what}");
    }
    match told.revision {
        Some(revision) => format!("{what} rolled out as revision {revision}"),
        None => format!("{what} rolled out"),
    }
}

fn stranded(end: &End<'_>, what: &str) -> String {
    match end.count(HostResult::Stranded) {
        1 => format!("{what} failed, and 1 host needs a person"),
        count => format!("{what} failed, and {count} hosts need a person"),
    }
}

/// What the exit code promises (see `docs/exit-codes.md`).
pub(super) fn exit_meaning(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "done, or nothing to do",
        Outcome::Partial | Outcome::Reverted => {
            "not every host runs the release, and none needs a person"
        }
        Outcome::Halted | Outcome::Stranded => "some host needs a person",
        Outcome::Interrupted => "interrupted; the state is safe",
        Outcome::Deadline => "the deadline passed, and no host needs a person",
        Outcome::Locked => "a lock, or an unfinished rollout, is in the way",
        Outcome::Refused => "a look or staging failed; nothing was drained, swapped or restarted",
    }
}

/// What to type next.
pub(super) fn next(told: &Told, end: &End<'_>) -> Vec<String> {
    let command = if told.command.is_empty() {
        "deploy"
    } else {
        told.command.as_str()
    };
    let version = end.version;
    match end.outcome {
        Outcome::Succeeded => Vec::new(),
        Outcome::Locked => locked(end),
        _ if is_by_hand(told) => {
            vec![format!(
                "mend what is named above, then run `rollgate {command}` again"
            )]
        }
        Outcome::Reverted | Outcome::Partial if told.failed.is_empty() => {
            vec![format!(
                "mend what is named above, then run `rollgate {command}` again: hosts that run {version} are skipped"
            )]
        }
        Outcome::Reverted if end.mixed => vec![
            another_version(version),
            format!(
                "to leave no host on {version} meanwhile, deploy the version before it: only those hosts are changed"
            ),
        ],
        Outcome::Reverted | Outcome::Partial => vec![another_version(version)],
        Outcome::Halted | Outcome::Stranded => {
            vec![format!(
                "mend the hosts by the commands above, or run `rollgate {command}` again with a release that works"
            )]
        }
        Outcome::Interrupted => vec![format!(
            "`rollgate resume` goes on with `{}`, from any machine; `rollgate abort` takes back what it changed",
            end.rollout
        )],
        Outcome::Deadline => {
            vec![format!(
                "give it more time with `--timeout` or `strategy.deadline`, and run `rollgate {command}` again"
            )]
        }
        Outcome::Refused => vec![format!(
            "mend what is named above and run it again; `rollgate plan` with the same arguments looks and touches nothing"
        )],
    }
}

fn another_version(version: &str) -> String {
    format!(
        "deploy a mended release under another version, or try {version} once more with `--again`"
    )
}

/// The reasons mostly hold what to do, since that depends on who holds the lock.
fn locked(end: &End<'_>) -> Vec<String> {
    let is_told = end.reasons.iter().any(|reason| {
        [
            "--take-over",
            "rollgate resume",
            "--lock-wait",
            "unlock",
            "end it first",
        ]
        .iter()
        .any(|word| reason.contains(word))
    });
    if is_told {
        Vec::new()
    } else {
        vec!["wait for the other run to end, or queue behind it with `--lock-wait 10m`".to_owned()]
    }
}
