//! What each pool has left on the way (R1): the balancer's own count of usable servers, never the inventory's.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Standing};
use crate::model::{BalancerName, Floor, FoundTraffic, HostName, PoolName};

/// One pool of one balancer.
pub type PoolKey = (BalancerName, PoolName);

/// The servers that each of the fleet's hosts has in a pool.
#[derive(Debug, Clone, Default)]
struct Share {
    usable_now: usize,
    usable_later: usize,
}

/// Usable servers of every pool concerned, and what hosts contribute to them.
#[derive(Debug, Clone)]
pub struct Capacity {
    usable: BTreeMap<PoolKey, usize>,
    totals: BTreeMap<PoolKey, usize>,
    shares: BTreeMap<PoolKey, BTreeMap<HostName, Share>>,
}

impl Capacity {
    /// Counts what the balancers show. `found` is what each host that will be updated gets back at its end.
    pub fn new(facts: &Facts, hosts: &[(HostName, Standing, &[FoundTraffic])]) -> Self {
        let mut capacity = Self {
            usable: BTreeMap::new(),
            totals: BTreeMap::new(),
            shares: BTreeMap::new(),
        };
        for view in &facts.hosts {
            for target in &view.spec.traffic {
                let key = (target.balancer.clone(), target.pool.clone());
                if let Some(pool) = facts
                    .balancers
                    .get(&target.balancer)
                    .and_then(|seen| seen.pools.get(&target.pool))
                {
                    capacity.totals.insert(key.clone(), pool.servers.len());
                    capacity.usable.insert(key, pool.usable());
                }
            }
        }
        for (host, _, found) in hosts {
            for entry in *found {
                let target = crate::model::TrafficTarget {
                    balancer: entry.balancer.clone(),
                    pool: entry.pool.clone(),
                    server: entry.server.clone(),
                };
                let now = facts.server(&target).is_some_and(|seen| seen.usable);
                let later = entry.admin == crate::model::Admin::Ready;
                let share = capacity
                    .shares
                    .entry((target.balancer, target.pool))
                    .or_default()
                    .entry(host.clone())
                    .or_default();
                share.usable_now += usize::from(now);
                share.usable_later += usize::from(later);
            }
        }
        capacity
    }

    /// How many hosts of `candidates` may be out at once so that each pool that has usable servers keeps at least one.
    ///
    /// `restored` are hosts that will be in traffic by then although they are not now (sick ones, mended first).
    pub fn bound(&self, candidates: &BTreeSet<HostName>, restored: &BTreeSet<HostName>) -> usize {
        let mut bound = usize::MAX;
        for (key, before) in &self.usable {
            let Some(shares) = self.shares.get(key) else {
                continue;
            };
            let usable = before + Self::gain(shares, restored);
            let mut takes: Vec<usize> = shares
                .iter()
                .filter(|(host, _)| candidates.contains(*host))
                .map(|(_, share)| share.usable_now)
                .filter(|take| *take > 0)
                .collect();
            if usable == 0 || takes.is_empty() {
                continue;
            }
            // The hosts that take most of the pool decide, since any of them may be in one batch.
            takes.sort_unstable_by(|a, b| b.cmp(a));
            let mut out = 0;
            let fits = takes.iter().take_while(|take| {
                out += **take;
                out < usable
            });
            let fits = fits.count();
            if fits < takes.len() {
                bound = bound.min(fits);
            }
        }
        bound
    }

    /// The fewest usable servers that any pool has while `batches` go through, and the pool; `None` where no pool has one to begin with.
    pub fn least(&self, batches: &[Vec<HostName>]) -> Option<(usize, PoolKey)> {
        let mut least: Option<(usize, PoolKey)> = None;
        for (key, before) in &self.usable {
            let lowest = self.lowest(key, *before, batches).unwrap_or(*before);
            if *before > 0 && least.as_ref().is_none_or(|(count, _)| lowest < *count) {
                least = Some((lowest, key.clone()));
            }
        }
        least
    }

    /// Pools that `batches` would leave with fewer usable servers than `floor` wants at some time: which, how many they would have and
    /// should have, and what was asked. Pools without a usable server to begin with have nothing to lose.
    pub fn below(
        &self,
        batches: &[Vec<HostName>],
        floor: impl Fn(&PoolKey) -> Option<Floor>,
    ) -> Vec<(PoolKey, (usize, usize), Floor)> {
        let mut below = Vec::new();
        for (key, before) in &self.usable {
            let total = self.totals.get(key).copied().unwrap_or_default();
            let (Some(asked), Some(lowest)) = (floor(key), self.lowest(key, *before, batches))
            else {
                continue;
            };
            let wanted = asked.of(total);
            if *before > 0 && lowest < wanted {
                below.push((key.clone(), (lowest, wanted), asked));
            }
        }
        below
    }

    /// The fewest usable servers of a pool while some batch takes servers out of it; `None` where none does.
    fn lowest(&self, key: &PoolKey, before: usize, batches: &[Vec<HostName>]) -> Option<usize> {
        let empty = BTreeMap::new();
        let shares = self.shares.get(key).unwrap_or(&empty);
        let mut usable = before;
        let mut lowest: Option<usize> = None;
        for batch in batches {
            let takes = batch.iter().filter_map(|host| shares.get(host));
            let out: usize = takes.map(|share| share.usable_now).sum();
            if out > 0 {
                let left = usable.saturating_sub(out);
                lowest = Some(lowest.map_or(left, |lowest| lowest.min(left)));
            }
            let members: BTreeSet<HostName> = batch.iter().cloned().collect();
            usable += Self::gain(shares, &members);
        }
        lowest
    }

    fn gain(shares: &BTreeMap<HostName, Share>, hosts: &BTreeSet<HostName>) -> usize {
        shares
            .iter()
            .filter(|(host, _)| hosts.contains(*host))
            .map(|(_, share)| share.usable_later.saturating_sub(share.usable_now))
            .sum()
    }
}
