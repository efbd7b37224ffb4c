//! What went wrong, how the fleet stands, and what to type next.

use super::{End, FailedHost, Told, verdict};
use crate::event::HostEnd;
use crate::model::{HostName, HostResult, Outcome, TrafficState};
use crate::report::diagnostic::labelled;
use crate::report::paint::{Meaning, Paint};
use crate::report::text;

/// Hosts whose failure is shown with causes and log lines; of the others the name is enough, since they mostly failed alike.
const MOST_FAILURES: usize = 5;
/// Log lines of each of them: the last ones, which tell why.
const MOST_LOG_LINES: usize = 10;
/// Names on one line.
const MOST_NAMES: usize = 20;

/// Everything for standard error; nothing when it went well.
pub(super) fn lines(told: &Told, end: &End<'_>, paint: Paint) -> Vec<String> {
    if verdict::went_well(told, end) {
        return Vec::new();
    }
    let pen = Pen { paint };
    let mut lines = labelled(
        paint.text(Meaning::Bad, "error"),
        &verdict::sentence(told, end),
    );
    for reason in end
        .reasons
        .iter()
        .filter(|reason| !is_known(told, end, reason))
    {
        lines.push(pen.label("  ", "cause", reason));
    }
    lines.extend(failures(told, pen));
    lines.extend(stranded(told, end, pen));
    if let Some(state) = state(end) {
        lines.push(pen.label("  ", "state", &state));
    }
    let code = format!("{} ({})", end.exit_code, verdict::exit_meaning(end.outcome));
    lines.push(pen.label("  ", "exit code", &code));
    for hint in verdict::next(told, end) {
        lines.extend(labelled(paint.text(Meaning::Label, "hint"), &hint));
    }
    lines
}

/// Writes one line.
#[derive(Clone, Copy)]
struct Pen {
    paint: Paint,
}

impl Pen {
    fn label(self, indent: &str, label: &str, words: &str) -> String {
        let label = self.paint.text(Meaning::Label, label);
        format!("{indent}{label}: {}", text::clean(words))
    }

    fn labels<T: AsRef<str>>(self, label: &str, texts: impl IntoIterator<Item = T>) -> Vec<String> {
        let lines = texts
            .into_iter()
            .map(|words| self.label("    ", label, words.as_ref()));
        lines.collect()
    }
}

/// Whether a reason only repeats what the verdict, or a host's failure below, says better.
fn is_known(told: &Told, end: &End<'_>, reason: &str) -> bool {
    let is_verdict = match end.outcome {
        Outcome::Interrupted => reason == "interrupted",
        Outcome::Deadline => reason == "the deadline passed",
        Outcome::Succeeded
        | Outcome::Partial
        | Outcome::Reverted
        | Outcome::Halted
        | Outcome::Stranded
        | Outcome::Locked
        | Outcome::Refused => false,
    };
    is_verdict
        || told
            .failed
            .iter()
            .any(|failed| reason == format!("host `{}` failed", failed.host))
}

fn failures(told: &Told, pen: Pen) -> Vec<String> {
    let mut lines = Vec::new();
    for failed in told.failed.iter().take(MOST_FAILURES) {
        lines.extend(failure(failed, pen));
    }
    let others: Vec<&str> = told
        .failed
        .iter()
        .skip(MOST_FAILURES)
        .map(|failed| failed.host.as_str())
        .collect();
    if !others.is_empty() {
        lines.push(pen.label("  ", "failed too", &text::names(&others, MOST_NAMES)));
    }
    lines
}

fn failure(failed: &FailedHost, pen: Pen) -> Vec<String> {
    let FailedHost {
        host,
        step,
        failure,
        logs,
    } = failed;
    let words = format!("`{host}` in {step}: {}", failure.what);
    let mut lines = vec![pen.label("  ", "failed", &words)];
    lines.extend(pen.labels("cause", &failure.causes));
    lines.extend(pen.labels("hint", &failure.hint));
    lines.extend(pen.labels(
        "log",
        logs.iter().skip(logs.len().saturating_sub(MOST_LOG_LINES)),
    ));
    lines
}

/// Every stranded host with what was seen and how to mend it: never cut short, since each needs a person.
fn stranded(told: &Told, end: &End<'_>, pen: Pen) -> Vec<String> {
    let mut lines = Vec::new();
    for (host, (seen, mend)) in &told.stranded {
        lines.extend(stranded_host(host, seen, mend, pen));
    }
    let unsaid = |host: &&HostEnd| {
        host.result == HostResult::Stranded && !told.stranded.contains_key(&host.host)
    };
    for HostEnd {
        host,
        failure,
        mend,
        ..
    } in end.hosts.iter().filter(unsaid)
    {
        let seen = failure.as_ref().map_or_else(
            || "its end was not seen".to_owned(),
            crate::model::Failure::line,
        );
        lines.extend(stranded_host(host, &seen, mend, pen));
    }
    lines
}

fn stranded_host(host: &HostName, seen: &str, mend: &[String], pen: Pen) -> Vec<String> {
    let mut lines = vec![pen.label("  ", "stranded", &format!("`{host}`: {seen}"))];
    lines.extend(pen.labels("mend", mend));
    lines
}

/// How the fleet stands, as far as it was seen.
fn state(end: &End<'_>) -> Option<String> {
    if end.hosts.is_empty() || end.outcome == Outcome::Refused {
        return None;
    }
    let seen: Vec<&HostEnd> = end
        .hosts
        .iter()
        .filter(|host| !host.traffic.is_empty())
        .collect();
    let in_traffic = seen
        .iter()
        .filter(|host| {
            host.traffic
                .iter()
                .all(|server| server.state == TrafficState::Ready)
        })
        .count();
    let mut words = end.counts();
    if !seen.is_empty() {
        let all = text::count(end.hosts.len(), "host");
        words = format!("{words}; {in_traffic} of {all} in traffic");
    }
    // A reverted rollout's verdict says it already.
    if end.mixed && end.outcome != Outcome::Reverted {
        words.push_str("; the fleet runs two releases");
    }
    Some(words)
}
