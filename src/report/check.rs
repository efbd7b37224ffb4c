//! What `check` found, for people.

use super::paint::{Meaning, Paint};
use super::text;
use crate::model::HostName;
use crate::plan::check::{Allow, CheckDocument, Finding, Severity};

/// The findings, without a line feed at the end.
pub(super) fn text(document: &CheckDocument, paint: Paint) -> String {
    let what = paint.text(Meaning::Strong, &document.service);
    let count = |severity| {
        let findings = document.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut lines: Vec<String> = document
        .findings
        .iter()
        .flat_map(|finding| of(finding, paint))
        .collect();
    lines.extend(document.rights.iter().flat_map(allow));
    lines.push(if errors == 0 && warnings == 0 {
        format!("{what}: nothing is in the way of a rollout")
    } else if errors == 0 {
        let warnings = text::count(warnings, "warning");
        format!("{what}: {warnings}; nothing is in the way of a rollout")
    } else {
        let (errors, warnings) = (
            text::count(errors, "error"),
            text::count(warnings, "warning"),
        );
        format!("{what}: {errors}, {warnings}; a rollout would be refused")
    });
    lines.join("\n")
}

fn of(finding: &Finding, paint: Paint) -> Vec<String> {
    let severity = match finding.severity {
        Severity::Error => paint.text(Meaning::Bad, "error"),
        Severity::Warning => paint.text(Meaning::Careful, "warning"),
    };
    let about = match (&finding.host, &finding.balancer) {
        (Some(host), _) => format!("{host}: "),
        (None, Some(balancer)) => format!("balancer {balancer}: "),
        (None, None) => String::new(),
    };
    let mut lines = vec![format!("{severity}: {about}{}", text::clean(&finding.what))];
    if !finding.mend.is_empty() {
        lines.push(format!("  {}", text::clean(&finding.mend)));
    }
    lines
}

/// The line on its own, so that it can be copied whole.
fn allow(allow: &Allow) -> Vec<String> {
    let hosts: Vec<&str> = allow.hosts.iter().map(HostName::as_str).collect();
    let mut lines = vec![format!(
        "privileged commands, allowed by this on {}:",
        hosts.join(", ")
    )];
    lines.extend(
        allow
            .line
            .lines()
            .map(|line| format!("  {}", text::clean(line))),
    );
    lines
}
