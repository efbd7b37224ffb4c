//! What cannot work, said before anything is touched. All reasons at once.

use super::{Facts, HostView, release, resume};
use crate::model::{
    Current, Floor, HostFacts, PoolName, RecordSeen, Revision, ServerName, TrafficTarget,
    Unreachable,
};

/// Room left beside a release: records, logs of commands, the release's own folder.
const SPARE_KIB: u64 = 1024;

/// Every reason that does not depend on the batches.
pub fn refusals(facts: &Facts) -> Vec<String> {
    let mut reasons = Vec::new();
    for host in &facts.hosts {
        host_refusals(facts, host, &mut reasons);
    }
    let mut chosen = facts.hosts.iter().filter(|host| host.selected);
    if reasons.is_empty() && chosen.all(|host| host.facts.is_err()) {
        reasons.push("none of the hosts that were chosen could be reached".to_owned());
    }
    balancer_refusals(facts, &mut reasons);
    release_refusals(facts, &mut reasons);
    reasons
}

fn host_refusals(facts: &Facts, host: &HostView, reasons: &mut Vec<String>) {
    if !host.selected {
        return;
    }
    let name = &host.spec.name;
    let seen = match &host.facts {
        Ok(seen) => seen,
        Err(reason) => {
            // A refused key or a folder that may not be written is no host that happens to be away.
            let away_is_fine =
                facts.strategy.unreachable == Unreachable::Skip || facts.resumes.is_some();
            if !away_is_fine || !host.is_away {
                reasons.push(format!("host `{name}`: {reason}"));
            }
            return;
        }
    };
    if let Current::Foreign(what) = &seen.current {
        let root = &host.spec.root;
        reasons.push(format!(
            "host `{name}`: `{root}/current` is {what}, which is never replaced; make it a link first: `mv {root}/current {root}/found && ln -s {root}/found {root}/current`"
        ));
    }
    for trouble in &seen.troubles {
        reasons.push(format!("host `{name}`: {trouble}"));
    }
    if !seen.root_writable {
        let root = &host.spec.root;
        reasons.push(format!("host `{name}`: the SSH user may not write to `{root}`; give it the folder: `sudo install -d -o USER {root}`"));
    }
    for tool in facts
        .tools
        .iter()
        .filter(|tool| !seen.tools.contains(**tool))
    {
        reasons.push(format!("host `{name}`: `{tool}` is missing there"));
    }
    let needed = facts.size.div_ceil(1024) + SPARE_KIB;
    if let Some(free) = seen
        .free_kib
        .filter(|free| *free < needed && needs_room(facts, host))
    {
        reasons.push(format!(
            "host `{name}`: {free} KiB free under `{}`, {needed} KiB needed",
            host.spec.root
        ));
    }
    if let RecordSeen::Corrupt(why) = &seen.record
        && !facts.wishes.take_over
    {
        let file = format!("{}/.rollgate/rollout.json", host.spec.root);
        reasons.push(format!("host `{name}`: `{file}` cannot be read ({why}); look at it, then remove it or run with `--take-over`"));
    }
}

fn balancer_refusals(facts: &Facts, reasons: &mut Vec<String>) {
    for (name, seen) in &facts.balancers {
        if let Some(why) = &seen.read_only {
            reasons.push(format!("balancer `{name}`: {why}"));
        }
    }
    for host in facts.hosts.iter().filter(|host| host.selected) {
        for target in &host.spec.traffic {
            if let Some(reason) = server_refusal(facts, host, target) {
                reasons.push(reason);
            }
        }
    }
    reasons.dedup();
}

fn server_refusal(facts: &Facts, host: &HostView, target: &TrafficTarget) -> Option<String> {
    let TrafficTarget {
        balancer,
        pool,
        server,
    } = target;
    let seen = facts.balancers.get(balancer)?;
    let Some(known) = seen.pools.get(pool) else {
        return Some(format!("balancer `{balancer}` has no pool `{pool}`"));
    };
    match known.servers.get(server) {
        None => {
            let near = nearest(server, known.servers.keys()).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            Some(format!("host `{}`: pool `{pool}` of balancer `{balancer}` has no server `{server}`{near}", host.spec.name))
        }
        Some(seen) => seen.tracks.as_ref().filter(|tracked| !is_listed(host, balancer.as_str(), tracked)).map(|tracked| {
            format!(
                "host `{}`: server `{pool}/{server}` of balancer `{balancer}` tracks `{tracked}` and cannot be drained itself; add `{tracked}` to `[[traffic]]` instead",
                host.spec.name
            )
        }),
    }
}

fn is_listed(host: &HostView, balancer: &str, tracked: &str) -> bool {
    host.spec.traffic.iter().any(|other| {
        other.balancer.as_str() == balancer
            && (format!("{}/{}", other.pool, other.server) == tracked
                || other.server.as_str() == tracked)
    })
}

fn nearest<'a>(
    server: &ServerName,
    known: impl Iterator<Item = &'a ServerName>,
) -> Option<&'a ServerName> {
    let distance =
        |other: &ServerName| strsim::damerau_levenshtein(server.as_str(), other.as_str());
    let best = known.min_by_key(|other| distance(other))?;
    (distance(best) <= 1 + server.as_str().len() / 3).then_some(best)
}

/// Whether something will be sent there.
fn needs_room(facts: &Facts, host: &HostView) -> bool {
    let staged = |seen: &HostFacts| {
        resume::record(facts, host).is_some_and(|record| {
            let folder = release::folder(record.target.revision, &record.target.version);
            seen.releases.contains(&folder)
        })
    };
    !release::is_on_target(facts, host) && !host.facts.as_ref().is_ok_and(staged)
}

fn release_refusals(facts: &Facts, reasons: &mut Vec<String>) {
    if facts.resumes.is_some() {
        // What was begun with it was not refused then.
        return;
    }
    if let Some(revision) = facts.undo {
        return undo_refusals(facts, revision, reasons);
    }
    if !facts.wishes.replace_artifact {
        for (revision, sha256) in release::other_artifacts(facts) {
            reasons.push(format!(
                "version {} is already known as revision {revision} with another artifact (sha256 {}…, this one is {}…); give it another version, or run with `--replace-artifact`",
                facts.version,
                sha256.get(..12).unwrap_or(&sha256),
                facts.sha256.as_str().get(..12).unwrap_or_default(),
            ));
        }
    }
    if !facts.wishes.again
        && let Some((host, line)) = release::taken_back(facts)
    {
        let rollout = line
            .rollout
            .as_ref()
            .map_or_else(String::new, |rollout| format!(" by rollout {rollout}"));
        reasons.push(format!(
            "version {} was taken back from host `{}`{rollout} at {:.0}; fix it under another version, or run with `--again`",
            facts.version, host.spec.name, line.at
        ));
    }
}

/// Hosts that do not have what the fleet is taken back to, where nothing here is it either.
fn undo_refusals(facts: &Facts, revision: Revision, reasons: &mut Vec<String>) {
    let folder = release::folder(revision, &facts.version);
    for host in facts.hosts.iter().filter(|host| host.selected) {
        let Ok(seen) = &host.facts else { continue };
        let has_it = if revision == Revision::FOUND {
            seen.revisions.iter().any(|line| line.revision == revision)
        } else {
            seen.releases.contains(&folder) || facts.size > 0
        };
        if !has_it {
            reasons.push(format!(
                "host `{}` does not have revision {revision} (version {}), and neither the playbook's source here nor another host gave its artifact; put that artifact there, or choose another revision (`rollgate history`)",
                host.spec.name, facts.version
            ));
        }
    }
}

/// The reason for a pool that would be left with fewer usable servers than were asked for. `numbers`: left, wanted.
pub fn below(pool: (&str, &PoolName), numbers: (usize, usize), asked: Floor) -> String {
    let ((balancer, pool), (left, wanted)) = (pool, numbers);
    let share = match asked {
        Floor::Count(_) => String::new(),
        Floor::Percent(_) => format!(" ({asked} of its servers)"),
    };
    format!(
        "pool `{pool}` of balancer `{balancer}` would be left with {left} usable servers, and `min_usable` wants {wanted}{share}; add servers, make batches smaller, or lower `min_usable`"
    )
}

/// The reason for a pool that would be left without a usable server.
pub fn emptied(balancer: &str, pool: &PoolName) -> String {
    format!(
        "pool `{pool}` of balancer `{balancer}` would be left with no usable server; add servers, or allow it by `strategy.allow_downtime = true` or `--allow-downtime`"
    )
}
