//! What a look means for the servers of a pool.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::address::{Address, Resolved};
use super::script::kernel_text;
use super::snapshot::Snapshot;
use super::upstream::Entry;
use crate::model::{Admin, Health, PoolSeen, ServerName, ServerSeen};

/// One pool, its directives told apart by the servers that the playbook names.
#[derive(Debug, Default)]
pub(super) struct Matched<'a> {
    /// By the playbook's names; others by their own text.
    pub(super) servers: BTreeMap<ServerName, Vec<&'a Entry>>,
    /// Names that have to be resolved to know more.
    pub(super) names: BTreeSet<String>,
    /// Directives that stand for several of the playbook's servers, and so for none.
    pub(super) shared: Vec<String>,
}

impl<'a> Matched<'a> {
    /// Directives found by what their names stand for, by their number, with the targets that they stand for.
    fn take_by_name(
        &mut self,
        entries: &'a [Entry],
        by_name: BTreeMap<usize, Vec<&ServerName>>,
        taken: &mut BTreeSet<usize>,
    ) {
        for (number, meeting) in by_name {
            let Some(entry) = entries.get(number) else {
                continue;
            };
            match meeting.as_slice() {
                [target] => {
                    taken.insert(number);
                    self.servers
                        .entry((*target).clone())
                        .or_default()
                        .push(entry);
                }
                several => {
                    let names: Vec<&str> = several.iter().map(|target| target.as_str()).collect();
                    self.shared.push(format!(
                        "`server {}` stands for several hosts ({}): write one line for each",
                        entry.text(),
                        names.join(", ")
                    ));
                }
            }
        }
    }
}

/// Finds the directives of each target: those with the same address and port, else those with a name that stands for it.
pub(super) fn matched<'a>(
    entries: &'a [Entry],
    targets: &BTreeSet<ServerName>,
    resolved: &Resolved,
) -> Matched<'a> {
    let mut matched = Matched::default();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut by_name: BTreeMap<usize, Vec<&ServerName>> = BTreeMap::new();
    for target in targets {
        let address = Address::read(target.as_str());
        let same = || {
            entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| entry.address == address)
        };
        if same().next().is_some() {
            taken.extend(same().map(|(number, _)| number));
            matched
                .servers
                .insert(target.clone(), same().map(|(_, entry)| entry).collect());
            continue;
        }
        matched.names.extend(address.name().map(str::to_owned));
        matched.names.extend(
            entries
                .iter()
                .filter_map(|entry| entry.address.name())
                .map(str::to_owned),
        );
        for (number, entry) in entries.iter().enumerate() {
            if entry.address.meets(&address, resolved) {
                by_name.entry(number).or_default().push(target);
            }
        }
    }
    matched.take_by_name(entries, by_name, &mut taken);
    for (number, entry) in entries.iter().enumerate() {
        if !taken.contains(&number)
            && let Some(name) = own_name(&entry.text())
        {
            matched.servers.entry(name).or_default().push(entry);
        }
    }
    matched
}

/// A directive's own text as a name: names have neither brackets nor slashes.
fn own_name(text: &str) -> Option<ServerName> {
    let plain = text.replace(['[', ']'], "");
    let name: String = plain
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._:@-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let name = name.trim_start_matches('-');
    ServerName::new(name).ok()
}

/// Where the servers are that are out.
pub(super) fn out_addresses(
    servers: &BTreeMap<ServerName, Vec<&Entry>>,
    resolved: &Resolved,
) -> BTreeSet<SocketAddr> {
    let out = servers.values().filter(|entries| is_out(entries)).flatten();
    out.flat_map(|entry| entry.address.sockets(resolved))
        .collect()
}

/// Names of servers that are out: without their addresses nothing can be counted.
pub(super) fn out_names(servers: &BTreeMap<ServerName, Vec<&Entry>>) -> BTreeSet<String> {
    let out = servers.values().filter(|entries| is_out(entries)).flatten();
    out.filter_map(|entry| entry.address.name())
        .map(str::to_owned)
        .collect()
}

fn is_out(entries: &[&Entry]) -> bool {
    entries.iter().all(|entry| entry.is_out())
}

/// The pool as a balancer shows it.
pub(super) fn pool(servers: &BTreeMap<ServerName, Vec<&Entry>>, snapshot: &Snapshot) -> PoolSeen {
    let servers = servers.iter();
    PoolSeen {
        servers: servers
            .map(|(name, entries)| (name.clone(), server(entries, snapshot)))
            .collect(),
    }
}

fn server(entries: &[&Entry], snapshot: &Snapshot) -> ServerSeen {
    let out = is_out(entries);
    let weights = entries.iter().map(|entry| entry.weight());
    ServerSeen {
        admin: if out { Admin::Drain } else { Admin::Ready },
        health: Health::Unchecked,
        usable: !out,
        in_flight: if out { in_flight(entries, snapshot) } else { 0 },
        weight: Some(weights.fold(0, u32::saturating_add)),
        sticky: false,
        settling: snapshot.pending,
        agent: false,
        agent_rests: false,
        tracks: None,
    }
}

/// Connections to all its addresses. Where old workers still answer requests by the old configuration, each may open one any time.
fn in_flight(entries: &[&Entry], snapshot: &Snapshot) -> u64 {
    let addresses: BTreeSet<SocketAddr> = entries
        .iter()
        .flat_map(|entry| entry.address.sockets(&snapshot.resolved))
        .collect();
    let counts = addresses
        .iter()
        .filter_map(|address| snapshot.connections.get(&kernel_text(address)));
    let count = counts.fold(0_u64, |sum, count| sum.saturating_add(*count));
    // One whose address is not known, such as a name that does not resolve now, or a unix socket, cannot be counted.
    let is_unknown = |entry: &&Entry| entry.address.sockets(&snapshot.resolved).is_empty();
    if snapshot.lingering || entries.iter().any(is_unknown) {
        count.max(snapshot.old)
    } else {
        count
    }
}

/// Why nothing can be told, if so. `files` are those that hold the pools.
pub(super) fn read_only(
    snapshot: &Snapshot,
    files: &BTreeSet<&str>,
    shared: &[String],
) -> Option<String> {
    const MEND: &str = "let the user that rollgate logs in as own the file and its folder, or set become = \"sudo-all\" for this host";
    if let Some(tool) = snapshot.lacking.first() {
        return Some(format!(
            "there is no `{tool}` where nginx runs: install it, or correct the command"
        ));
    }
    if snapshot.master.is_none() {
        return Some(snapshot.masterless.clone());
    }
    if let Some(folder) = &snapshot.unwritable {
        return Some(format!("{folder} cannot be written: {MEND}"));
    }
    let closed = snapshot
        .files
        .values()
        .find(|file| !file.writable && files.contains(file.real.as_str()));
    if let Some(file) = closed {
        return Some(format!(
            "{} cannot be replaced so that it keeps its owner: {MEND}",
            file.real
        ));
    }
    shared.first().cloned()
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::File;
    use super::super::upstream;
    use super::*;
    use crate::model::PoolName;

    fn entries(body: &str) -> Vec<Entry> {
        let mut snapshot = Snapshot::default();
        snapshot.globs.insert("f".to_owned(), vec!["f".to_owned()]);
        let text = format!("upstream app {{ {body} }}");
        snapshot
            .files
            .insert("f".to_owned(), File::of("f", text.as_bytes()));
        let pool = PoolName::new("app").unwrap();
        upstream::find(&snapshot, "f", std::slice::from_ref(&pool))
            .unwrap()
            .pools
            .remove(&pool)
            .unwrap()
    }

    fn names(list: &[&str]) -> BTreeSet<ServerName> {
        list.iter()
            .map(|name| ServerName::new(name).unwrap())
            .collect()
    }

    fn resolved(list: &[(&str, &str)]) -> Resolved {
        let mut resolved = Resolved::new();
        for (name, address) in list {
            resolved
                .entry((*name).to_owned())
                .or_default()
                .insert(address.parse().unwrap());
        }
        resolved
    }

    fn keys(matched: &Matched<'_>) -> Vec<(String, usize)> {
        matched
            .servers
            .iter()
            .map(|(name, entries)| (name.to_string(), entries.len()))
            .collect()
    }

    #[test]
    fn servers_are_named_as_the_playbook_names_them_else_by_themselves() {
        let entries = entries(
            "server 10.0.0.1:80; server [::1]:8080; server unix:/run/a.sock; server 10.0.0.1 down;",
        );
        let matched = matched(
            &entries,
            &names(&["10.0.0.1", "::1:8080", "10.0.0.9:80"]),
            &Resolved::new(),
        );
        let wanted = [("10.0.0.1", 2), ("::1:8080", 1), ("unix:_run_a.sock", 1)];
        assert_eq!(
            keys(&matched),
            wanted.map(|(name, count)| (name.to_owned(), count))
        );
        // One of its two lines still brings requests.
        let seen = pool(&matched.servers, &Snapshot::default());
        assert!(seen.servers[&ServerName::new("10.0.0.1").unwrap()].usable);
        assert_eq!(seen.usable(), 3);
    }

    #[test]
    fn a_name_counts_only_where_no_address_does_and_only_for_one_host() {
        let entries = entries("server app:80; server both:80; server b:81 down;");
        let known = resolved(&[
            ("app", "10.0.0.1"),
            ("both", "10.0.0.2"),
            ("both", "10.0.0.3"),
            ("c", "10.0.0.4"),
            ("b", "10.0.0.4"),
        ]);
        let targets = names(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "c:81"]);
        let matched = matched(&entries, &targets, &known);
        assert_eq!(
            keys(&matched),
            [
                ("10.0.0.1:80".to_owned(), 1),
                ("both:80".to_owned(), 1),
                ("c:81".to_owned(), 1)
            ]
        );
        assert!(
            matched.shared[0].contains("both:80") && matched.names.contains("c"),
            "{matched:?}"
        );
        assert_eq!(
            out_addresses(&matched.servers, &known),
            ["10.0.0.4:81".parse().unwrap()].into()
        );
        let first = super::matched(&entries, &names(&["app:80"]), &Resolved::new());
        assert!(first.names.is_empty());
        assert_eq!(out_names(&first.servers), ["b".to_owned()].into());
    }

    #[test]
    fn connections_are_counted_for_servers_that_are_out_and_old_workers_where_they_linger() {
        let entries = entries("server 127.0.0.1:80 down weight=3; server 127.0.0.2:80;");
        let matched = matched(&entries, &BTreeSet::new(), &Resolved::new());
        let mut snapshot = Snapshot {
            connections: [
                ("0100007F:0050".to_owned(), 2),
                ("0200007F:0050".to_owned(), 5),
            ]
            .into(),
            old: 4,
            ..Snapshot::default()
        };
        let counts = |snapshot: &Snapshot| -> Vec<u64> {
            pool(&matched.servers, snapshot)
                .servers
                .values()
                .map(|server| server.in_flight)
                .collect()
        };
        assert_eq!(counts(&snapshot), [2, 0]);
        snapshot.lingering = true;
        assert_eq!(counts(&snapshot), [4, 0]);
        let seen = pool(&matched.servers, &snapshot);
        assert_eq!(
            seen.servers
                .values()
                .map(|server| server.weight)
                .collect::<Vec<_>>(),
            [Some(3), Some(1)]
        );
    }
}
