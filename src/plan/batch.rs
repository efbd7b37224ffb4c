//! Cutting hosts into batches.

use crate::model::{HostName, Size};

/// A host to be cut, with its zone where the strategy has zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cuttable {
    /// Which host.
    pub host: HostName,
    /// Its zone; `None` where there are none.
    pub zone: Option<String>,
}

/// Cuts `hosts` into batches: `sizes` in order, the last repeats; percent of `fleet`; none larger than `bound` (if any); none with hosts
/// of two zones, and one zone is finished before the next one begins, zones in the order in which they first appear.
///
/// `sizes` must not be empty; an empty list is taken as batches of one.
pub fn cut(
    hosts: &[Cuttable],
    sizes: &[Size],
    fleet: usize,
    bound: Option<usize>,
) -> Vec<Vec<HostName>> {
    let mut zones: Vec<Option<&str>> = Vec::new();
    for host in hosts {
        if !zones.contains(&host.zone.as_deref()) {
            zones.push(host.zone.as_deref());
        }
    }
    let mut batches: Vec<Vec<HostName>> = Vec::new();
    for zone in zones {
        let mut rest: Vec<HostName> = hosts
            .iter()
            .filter(|host| host.zone.as_deref() == zone)
            .map(|host| host.host.clone())
            .collect();
        while !rest.is_empty() {
            let wanted = sizes
                .get(batches.len())
                .or(sizes.last())
                .map_or(1, |size| size.of(fleet));
            let size = wanted.min(bound.unwrap_or(usize::MAX)).clamp(1, rest.len());
            let later = rest.split_off(size);
            batches.push(std::mem::replace(&mut rest, later));
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(count: usize, zones: usize) -> Vec<Cuttable> {
        (0..count)
            .map(|n| Cuttable {
                host: HostName::new(&format!("h{n}")).unwrap(),
                zone: (zones > 0).then(|| format!("z{}", n % zones.max(1))),
            })
            .collect()
    }

    fn sizes(batches: &[Vec<HostName>]) -> Vec<usize> {
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn the_canary_comes_first_and_the_last_size_repeats() {
        let batches = cut(
            &hosts(10, 0),
            &[Size::Count(1), Size::Percent(25)],
            10,
            None,
        );
        assert_eq!(sizes(&batches), [1, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn a_bound_caps_every_batch() {
        assert_eq!(
            sizes(&cut(&hosts(7, 0), &[Size::Count(4)], 7, Some(3))),
            [3, 3, 1]
        );
    }

    #[test]
    fn a_zone_is_finished_before_the_next_begins() {
        let batches = cut(&hosts(6, 2), &[Size::Count(2)], 6, None);
        assert_eq!(sizes(&batches), [2, 1, 2, 1]);
        assert_eq!(
            batches[0].iter().map(HostName::as_str).collect::<Vec<_>>(),
            ["h0", "h2"]
        );
    }

    proptest! {
        #[test]
        fn each_host_once_and_no_batch_too_large(count in 0usize..60, zones in 0usize..4, first in 1u32..9, percent in 1u8..=100, bound in 1usize..20) {
            let all = hosts(count, zones);
            let batches = cut(&all, &[Size::Count(first), Size::Percent(percent)], count, Some(bound));
            let mut flat: Vec<_> = batches.iter().flatten().cloned().collect();
            flat.sort();
            let mut want: Vec<_> = all.iter().map(|host| host.host.clone()).collect();
            want.sort();
            prop_assert_eq!(flat, want);
            for batch in &batches {
                prop_assert!(!batch.is_empty() && batch.len() <= bound);
                let mut of: Vec<_> = batch.iter().map(|name| all.iter().find(|host| host.host == *name).unwrap().zone.clone()).collect();
                of.dedup();
                prop_assert_eq!(of.len(), 1);
            }
        }
    }
}
