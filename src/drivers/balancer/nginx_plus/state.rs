//! What the NGINX Plus API tells of an upstream, as values, and what that means for each server. Pure.
//!
//! Source: `ngx_http_api_module`, versions 6 to 9 of the API (`HTTP Upstream`, `Stream Upstream`, `nginx`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::address;
use crate::model::{Admin, Health, PoolSeen, ServerName, ServerSeen};

/// Which of nginx's proxies an upstream belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    /// TCP and UDP: there is no `drain`, so `down` stands for it. Connections that are open stay.
    Stream,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stream => "stream",
        }
    }
}

/// `/nginx`.
#[derive(Debug, Deserialize)]
pub(super) struct Nginx {
    generation: u64,
    load_timestamp: String,
    ppid: u64,
}

impl Nginx {
    /// The process id that it tells is that of the worker which happened to answer: its master's counts.
    pub(super) fn process(&self) -> String {
        let Self {
            generation,
            load_timestamp,
            ppid,
        } = self;
        format!("master {ppid}, generation {generation}, loaded {load_timestamp}")
    }
}

/// `/http/upstreams/NAME` or `/stream/upstreams/NAME`.
#[derive(Debug, Deserialize)]
pub(super) struct Upstream {
    pub(super) peers: Vec<Peer>,
}

/// One server of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Peer {
    pub(super) id: u64,
    /// Its address.
    server: String,
    /// As its line in the configuration has it.
    name: String,
    state: String,
    active: u64,
    weight: Option<u32>,
    health_checks: HealthChecks,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct HealthChecks {
    checks: u64,
    last_passed: Option<bool>,
}

/// `…/servers/`: only what peers do not tell.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configured {
    pub(super) id: u64,
    route: String,
    /// The server whose name was resolved to this one.
    pub(super) parent: Option<u64>,
}

impl Configured {
    /// Whether sessions are routed to it by name.
    pub(super) fn is_routed(&self) -> bool {
        !self.route.is_empty()
    }
}

impl Peer {
    /// The name by which it is known here: the playbook's where one of them means it, else its address. Letters that no server's name
    /// has (of a socket's path) are replaced, so that it still counts.
    pub(super) fn known_as(&self, wanted: &[&ServerName]) -> Option<ServerName> {
        let own = [&self.server, &self.name].map(|text| address::normal(text));
        let named = wanted
            .iter()
            .find(|name| own.contains(&address::normal(name.as_str())));
        if let Some(name) = named {
            return Some((*name).clone());
        }
        let text: String = own.first()?.chars().map(letter).collect();
        ServerName::new(&text).ok()
    }

    fn admin(&self, kind: Kind) -> Admin {
        match (self.state.as_str(), kind) {
            ("draining", _) | ("down", Kind::Stream) => Admin::Drain,
            ("down", Kind::Http) => Admin::Maint,
            _ => Admin::Ready,
        }
    }

    fn health(&self) -> Health {
        match self.state.as_str() {
            "unavail" | "unhealthy" | "checking" => Health::Down,
            _ if self.health_checks.last_passed == Some(false) => Health::Down,
            _ if self.health_checks.checks > 0 => Health::Up,
            _ => Health::Unchecked,
        }
    }

    pub(super) fn seen(&self, kind: Kind, sticky: bool) -> ServerSeen {
        ServerSeen {
            admin: self.admin(kind),
            health: self.health(),
            usable: self.state == "up" && self.weight != Some(0),
            in_flight: self.active,
            weight: self.weight,
            sticky,
            settling: false,
            agent: false,
            agent_rests: false,
            tracks: None,
        }
    }
}

fn letter(letter: char) -> char {
    if letter.is_ascii_alphanumeric() || "._:@-".contains(letter) {
        letter
    } else {
        '_'
    }
}

/// The servers of one upstream. Peers that mean the same server (a name with several addresses, an address that stands there twice) are
/// one: it is out when all of them are, and has the requests of all.
pub(super) fn pool(
    peers: &[Peer],
    kind: Kind,
    wanted: &[&ServerName],
    routed: impl Fn(u64) -> bool,
) -> PoolSeen {
    let mut servers: BTreeMap<ServerName, ServerSeen> = BTreeMap::new();
    for peer in peers {
        let Some(name) = peer.known_as(wanted) else {
            continue;
        };
        let seen = peer.seen(kind, routed(peer.id));
        servers
            .entry(name)
            .and_modify(|known| join(known, &seen))
            .or_insert(seen);
    }
    PoolSeen { servers }
}

fn join(known: &mut ServerSeen, other: &ServerSeen) {
    known.admin = known.admin.min(other.admin);
    if other.usable && !known.usable {
        known.health = other.health;
    }
    known.usable |= other.usable;
    known.sticky |= other.sticky;
    known.in_flight = known.in_flight.saturating_add(other.in_flight);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn peer(value: serde_json::Value) -> Peer {
        serde_json::from_value(value).unwrap()
    }

    fn name(text: &str) -> ServerName {
        ServerName::new(text).unwrap()
    }

    #[test]
    fn every_documented_state_has_its_meaning() {
        for (state, admin, health, usable) in [
            ("up", Admin::Ready, Health::Unchecked, true),
            ("draining", Admin::Drain, Health::Unchecked, false),
            ("down", Admin::Maint, Health::Unchecked, false),
            ("unavail", Admin::Ready, Health::Down, false),
            ("checking", Admin::Ready, Health::Down, false),
            ("unhealthy", Admin::Ready, Health::Down, false),
            ("a later word", Admin::Ready, Health::Unchecked, false),
        ] {
            let peer = peer(
                json!({"id": 0, "server": "10.0.0.1:80", "state": state, "active": 3, "weight": 5}),
            );
            let seen = peer.seen(Kind::Http, false);
            assert_eq!(
                (seen.admin, seen.health, seen.usable),
                (admin, health, usable),
                "{state}"
            );
            assert_eq!((seen.in_flight, seen.weight), (3, Some(5)));
        }
        let down = peer(json!({"state": "down"}));
        assert_eq!(down.seen(Kind::Stream, false).admin, Admin::Drain);
    }

    #[test]
    fn the_last_check_shows_behind_a_drain() {
        let seen = |passed: bool| {
            let checks = json!({"checks": 9, "fails": 1, "last_passed": passed});
            peer(json!({"state": "draining", "health_checks": checks})).seen(Kind::Http, false)
        };
        assert_eq!(seen(true).health, Health::Up);
        assert_eq!(seen(false).health, Health::Down);
    }

    #[test]
    fn the_playbooks_name_wins_whether_it_is_an_address_or_a_name() {
        let peers = [
            peer(json!({"id": 0, "server": "[::1]:8080", "name": "[::1]:8080", "state": "up"})),
            peer(json!({"id": 1, "server": "10.0.0.2:80", "name": "web-2.example", "state": "up"})),
            peer(
                json!({"id": 2, "server": "unix:/run/a.sock", "name": "unix:/run/a.sock", "state": "up"}),
            ),
        ];
        let wanted = [name("0::1:8080"), name("web-2.example:80")];
        let wanted: Vec<&ServerName> = wanted.iter().collect();
        let pool = pool(&peers, Kind::Http, &wanted, |id| id == 1);
        let names: Vec<&str> = pool.servers.keys().map(ServerName::as_str).collect();
        assert_eq!(names, ["0::1:8080", "unix:_run_a.sock", "web-2.example:80"]);
        assert!(pool.servers[wanted[1]].sticky && !pool.servers[wanted[0]].sticky);
    }

    #[test]
    fn peers_of_one_server_count_together() {
        let peers = [
            peer(json!({"id": 0, "server": "10.0.0.1:80", "state": "draining", "active": 1})),
            peer(json!({"id": 4, "server": "10.0.0.1", "state": "up", "active": 2})),
        ];
        let pool = pool(&peers, Kind::Http, &[], |_| false);
        let seen = &pool.servers[&name("10.0.0.1:80")];
        assert_eq!(
            (seen.admin, seen.usable, seen.in_flight),
            (Admin::Ready, true, 3)
        );
    }

    proptest! {
        #[test]
        fn any_peer_is_survived(server in "\\PC{0,20}", state in "\\PC{0,9}") {
            let peer = peer(json!({"server": server, "state": state}));
            let _unused = pool(&[peer], Kind::Http, &[], |_| false);
        }
    }
}
