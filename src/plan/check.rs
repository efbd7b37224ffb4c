//! What `rollgate check` finds: everything that would be in the way of a rollout, all at once, and what is worth knowing. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Facts, Plan, Standing};
use crate::model::{BalancerName, Become, HostName, Rights, TrafficState};

/// The format of the document that this version writes.
pub const FORMAT: u32 = 1;

/// The document of `check --output json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDocument {
    /// Format version: [`FORMAT`].
    pub v: u32,
    /// What would be rolled.
    pub service: String,
    /// Errors first.
    pub findings: Vec<Finding>,
    /// What has to be allowed where commands are run by `sudo` or `doas`; absent where nothing has to be.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rights: Vec<Allow>,
}

/// Lines that let rollgate do its work on some hosts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Allow {
    /// A line of `sudoers`, or lines of `doas.conf`.
    pub line: String,
    /// Where.
    pub hosts: Vec<HostName>,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A rollout would be refused.
    Error,
    /// A rollout would go on.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// The host that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<HostName>,
    /// The balancer that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub balancer: Option<BalancerName>,
    /// What was found.
    pub what: String,
    /// What to do; empty where there is nothing more to say than the finding itself.
    pub mend: String,
}

/// What each host has to allow, or why that could not be told.
pub type HostRights = (HostName, Become, Result<Rights, String>);

/// What a look at the fleet shows. `in_the_way` is the lock or unfinished rollout that would stop a deploy.
pub fn check(
    facts: &Facts,
    plan: &Plan,
    rights: &[HostRights],
    in_the_way: Option<&str>,
) -> CheckDocument {
    let errors = plan.refused.iter().map(String::as_str).chain(in_the_way);
    let mut findings: Vec<Finding> = errors
        .map(|text| finding(facts, Severity::Error, text))
        .collect();
    let warnings = plan.warnings.iter();
    findings.extend(warnings.map(|text| finding(facts, Severity::Warning, text)));
    findings.extend(rights.iter().filter_map(not_allowed));
    findings.extend(unready(facts));
    findings.extend(out_of_traffic(plan));
    findings.sort();
    findings.dedup();
    CheckDocument {
        v: FORMAT,
        service: facts.service.to_string(),
        findings,
        rights: allow(rights),
    }
}

/// Why a host's service could not be restarted.
fn not_allowed((host, _, rights): &HostRights) -> Option<Finding> {
    let (what, mend) = match rights {
        Ok(rights) => rights.complaint()?,
        Err(reason) => {
            let (what, mend) = reason.split_once(": ").unwrap_or((reason, ""));
            (what.to_owned(), mend.to_owned())
        }
    };
    Some(Finding {
        severity: Severity::Error,
        host: Some(host.clone()),
        balancer: None,
        what,
        mend,
    })
}

/// The lines, each with the hosts that it is for.
fn allow(rights: &[HostRights]) -> Vec<Allow> {
    let mut lines: BTreeMap<String, Vec<HostName>> = BTreeMap::new();
    for (host, r#become, rights) in rights {
        if let Some(line) = rights
            .as_ref()
            .ok()
            .and_then(|rights| rights.line(*r#become))
        {
            lines.entry(line).or_default().push(host.clone());
        }
    }
    let allow = |(line, hosts)| Allow { line, hosts };
    lines.into_iter().map(allow).collect()
}

/// A reason as the plan words it, taken apart: `host `x`: what; mend`.
fn finding(facts: &Facts, severity: Severity, text: &str) -> Finding {
    let about = |kind: &str| {
        let rest = text.strip_prefix(kind)?.strip_prefix(" `")?;
        rest.split_once("`: ").or_else(|| rest.split_once("` "))
    };
    let host = about("host").and_then(|(name, rest)| {
        let mut hosts = facts.hosts.iter().map(|view| &view.spec.name);
        Some((hosts.find(|host| host.as_str() == name)?.clone(), rest))
    });
    let balancer = about("balancer").and_then(|(name, rest)| {
        let named = facts.hosts.iter().flat_map(|view| &view.spec.traffic);
        let mut named = named.map(|target| &target.balancer);
        Some((named.find(|one| one.as_str() == name)?.clone(), rest))
    });
    let (host, balancer, said) = match (host, balancer) {
        (Some((host, rest)), _) => (Some(host), None, rest),
        (None, Some((balancer, rest))) => (None, Some(balancer), rest),
        (None, None) => (None, None, text),
    };
    let (what, mend) = said.split_once("; ").unwrap_or((said, ""));
    Finding {
        severity,
        host,
        balancer,
        what: what.to_owned(),
        mend: mend.to_owned(),
    }
}

/// Hosts whose service is not ready now.
fn unready(facts: &Facts) -> impl Iterator<Item = Finding> {
    let sick = facts
        .hosts
        .iter()
        .filter(|view| view.facts.is_ok() && !view.proof.ready);
    sick.map(|view| Finding {
        severity: Severity::Warning,
        host: Some(view.spec.name.clone()),
        balancer: None,
        what: match view.proof.status {
            Some(status) => format!("is not ready: {} answers {status}", view.spec.ready_url),
            None => format!("is not ready: {} gives no answer", view.spec.ready_url),
        },
        mend: "a rollout takes it first and must make it ready".to_owned(),
    })
}

/// Hosts that no balancer sends requests to.
fn out_of_traffic(plan: &Plan) -> impl Iterator<Item = Finding> {
    let out = plan
        .hosts
        .iter()
        .filter(|host| host.standing != Standing::InTraffic && !host.traffic.is_empty());
    out.map(|host| {
        let states = host
            .traffic
            .iter()
            .filter(|seen| seen.state != TrafficState::Ready);
        let states: Vec<String> = states
            .map(|seen| format!("{}/{} {}", seen.balancer, seen.pool, seen.state.as_str()))
            .collect();
        let mend = match host.standing {
            Standing::Operator => "an operator took it out: it would be updated, and stays out",
            Standing::Sick | Standing::InTraffic => "a rollout takes it first",
        };
        Finding {
            severity: Severity::Warning,
            host: Some(host.host.clone()),
            balancer: None,
            what: format!("gets no requests: {}", states.join(", ")),
            mend: mend.to_owned(),
        }
    })
}
