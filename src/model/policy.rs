//! How a rollout behaves: the checked form of `[strategy]`, `[drain]` and `[ready]`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{BalancerName, PoolName};

/// A number of hosts, absolute or as a share of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// That many hosts; at least 1.
    Count(u32),
    /// That share of the whole fleet, 1 to 100, rounded down, never to 0.
    Percent(u8),
}

impl Size {
    /// How many hosts of a fleet of `total` this is: at least 1, even where the share rounds to 0.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX).max(1),
            Self::Percent(percent) => (total * usize::from(percent) / 100).max(1),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The fewest servers of a pool that must stay usable, absolute or as a share of all its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// That many servers; at least 1.
    Count(u32),
    /// That share of all servers of the pool, 1 to 100, rounded up.
    Percent(u8),
}

impl Floor {
    /// How many servers of a pool of `total` this is.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
        }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How a server gets its requests back: in steps of its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp {
    /// Percent of the weight that was found, rising, the last one 100. Never empty.
    pub steps: Vec<u8>,
    /// From one step to the next; never zero.
    pub every: Duration,
}

impl Ramp {
    /// What `percent` of `weight` is: at least 1, since 0 would be no traffic at all.
    pub fn share(weight: u32, percent: u8) -> u32 {
        let share = u64::from(weight) * u64::from(percent) / 100;
        u32::try_from(share).unwrap_or(weight).max(1)
    }
}

/// What one `[[traffic]]` entry asks beyond naming servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolPolicy {
    /// Whether clients that stick to a draining server are cut off it (put into maintenance) when `drain.timeout` is over.
    pub cut_sticky: bool,
    /// How a server gets its requests back; `None`: at once.
    pub ramp: Option<Ramp>,
    /// The fewest usable servers of this pool; `None`: the strategy's.
    pub min_usable: Option<Floor>,
}

/// What all `[[traffic]]` entries ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// By balancer and pool.
    pub pools: BTreeMap<(BalancerName, PoolName), PoolPolicy>,
    /// The fewest usable servers of every pool that does not say its own.
    pub min_usable: Option<Floor>,
}

impl TrafficPolicy {
    /// What is asked of one pool.
    pub fn pool(&self, balancer: &BalancerName, pool: &PoolName) -> Option<&PoolPolicy> {
        self.pools.get(&(balancer.clone(), pool.clone()))
    }

    /// Whether any pool has a floor of its own.
    pub fn has_floors(&self) -> bool {
        self.min_usable.is_some() || self.pools.values().any(|pool| pool.min_usable.is_some())
    }

    /// The floor of one pool, where there is one beyond "not empty".
    pub fn floor(&self, balancer: &BalancerName, pool: &PoolName) -> Option<Floor> {
        let own = self.pool(balancer, pool).and_then(|pool| pool.min_usable);
        own.or(self.min_usable)
    }
}

/// What stands between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// That long; zero: nothing.
    For(Duration),
    /// A person's approval.
    Manual,
}

/// What happens when a batch fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The batch goes back to the release it had; earlier batches stay on the new one.
    RevertBatch,
    /// Hosts of earlier batches go back too, last first.
    RevertAll,
    /// What failed stays as it is, out of traffic, and is named.
    Halt,
}

/// What happens with a host that cannot be reached at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// Nothing is touched; exit 5.
    Fail,
    /// The host is named and left alone.
    Skip,
}

/// The checked `[strategy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// Batch sizes in order; the last repeats. Never empty.
    pub batch: Vec<Size>,
    /// How many hosts of the fleet may be out of traffic at once (R1).
    pub max_unavailable: Size,
    /// The label whose values are zones; a batch never takes hosts of two.
    pub zones: Option<String>,
    /// Between batches, never after the last.
    pub pause: Pause,
    /// How long a host must stay ready after it is back in traffic.
    pub soak: Duration,
    /// Hosts that may fail before the run halts.
    pub max_failures: u32,
    /// What happens then.
    pub on_failure: OnFailure,
    /// Hosts that cannot be reached at the start.
    pub unreachable: Unreachable,
    /// Of the whole rollout, time spent waiting for a person left out.
    pub deadline: Duration,
    /// Whether a pool may be left without a usable server.
    pub allow_downtime: bool,
    /// What `[[traffic]]` asks of each pool.
    pub traffic: TrafficPolicy,
}

/// What happens when requests are still in flight after [`DrainPolicy::timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrainTimeout {
    /// The host goes back unswapped and has failed.
    Fail,
    /// It is swapped all the same.
    Continue,
}

/// The checked `[drain]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainPolicy {
    /// For requests in flight to end.
    pub timeout: Duration,
    /// What happens when they do not.
    pub on_timeout: OnDrainTimeout,
}

/// Where the running version is read from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionCheck {
    /// The value of a response header.
    Header(String),
    /// A JSON pointer into the body, beginning with `/`.
    Json(String),
}

/// The checked `[ready]`, in Kubernetes' terms. The URL itself belongs to the host ([`super::HostSpec::ready_url`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyPolicy {
    /// HTTP statuses that count as ready.
    pub status: Vec<u16>,
    /// How the version is read; `None`: it is not checked, and the plan warns.
    pub version: Option<VersionCheck>,
    /// Before the first probe.
    pub initial_delay: Duration,
    /// Between two probes, start to start.
    pub period: Duration,
    /// Of one probe.
    pub timeout: Duration,
    /// Consecutive good answers wanted; at least 1.
    pub success_threshold: u32,
    /// Consecutive bad answers that give up early; 0: only the deadline does.
    pub failure_threshold: u32,
    /// Of the whole wait.
    pub deadline: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_rounds_up_and_a_share_of_a_weight_is_never_nothing() {
        assert_eq!(Floor::Percent(50).of(5), 3);
        assert_eq!(Floor::Percent(1).of(3), 1);
        assert_eq!(Floor::Percent(100).of(3), 3);
        assert_eq!(Floor::Count(2).of(9), 2);
        assert_eq!(Ramp::share(100, 10), 10);
        assert_eq!(Ramp::share(5, 10), 1);
        assert_eq!(Ramp::share(256, 50), 128);
    }

    #[test]
    fn percent_rounds_down_but_never_to_zero() {
        assert_eq!(Size::Percent(25).of(24), 6);
        assert_eq!(Size::Percent(25).of(7), 1);
        assert_eq!(Size::Percent(25).of(3), 1);
        assert_eq!(Size::Percent(100).of(3), 3);
        assert_eq!(Size::Count(5).of(3), 5);
    }
}
