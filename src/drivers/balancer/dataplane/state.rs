//! What the Data Plane API tells of one server, taken together. Pure.
//!
//! Source: the models `runtime_server` and `native_stat` of `HAProxy`'s client-native 5 and 6, as served by Data Plane API 2.8 and 3.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{Admin, Health, PoolSeen, ServerName, ServerSeen};

/// `srv_check_state`: a check is configured.
const CHECKED: i64 = 2;
/// `srv_check_result` of a check that failed.
const CHECK_FAILED: i64 = 2;

/// `srv_agent_state`: an agent check is configured.
const AGENT_CONFIGURED: i64 = 2;
/// The same: it is configured, and runs.
const AGENT_RUNS: i64 = 6;

/// One server of `runtime/…/servers`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RuntimeServer {
    pub(super) name: String,
    pub(super) admin_state: String,
    operational_state: String,
    /// Told by newer versions only, as are the next three.
    weight: Option<i64>,
    check_state: Option<i64>,
    check_result: Option<i64>,
    agent_state: Option<i64>,
}

/// Version 2 answers a list with one entry a process, version 3 the entry itself.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    pub(super) fn list(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// One entry of `stats/native`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NativeStats {
    pub(super) error: String,
    pub(super) stats: Vec<NativeStat>,
}

/// One row of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NativeStat {
    name: String,
    backend_name: String,
    stats: Numbers,
}

/// What a row says.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Numbers {
    scur: u64,
    qcur: u64,
    status: String,
    weight: Option<i64>,
    cookie: String,
    tracked: String,
    check_status: String,
    agent_status: String,
}

/// One entry of `runtime/info`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProcessInfo {
    pub(super) error: String,
    pub(super) info: Info,
}

/// What it says of its process.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) pid: Option<i64>,
    pub(super) uptime: Option<u64>,
    pub(super) stopping: i64,
}

/// The servers of one pool. A row in one of the two answers only is a server that was just added or removed: it is left out.
pub(super) fn pool(name: &str, servers: Vec<RuntimeServer>, stats: Vec<NativeStats>) -> PoolSeen {
    let rows = stats.into_iter().flat_map(|entry| entry.stats);
    let rows = rows.filter(|row| row.backend_name == name);
    // Several processes, as old versions had them, serve the same server each on its own.
    let mut numbers: BTreeMap<String, Numbers> = BTreeMap::new();
    for row in rows {
        let known = numbers.entry(row.name).or_insert_with(|| Numbers {
            scur: 0,
            qcur: 0,
            ..row.stats.clone()
        });
        known.scur = known.scur.saturating_add(row.stats.scur);
        known.qcur = known.qcur.saturating_add(row.stats.qcur);
    }
    let servers = servers.into_iter().filter_map(|server| {
        let known = numbers.get(&server.name)?;
        Some((ServerName::new(&server.name).ok()?, server.seen(known)))
    });
    PoolSeen {
        servers: servers.collect(),
    }
}

impl RuntimeServer {
    /// `admin_state` cannot be believed alone: the API reads `HAProxy`'s decimal mask as hexadecimal, so that a server which is
    /// `disabled` in the configuration and was drained since (8 + 4 = 12) reads as `maint`. `status` tells what it is now; only a server
    /// that is down shows neither drain nor ready there, and of one that `admin_state` then holds for out, the lesser word is taken.
    fn admin(&self, status: &str) -> Admin {
        if status.starts_with("MAINT") {
            Admin::Maint
        } else if status.starts_with("DRAIN")
            || (status.starts_with("DOWN") && self.admin_state != "ready")
        {
            Admin::Drain
        } else {
            Admin::Ready
        }
    }

    fn health(&self, known: &Numbers, admin: Admin) -> Health {
        let failed = match admin {
            // Checks are paused then, and the operational state is always "down".
            Admin::Maint => self.check_result == Some(CHECK_FAILED),
            Admin::Ready | Admin::Drain => self.operational_state != "up",
        };
        let checked = match self.check_state {
            Some(state) => state & CHECKED != 0,
            None => !known.check_status.is_empty(),
        };
        if failed {
            Health::Down
        } else if checked || !known.tracked.is_empty() {
            Health::Up
        } else {
            Health::Unchecked
        }
    }

    fn seen(&self, known: &Numbers) -> ServerSeen {
        let admin = self.admin(&known.status);
        let serving = known.status.starts_with("UP") || known.status == "no check";
        let weight = self.weight.or(known.weight).unwrap_or(1);
        ServerSeen {
            admin,
            health: self.health(known, admin),
            usable: admin == Admin::Ready
                && self.operational_state == "up"
                && serving
                && weight > 0,
            in_flight: known.scur.saturating_add(known.qcur),
            // Where the API does not tell it, it does not take it either.
            weight: self.weight.and_then(|weight| u32::try_from(weight).ok()),
            sticky: !known.cookie.is_empty(),
            settling: false,
            agent: self
                .agent_state
                .map_or(!known.agent_status.is_empty(), |state| {
                    state & AGENT_RUNS == AGENT_RUNS
                }),
            agent_rests: self
                .agent_state
                .is_some_and(|state| state & AGENT_RUNS == AGENT_CONFIGURED),
            tracks: (!known.tracked.is_empty()).then(|| known.tracked.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn seen(mut server: serde_json::Value, stats: &serde_json::Value) -> ServerSeen {
        server["name"] = json!("s1");
        let servers = vec![serde_json::from_value(server).unwrap()];
        let row = json!({"error": "", "stats": [
            {"name": "s1", "backend_name": "be", "type": "server", "stats": stats},
            {"name": "s1", "backend_name": "other", "type": "server", "stats": {"scur": 50}},
        ]});
        let entry: OneOrMany<NativeStats> = serde_json::from_value(row).unwrap();
        let pool = pool("be", servers, entry.list());
        pool.servers[&ServerName::new("s1").unwrap()].clone()
    }

    #[test]
    fn a_server_that_is_up_counts_served_and_queued() {
        let up = json!({"admin_state": "ready", "operational_state": "up", "weight": 100, "check_state": 6});
        let up = seen(
            up,
            &json!({"scur": 2, "qcur": 1, "status": "UP", "cookie": "c1", "weight": 100}),
        );
        assert_eq!((up.admin, up.health), (Admin::Ready, Health::Up));
        assert!(up.usable && up.sticky && !up.agent);
        assert_eq!((up.in_flight, up.weight), (3, Some(100)));
    }

    #[test]
    fn a_mask_that_was_misread_is_put_right_by_the_status() {
        for (mask, status, wanted) in [
            ("maint", "DRAIN", Admin::Drain),
            ("maint", "no check", Admin::Ready),
            ("maint", "MAINT (via be/s2)", Admin::Maint),
            ("maint", "DOWN 1/2", Admin::Drain),
            ("drain", "DOWN", Admin::Drain),
            ("ready", "DOWN", Admin::Ready),
            ("ready", "MAINT (resolution)", Admin::Maint),
        ] {
            let server = json!({"admin_state": mask, "operational_state": "up"});
            let seen = seen(server, &json!({"status": status}));
            assert_eq!(seen.admin, wanted, "{mask} {status}");
        }
    }

    #[test]
    fn an_old_version_tells_no_weight_and_health_comes_from_the_check() {
        let server = json!({"admin_state": "ready", "operational_state": "up"});
        let old = seen(
            server.clone(),
            &json!({"status": "UP", "weight": 5, "check_status": "L7OK"}),
        );
        assert_eq!(
            (old.weight, old.health, old.usable),
            (None, Health::Up, true)
        );
        let light = seen(server.clone(), &json!({"status": "UP", "weight": 0}));
        assert!(!light.usable);
        let tracker = seen(server, &json!({"status": "UP", "tracked": "be/s2"}));
        assert_eq!(tracker.tracks.as_deref(), Some("be/s2"));
    }

    #[test]
    fn an_agent_check_that_runs_is_seen() {
        for (state, status, runs) in [
            (json!(22), "", true),
            (json!(18), "L7OK", false),
            (json!(null), "L7OK", true),
            (json!(null), "", false),
        ] {
            let server = json!({"admin_state": "ready", "agent_state": state});
            let seen = seen(server, &json!({"status": "UP", "agent_status": status}));
            assert_eq!(seen.agent, runs, "{state} {status}");
        }
    }

    #[test]
    fn processes_of_an_old_version_are_counted_together() {
        let text = r#"[{"stats":[{"name":"s1","backend_name":"be","stats":{"scur":1,"status":"UP"}}]},
            {"stats":[{"name":"s1","backend_name":"be","stats":{"scur":2,"status":"UP"}}]}]"#;
        let stats: OneOrMany<NativeStats> = serde_json::from_str(text).unwrap();
        let server = serde_json::from_value(json!({"name": "s1"})).unwrap();
        let pool = pool("be", vec![server], stats.list());
        assert_eq!(pool.servers.values().next().unwrap().in_flight, 3);
    }

    proptest! {
        #[test]
        fn any_state_and_status_are_survived(state in "\\PC{0,8}", status in "\\PC{0,12}") {
            let _unused = seen(json!({"admin_state": state}), &json!({"status": status}));
        }
    }
}
