//! What `show info`, `show servers state` and `show stat` answer, as values. Pure; never panics, whatever the bytes.
//!
//! Source: `HAProxy` 2.6 Management Guide, 9.1 (CSV format) and 9.3 (`show servers state`); both are read by column name, since later
//! versions insert columns.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::state::{Numbers, State};
use crate::model::{PoolName, PoolSeen, ServerName, ServerSeen};

const STATE_HEADER: &str = "# be_id ";
const STAT_HEADER: &str = "# pxname,";

/// The answer to [`super::driver`]'s one reading line: all of it comes from one process.
///
/// A server is *usable* when its admin state holds neither drain nor maintenance, it is starting or running, has a weight, and its
/// status is `UP…` or `no check`. So a healthy `backup` server counts as usable even while `HAProxy` sends it nothing because active
/// ones are there: it takes over the moment that they go, which is what the floor of R1 asks, and it can be "enabled" at all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    /// Process id and start time.
    pub(super) process: String,
    /// Whether this process is on its way out and its state therefore stale.
    pub(super) stopping: bool,
    /// `user`, `operator` or `admin`.
    pub(super) level: String,
    /// The wanted pools that exist.
    pub(super) pools: BTreeMap<PoolName, PoolSeen>,
    /// Its process id.
    pub(super) pid: u32,
    /// Where each server is, as far as it is an address.
    pub(super) addresses: BTreeMap<(PoolName, ServerName), SocketAddr>,
}

impl Snapshot {
    /// Adds what old processes have in flight to each server.
    pub(super) fn add_in_flight(&mut self, more: impl Fn(&PoolName, &ServerName) -> u64) {
        for (pool, seen) in &mut self.pools {
            for (server, seen) in &mut seen.servers {
                seen.in_flight = seen.in_flight.saturating_add(more(pool, server));
            }
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// A text that says which part is missing or odd.
pub(super) fn snapshot(text: &str, wanted: &[PoolName]) -> Result<Snapshot, String> {
    let (head, rest) = cut_before(text, STATE_HEADER).ok_or("no table of `show servers state`")?;
    let (states, stats) = cut_before(rest, STAT_HEADER).ok_or("no table of `show stat`")?;
    let mut snapshot = read_head(head)?;
    let (mut pools, numbers) = read_stats(stats, wanted)?;
    for (pool, server, seen) in read_states(states, wanted, &numbers)? {
        let known = numbers.get(&(pool.to_string(), server.to_string()));
        if let Some(address) = known.and_then(|known| known.address) {
            let key = (pool.clone(), server.clone());
            snapshot.addresses.insert(key, address);
        }
        pools.entry(pool).or_default().servers.insert(server, seen);
    }
    snapshot.pools = pools;
    Ok(snapshot)
}

/// Cuts before the first line that begins with `mark`.
fn cut_before<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    if text.starts_with(mark) {
        return Some(("", text));
    }
    let at = text.find(&format!("\n{mark}"))?.checked_add(1)?;
    text.split_at_checked(at)
}

/// `show info` and `show cli level`.
fn read_head(head: &str) -> Result<Snapshot, String> {
    let mut info = HashMap::new();
    let mut level = None;
    for line in head.lines() {
        let word = line.strip_prefix("[6]: ").unwrap_or(line).trim();
        if matches!(word, "user" | "operator" | "admin") {
            level = Some(word.to_owned());
        } else if let Some((key, value)) = line.split_once(": ") {
            info.insert(key, value.trim());
        }
    }
    let pid = info.get("Pid").ok_or("no `Pid` in `show info`")?;
    let process = match info.get("Start_time_sec") {
        Some(start) => format!("pid {pid}, started {start}"),
        None => format!("pid {pid}"),
    };
    Ok(Snapshot {
        process,
        stopping: info.get("Stopping").is_some_and(|value| *value != "0"),
        level: level.ok_or("no answer to `show cli level`")?,
        pid: pid.parse().unwrap_or_default(),
        pools: BTreeMap::new(),
        addresses: BTreeMap::new(),
    })
}

/// What a table of `show stat` says is in flight, by pool and server.
///
/// # Errors
/// A text that says which part is missing or odd.
pub(super) fn in_flight(
    text: &str,
    wanted: &[PoolName],
) -> Result<HashMap<(String, String), u64>, String> {
    let (_, stats) = cut_before(text, STAT_HEADER).ok_or("no table of `show stat`")?;
    let (_, numbers) = read_stats(stats, wanted)?;
    let numbers = numbers.into_iter();
    Ok(numbers.map(|(key, seen)| (key, seen.in_flight)).collect())
}

type Stats = (
    BTreeMap<PoolName, PoolSeen>,
    HashMap<(String, String), Numbers>,
);

fn read_stats(text: &str, wanted: &[PoolName]) -> Result<Stats, String> {
    let text = text.strip_prefix("# ").unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let at = |name: &'static str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| format!("no column `{name}` in `show stat`"))
    };
    let (pool, server, kind) = (at("pxname")?, at("svname")?, at("type")?);
    let (scur, qcur, status) = (at("scur")?, at("qcur")?, at("status")?);
    // Absent in old versions.
    let (cookie, tracked, addr) = (at("cookie").ok(), at("tracked").ok(), at("addr").ok());
    let mut pools = BTreeMap::new();
    let mut numbers = HashMap::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let cell = |at: usize| row.get(at).unwrap_or_default();
        let Some(name) = wanted.iter().find(|name| name.as_str() == cell(pool)) else {
            continue;
        };
        match cell(kind) {
            "1" => drop(pools.entry(name.clone()).or_insert_with(PoolSeen::default)),
            "2" => {
                let text = |at: Option<usize>| at.map(cell).filter(|text| !text.is_empty());
                let seen = Numbers {
                    in_flight: number(cell(scur), "scur")?
                        .saturating_add(number(cell(qcur), "qcur")?),
                    serving: cell(status).starts_with("UP") || cell(status) == "no check",
                    sticky: text(cookie).is_some(),
                    tracks: text(tracked).map(str::to_owned),
                    address: text(addr).and_then(|addr| addr.parse().ok()),
                };
                numbers.insert((cell(pool).to_owned(), cell(server).to_owned()), seen);
            }
            _ => {}
        }
    }
    Ok((pools, numbers))
}

fn read_states(
    text: &str,
    wanted: &[PoolName],
    numbers: &HashMap<(String, String), Numbers>,
) -> Result<Vec<(PoolName, ServerName, ServerSeen)>, String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default().trim_start_matches("# ");
    let columns: Vec<&str> = header.split_whitespace().collect();
    let mut found = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let row: HashMap<&str, &str> = columns
            .iter()
            .copied()
            .zip(line.split_whitespace())
            .collect();
        let cell = |name: &'static str| {
            let value = row.get(name).copied();
            value.ok_or_else(|| format!("no column `{name}` in `show servers state`"))
        };
        let (pool, server) = (cell("be_name")?, cell("srv_name")?);
        let Some(name) = wanted.iter().find(|name| name.as_str() == pool) else {
            continue;
        };
        // A row in one table only is a server that was just added or removed: what is not known whole is left out.
        let known = numbers.get(&(pool.to_owned(), server.to_owned()));
        if let (Some(known), Ok(server)) = (known, ServerName::new(server)) {
            let state = State {
                mask: number(cell("srv_admin_state")?, "srv_admin_state")?,
                op: number(cell("srv_op_state")?, "srv_op_state")?,
                weight: number(cell("srv_uweight")?, "srv_uweight")?,
                check: number(cell("srv_check_state")?, "srv_check_state")?,
                // Absent in old versions.
                agent: cell("srv_agent_state")
                    .ok()
                    .and_then(|state| state.parse().ok())
                    .unwrap_or(0),
                result: number(cell("srv_check_result")?, "srv_check_result")?,
            };
            found.push((name.clone(), server, state.seen(known)));
        }
    }
    Ok(found)
}

fn number(text: &str, column: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_error| format!("`{text}` in column `{column}` is not a number"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Admin, Health};

    /// Cut down from an answer of 2.6.12, with the columns in another order.
    const ANSWER: &str = "\n\
Name: HAProxy\nPid: 77\nUptime_sec: 0\nStopping: 0\nStart_time_sec: 1795509535\n\n\
[6]: admin\n\n1\n\
# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight srv_check_result srv_check_state\n\
2 be 1 up 2 0 100 3 6\n\
2 be 2 bit4 2 4 1 0 0\n\
2 be 3 drained-and-down 0 8 1 2 6\n\
2 be 4 maint 0 1 1 3 14\n\
2 be 5 light 2 0 0 3 7\n\
2 be 6 tracker 2 16 1 0 0\n\
2 be 7 unresolved 0 32 1 0 0\n\
3 other 1 up broken 0 1 0 0\n\
\n\
# pxname,svname,type,status,qcur,scur,tracked,cookie,-,\n\
be,up,2,UP,1,2,,c1,,\n\
be,bit4,2,no check,0,0,,,,\n\
be,drained-and-down,2,DOWN,0,0,,,,\n\
be,maint,2,MAINT,0,0,,,,\n\
be,light,2,UP,0,0,,,,\n\
be,tracker,2,DRAIN,0,0,be/up,,,\n\
be,unresolved,2,MAINT (resolution),0,0,,,,\n\
be,BACKEND,1,UP,0,2,,,,\n\
other,up,2,UP,x,0,,,,\n\
bare,BACKEND,1,UP,0,0,,,,\n\n";

    fn pools(names: &[&str]) -> Vec<PoolName> {
        names.iter().map(|n| PoolName::new(n).unwrap()).collect()
    }

    fn server(name: &str) -> ServerSeen {
        let seen = snapshot(ANSWER, &pools(&["be"])).unwrap();
        let pool = seen.pools.values().next().unwrap();
        pool.servers[&ServerName::new(name).unwrap()].clone()
    }

    #[test]
    fn the_process_and_its_level_are_read() {
        let seen = snapshot(ANSWER, &[]).unwrap();
        assert_eq!(seen.process, "pid 77, started 1795509535");
        assert_eq!(seen.level, "admin");
        assert!(!seen.stopping && seen.pools.is_empty());
    }

    #[test]
    fn a_pool_without_servers_exists_and_an_unknown_one_is_absent() {
        let seen = snapshot(ANSWER, &pools(&["bare", "nope"])).unwrap();
        assert_eq!(seen.pools.len(), 1);
        assert!(seen.pools.values().all(|pool| pool.servers.is_empty()));
    }

    #[test]
    fn a_running_server_is_usable_and_counts_served_and_queued() {
        let up = server("up");
        assert_eq!((up.admin, up.health), (Admin::Ready, Health::Up));
        assert!(up.usable && up.sticky);
        assert_eq!((up.in_flight, up.weight), (3, Some(100)));
    }

    #[test]
    fn disabled_in_the_configuration_and_enabled_since_is_ready() {
        let seen = server("bit4");
        assert_eq!((seen.admin, seen.health), (Admin::Ready, Health::Unchecked));
        assert!(seen.usable);
    }

    #[test]
    fn a_failing_check_does_not_hide_the_drain() {
        let seen = server("drained-and-down");
        assert_eq!((seen.admin, seen.health), (Admin::Drain, Health::Down));
        assert!(!seen.usable);
    }

    #[test]
    fn maintenance_keeps_the_last_known_health() {
        let seen = server("maint");
        assert_eq!((seen.admin, seen.health), (Admin::Maint, Health::Up));
    }

    #[test]
    fn no_weight_means_no_requests() {
        let seen = server("light");
        assert_eq!((seen.health, seen.usable), (Health::Up, false));
    }

    #[test]
    fn a_tracker_inherits_and_names_its_server() {
        let seen = server("tracker");
        assert_eq!((seen.admin, seen.health), (Admin::Drain, Health::Up));
        assert_eq!(seen.tracks.as_deref(), Some("be/up"));
        assert_eq!(server("unresolved").admin, Admin::Maint);
    }

    #[test]
    fn an_odd_number_of_a_wanted_pool_is_an_error_that_names_the_column() {
        let error = snapshot(ANSWER, &pools(&["other"])).unwrap_err();
        assert!(error.contains("`qcur`"), "{error}");
        let error = snapshot("Pid: 1\n", &[]).unwrap_err();
        assert!(error.contains("show servers state"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _unused = snapshot(&String::from_utf8_lossy(&bytes), &pools(&["be"]));
        }

        #[test]
        fn any_damage_to_a_real_answer_is_survived(
            from in 0..ANSWER.len(), len in 0..80_usize, with in "[ -~\n,\"]{0,8}"
        ) {
            let to = (from + len).min(ANSWER.len());
            let damaged = format!("{}{with}{}", &ANSWER[..from], &ANSWER[to..]);
            let _unused = snapshot(&damaged, &pools(&["be", "other"]));
        }
    }
}
