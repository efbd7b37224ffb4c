//! What `[[traffic]]` asks of a pool: sticky clients, ramps, floors.

use std::collections::BTreeMap;
use std::time::Duration;

use super::policy::positive;
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::Field;
use crate::config::schema::playbook::{Ramp as RampShape, Traffic};
use crate::config::words::Sticky;
use crate::model::{BalancerKind, BalancerName, BalancerSpec, PoolName, PoolPolicy, Ramp};

/// From one step of a ramp to the next, unless the playbook says otherwise.
const EVERY: Duration = Duration::from_secs(10);

/// Checks one entry.
pub(crate) fn policy(shape: &Traffic, at: (FileId, &Place), report: &mut Report) -> PoolPolicy {
    let sticky = shape.sticky.get().map_or(Sticky::Keep, |word| word.0);
    PoolPolicy {
        cut_sticky: sticky == Sticky::Cut,
        ramp: shape
            .ramp
            .get()
            .and_then(|table| ramp(&table.0, at, report)),
        min_usable: shape.min_usable.get().map(|floor| floor.0),
    }
}

fn ramp(shape: &RampShape, (file, entry): (FileId, &Place), report: &mut Report) -> Option<Ramp> {
    const HELP: &str =
        "write rising percents of the weight that end with 100, such as steps = [10, 50, 100]";
    let why = "a ramp without time between its steps is none";
    let every = positive(&shape.every, EVERY, (file, why), report);
    if shape.steps.is_missing() {
        report.add(entry.clone(), "the ramp has no `steps`", HELP);
    }
    let list = shape.steps.spanned()?;
    let steps: Vec<u8> = list
        .get_ref()
        .iter()
        .filter_map(Field::get)
        .copied()
        .collect();
    if steps.len() < list.get_ref().len() {
        return None;
    }
    let rising = steps.is_sorted_by(|a, b| a < b);
    if !rising || steps.first().is_none_or(|first| *first == 0) || steps.last() != Some(&100) {
        report.add(
            Place::at(file, &list.span()),
            "these are no steps of a ramp",
            HELP,
        );
        return None;
    }
    Some(Ramp { steps, every })
}

/// What was asked of each pool, checked against what its balancer can do.
pub(crate) fn of_balancers(
    asked: BTreeMap<(BalancerName, PoolName), (Place, PoolPolicy)>,
    balancers: &[BalancerSpec],
    report: &mut Report,
) -> BTreeMap<(BalancerName, PoolName), PoolPolicy> {
    let mut checked = BTreeMap::new();
    for (pool, (at, policy)) in asked {
        let spec = balancers.iter().find(|spec| spec.name == pool.0);
        if let Some(spec) = spec {
            check_kind(&at, &policy, spec, report);
        }
        checked.insert(pool, policy);
    }
    checked
}

fn check_kind(at: &Place, policy: &PoolPolicy, spec: &BalancerSpec, report: &mut Report) {
    let (kind, has_weights, keeps_sticky) = match &spec.kind {
        BalancerKind::Haproxy { .. } => ("haproxy", true, true),
        BalancerKind::Dataplane(_) => ("dataplane", true, true),
        BalancerKind::NginxPlus(_) => ("nginx-plus", true, true),
        BalancerKind::Nginx(_) => ("nginx", false, false),
        BalancerKind::Command(_) => ("command", false, false),
        BalancerKind::Health(_) => ("health", false, false),
    };
    if policy.ramp.is_some() && !has_weights {
        report.add(
            at.clone(),
            format!(
                "balancer `{}` of kind `{kind}` cannot be told weights, so it has no ramp",
                spec.name
            ),
            "take `ramp` out: kinds haproxy, dataplane and nginx-plus have it",
        );
    }
    if policy.cut_sticky && !keeps_sticky {
        report.add(
            at.clone(),
            format!(
                "balancer `{}` of kind `{kind}` knows one way to take a server out",
                spec.name
            ),
            "take `sticky` out: kinds haproxy, dataplane and nginx-plus have it",
        );
    }
}
