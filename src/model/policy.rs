//! How a rollout behaves: the checked form of `[strategy]`, `[drain]` and `[ready]`.

use std::fmt;
use std::time::Duration;

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
    fn percent_rounds_down_but_never_to_zero() {
        assert_eq!(Size::Percent(25).of(24), 6);
        assert_eq!(Size::Percent(25).of(7), 1);
        assert_eq!(Size::Percent(25).of(3), 1);
        assert_eq!(Size::Percent(100).of(3), 3);
        assert_eq!(Size::Count(5).of(3), 5);
    }
}
