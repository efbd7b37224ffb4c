//! `[strategy]` and `[drain]`, with their defaults.

use std::time::Duration;

use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::{Field, Table};
use crate::config::schema::playbook::{Drain, Strategy as Shape};
use crate::config::sizes::Sizes;
use crate::config::values::{PauseText, Span};
use crate::model::{
    DrainPolicy, OnDrainTimeout, OnFailure, Pause, Size, Strategy, TrafficPolicy, Unreachable,
};

/// A duration, or its default.
pub(crate) fn span(field: &Field<Span>, default: Duration) -> Duration {
    field.get().map_or(default, |span| span.0)
}

/// A duration of which zero makes no sense; `why` says so.
pub(crate) fn positive(
    field: &Field<Span>,
    default: Duration,
    (file, why): (FileId, &str),
    report: &mut Report,
) -> Duration {
    if let Some(given) = field.spanned().filter(|given| given.get_ref().0.is_zero()) {
        report.add(
            Place::at(file, &given.span()),
            why,
            format!("write a duration such as \"{}s\"", default.as_secs().max(1)),
        );
    }
    span(field, default)
}

/// Checks `[strategy]`; `zones` is rendered by the caller.
pub(crate) fn strategy(
    field: &Field<Table<Shape>>,
    zones: Option<String>,
    file: FileId,
    report: &mut Report,
) -> Strategy {
    let default = Shape::default();
    let shape = field.get().map_or(&default, |table| &table.0);
    Strategy {
        batch: batch(shape.batch.get()),
        max_unavailable: shape
            .max_unavailable
            .get()
            .map_or(Size::Percent(25), |size| size.0),
        zones,
        pause: match shape.pause.get() {
            Some(PauseText::Manual) => Pause::Manual,
            Some(PauseText::For(time)) => Pause::For(*time),
            None => Pause::For(Duration::ZERO),
        },
        soak: span(&shape.soak, Duration::from_secs(10)),
        max_failures: shape.max_failures.get().copied().unwrap_or(0),
        on_failure: shape
            .on_failure
            .get()
            .map_or(OnFailure::RevertBatch, |word| word.0),
        unreachable: shape
            .unreachable
            .get()
            .map_or(Unreachable::Fail, |word| word.0),
        deadline: positive(
            &shape.deadline,
            Duration::from_secs(30 * 60),
            (file, "a rollout cannot end in no time"),
            report,
        ),
        allow_downtime: shape.allow_downtime.get().copied().unwrap_or(false),
        traffic: TrafficPolicy {
            min_usable: shape.min_usable.get().map(|floor| floor.0),
            pools: std::collections::BTreeMap::new(),
        },
    }
}

fn batch(sizes: Option<&Sizes>) -> Vec<Size> {
    match sizes {
        None => vec![Size::Count(1), Size::Percent(25)],
        Some(Sizes::One(size)) => vec![*size],
        Some(Sizes::Many(list)) => list.iter().filter_map(|size| Some(size.get()?.0)).collect(),
    }
}

/// Checks `[drain]`.
pub(crate) fn drain(field: &Field<Table<Drain>>) -> DrainPolicy {
    let default = Drain::default();
    let shape = field.get().map_or(&default, |table| &table.0);
    DrainPolicy {
        timeout: span(&shape.timeout, Duration::from_secs(30)),
        on_timeout: shape
            .on_timeout
            .get()
            .map_or(OnDrainTimeout::Fail, |word| word.0),
    }
}
