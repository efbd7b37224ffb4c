//! Rollouts of which hosts still hold records: what there is to resume or to abort.

use std::collections::BTreeMap;

use crate::model::{HostFacts, Record, RecordSeen, RolloutId};

/// A rollout of which hosts still hold records.
#[derive(Debug, Clone)]
pub struct Open {
    /// Which one.
    pub rollout: RolloutId,
    /// The newest of its records.
    pub record: Record,
    /// Whether some host knows it as ended: then what is left of it is gone on with under an id of its own, since a lock of a rollout
    /// that has ended is nobody's.
    pub ended: bool,
    /// Whether all that is left are hosts that need a person.
    pub only_stranded: bool,
}

/// Every rollout of which a host of `hosts` holds a record, newest first.
pub fn open<'a>(hosts: impl Iterator<Item = &'a HostFacts> + Clone) -> Vec<Open> {
    let mut open: BTreeMap<RolloutId, Open> = BTreeMap::new();
    for seen in hosts.clone() {
        let RecordSeen::Read(record) = &seen.record else {
            continue;
        };
        let is_stranded = record.stranded.is_some();
        let entry = open.entry(record.rollout.clone()).or_insert_with(|| Open {
            rollout: record.rollout.clone(),
            record: (**record).clone(),
            ended: false,
            only_stranded: true,
        });
        entry.only_stranded &= is_stranded;
        if record.attempt > entry.record.attempt {
            entry.record = (**record).clone();
        }
    }
    for line in hosts.flat_map(|seen| &seen.rollouts) {
        if let Some(entry) = open.get_mut(&line.id) {
            entry.ended = true;
        }
    }
    open.into_values().rev().collect()
}
