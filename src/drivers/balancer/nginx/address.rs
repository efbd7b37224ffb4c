//! When two texts are one server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The port of a `server` without one. Source: nginx, `ngx_http_upstream_server`.
const DEFAULT_PORT: u16 = 80;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    /// An address and a port.
    Ip(SocketAddr),
    /// A name in lower case, and a port.
    Name(String, u16),
    /// A unix socket.
    Unix(String),
}

/// What names stand for on the balancer's machine.
pub(super) type Resolved = BTreeMap<String, BTreeSet<IpAddr>>;

impl Address {
    /// Reads the argument of a `server` directive, or the name that a playbook has for one: there `::1:8080` is `[::1]:8080`, since
    /// names have no brackets.
    pub(super) fn read(text: &str) -> Self {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::Unix(path.to_owned());
        }
        let (host, port) = split(text);
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::Ip(SocketAddr::new(ip, port)),
            Err(_no_address) => Self::Name(host.to_ascii_lowercase(), port),
        }
    }

    /// The name that has to be resolved to know more, if it is one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name, _) => Some(name),
            Self::Ip(_) | Self::Unix(_) => None,
        }
    }

    /// Every address that it stands for, as far as names are known.
    pub(super) fn sockets(&self, resolved: &Resolved) -> BTreeSet<SocketAddr> {
        match self {
            Self::Ip(address) => [*address].into(),
            Self::Name(name, port) => {
                let found = resolved.get(name).into_iter().flatten();
                found.map(|ip| SocketAddr::new(*ip, *port)).collect()
            }
            Self::Unix(_) => BTreeSet::new(),
        }
    }

    /// Whether one stands for an address of the other.
    pub(super) fn meets(&self, other: &Self, resolved: &Resolved) -> bool {
        !self.sockets(resolved).is_disjoint(&other.sockets(resolved))
    }
}

fn split(text: &str) -> (&str, u16) {
    let number = |port: &str| port.parse::<u16>().ok();
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = rest.strip_prefix(':').and_then(number);
        return (host, port.unwrap_or(DEFAULT_PORT));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.parse::<Ipv6Addr>().is_ok() => {
            number(port).map_or((text, DEFAULT_PORT), |port| (host, port))
        }
        Some(_) | None => (text, DEFAULT_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_brackets_and_case_make_no_difference() {
        for (one, other) in [
            ("10.0.0.1", "10.0.0.1:80"),
            ("[::1]:8080", "::1:8080"),
            ("[::1]", "::1:80"),
            ("[fe80::1]", "fe80::1"),
            ("App.Example:81", "app.example:81"),
            ("[0:0::1]:8080", "::1:8080"),
        ] {
            assert_eq!(Address::read(one), Address::read(other), "{one} {other}");
        }
        assert_ne!(Address::read("10.0.0.1:81"), Address::read("10.0.0.1"));
        assert_eq!(
            Address::read("unix:/run/a.sock"),
            Address::Unix("/run/a.sock".to_owned())
        );
        assert_eq!(Address::read("web:x").name(), Some("web:x"));
    }

    #[test]
    fn a_name_meets_the_addresses_that_it_stands_for() {
        let resolved: Resolved = [(
            "app".to_owned(),
            ["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()].into(),
        )]
        .into();
        let app = Address::read("app:80");
        assert!(app.meets(&Address::read("10.0.0.1"), &resolved));
        assert!(Address::read("[::1]:80").meets(&app, &resolved));
        assert!(!app.meets(&Address::read("10.0.0.1:81"), &resolved));
        assert!(!app.meets(&Address::read("10.0.0.2"), &resolved));
        assert!(!app.meets(&Address::read("other:80"), &resolved));
    }
}
