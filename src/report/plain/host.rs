//! Lines about one host's way.

use super::Said;
use crate::event::EventKind;
use crate::model::{Failure, HostName, Revision};
use crate::report::paint::Meaning;
use crate::report::text::{self, seconds};

/// What an event about one host's way says; `None` for the others.
pub(super) fn said(kind: &EventKind) -> Option<Said> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are `fleet::said`'s; a test gives every event to both"
    )]
    Some(match kind {
        EventKind::HostStaged {
            host,
            revision,
            sent_bytes,
            seconds,
        } => staged(host, *revision, *sent_bytes, *seconds),
        EventKind::HostDraining { host, .. } => Said::new(host, "draining"),
        EventKind::HostDrained {
            host, seconds: s, ..
        } => Said::new(host, format!("drained in {}", seconds(*s))),
        EventKind::HostSwapping { host, revision, .. } => {
            Said::new(host, format!("swapping to revision {revision}"))
        }
        EventKind::HostSwapped {
            host,
            revision,
            seconds: s,
            ..
        } => Said::new(
            host,
            format!("swapped to revision {revision} in {}", seconds(*s)),
        ),
        EventKind::HostProbing { host, url, .. } => Said::new(host, format!("probing {url}")),
        EventKind::HostReady {
            host,
            probes,
            version,
            seconds,
            ..
        } => ready(host, *probes, version.as_deref(), *seconds),
        EventKind::HostEnabling { host, .. } => Said::new(host, "enabling"),
        EventKind::HostEnabled {
            host, seconds: s, ..
        } => Said::new(host, format!("enabled in {}", seconds(*s))),
        EventKind::HostSoaked {
            host,
            flaps,
            seconds,
            ..
        } => soaked(host, *flaps, *seconds),
        EventKind::HostSkipped { host, reason } => Said::new(host, format!("skipped: {reason}")),
        EventKind::HostFailed {
            host,
            step,
            failure,
            logs,
            ..
        } => failed(host, step, failure).detail("log", logs),
        EventKind::HostReverting { host, revision, .. } => reverting(host, *revision),
        EventKind::HostReverted {
            host,
            revision,
            seconds,
            ..
        } => reverted(host, *revision, *seconds),
        EventKind::HostStranded {
            host, seen, mend, ..
        } => stranded(host, seen).detail("mend", mend),
        _ => return None,
    })
}

fn staged(host: &HostName, revision: Revision, sent: u64, time: f64) -> Said {
    let sent = if sent == 0 {
        "nothing to send".to_owned()
    } else {
        format!("{} sent", text::bytes(sent))
    };
    Said::new(
        host,
        format!("staged revision {revision}, {sent}, in {}", seconds(time)),
    )
}

fn ready(host: &HostName, probes: u32, version: Option<&str>, time: f64) -> Said {
    let version = version
        .map(|version| format!(" as {version}"))
        .unwrap_or_default();
    let probes = text::count(usize::try_from(probes).unwrap_or(usize::MAX), "probe");
    Said::new(
        host,
        format!("ready{version} after {probes} in {}", seconds(time)),
    )
}

fn soaked(host: &HostName, flaps: u32, time: f64) -> Said {
    let time = seconds(time);
    match flaps {
        0 => Said::new(host, format!("soaked in {time}")),
        flaps => {
            let flaps = text::count(usize::try_from(flaps).unwrap_or(usize::MAX), "flap");
            Said::new(host, format!("soaked in {time}, with {flaps}")).as_a(Meaning::Careful)
        }
    }
}

fn failed(host: &HostName, step: &str, failure: &Failure) -> Said {
    Said::new(host, format!("failed in {step}: {}", failure.what))
        .as_a(Meaning::Bad)
        .failure(failure)
}

fn reverting(host: &HostName, revision: Option<Revision>) -> Said {
    Said::new(host, format!("reverting to {}", before(revision))).as_a(Meaning::Careful)
}

fn reverted(host: &HostName, revision: Option<Revision>, time: f64) -> Said {
    Said::new(
        host,
        format!("reverted to {} in {}", before(revision), seconds(time)),
    )
    .as_a(Meaning::Careful)
}

fn stranded(host: &HostName, seen: &str) -> Said {
    Said::new(host, format!("stranded: {seen}")).as_a(Meaning::Bad)
}

fn before(revision: Option<Revision>) -> String {
    match revision {
        Some(Revision::FOUND) => "what was found there".to_owned(),
        Some(revision) => format!("revision {revision}"),
        None => "nothing, as it was found".to_owned(),
    }
}
