//! Where things are in each version. Pure.

use crate::model::{PoolName, ServerName};

/// A version of the Data Plane API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Two,
    Three,
}

impl Version {
    fn base(self) -> &'static str {
        match self {
            Self::Two => "/v2/services/haproxy",
            Self::Three => "/v3/services/haproxy",
        }
    }

    /// Which process runs.
    pub(super) fn info(self) -> String {
        format!("{}/runtime/info", self.base())
    }

    /// All servers of a pool.
    pub(super) fn servers(self, pool: &PoolName) -> String {
        let base = self.base();
        match self {
            Self::Two => format!("{base}/runtime/servers?backend={pool}"),
            Self::Three => format!("{base}/runtime/backends/{pool}/servers"),
        }
    }

    /// One server.
    pub(super) fn server(self, pool: &PoolName, server: &ServerName) -> String {
        let base = self.base();
        match self {
            Self::Two => format!("{base}/runtime/servers/{server}?backend={pool}"),
            Self::Three => format!("{base}/runtime/backends/{pool}/servers/{server}"),
        }
    }

    /// The numbers of a pool's servers.
    pub(super) fn stats(self, pool: &PoolName) -> String {
        format!("{}/stats/native?type=server&parent={pool}", self.base())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_documented() {
        let (pool, server) = (PoolName::new("be").unwrap(), ServerName::new("s1").unwrap());
        assert_eq!(
            Version::Two.server(&pool, &server),
            "/v2/services/haproxy/runtime/servers/s1?backend=be"
        );
        assert_eq!(
            Version::Three.server(&pool, &server),
            "/v3/services/haproxy/runtime/backends/be/servers/s1"
        );
        assert_eq!(
            Version::Three.stats(&pool),
            "/v3/services/haproxy/stats/native?type=server&parent=be"
        );
        assert_eq!(
            Version::Two.servers(&pool),
            "/v2/services/haproxy/runtime/servers?backend=be"
        );
    }
}
