//! What the playbook says about itself: its service, its hosts, its zones; and which hosts `--limit` chooses.

use std::collections::BTreeSet;

use crate::config::check::scope::{LOCAL, PLAYBOOK};
use crate::config::check::traffic::named;
use crate::config::check::{Text, required};
use crate::config::diagnostic::{Place, Report};
use crate::config::merge::Inventory;
use crate::config::read::Part;
use crate::config::schema::playbook;
use crate::config::template::Context;
use crate::model::{HostName, ServiceName};

/// A playbook that was read.
pub(crate) type Playbook = Part<playbook::Playbook>;

/// The service's name.
pub(crate) fn service(
    playbook: &Playbook,
    context: &Context,
    report: &mut Report,
) -> Option<ServiceName> {
    let field = &playbook.shape.service;
    if field.is_missing() && !playbook.whole {
        return None;
    }
    let at = Place::whole(playbook.file);
    let text = required(
        field,
        (playbook.file, &at),
        "service",
        "\"payments-api\"",
        report,
    )?;
    let name = text.render(&PLAYBOOK, context, "", report)?;
    named(text.at, ServiceName::new(&name), report)
}

/// The names of the playbook's hosts.
pub(crate) fn fleet(
    playbook: &Playbook,
    context: &Context,
    inventory: &Inventory,
    report: &mut Report,
) -> BTreeSet<String> {
    let field = &playbook.shape.hosts;
    if field.is_missing() && !playbook.whole {
        return BTreeSet::new();
    }
    let at = Place::whole(playbook.file);
    let example = "\"web\", a group or another selector";
    let text = required(field, (playbook.file, &at), "hosts", example, report);
    let rendered = text.and_then(|text| {
        let selector = text.render(&PLAYBOOK, context, "", report)?;
        Some((text, selector))
    });
    let Some((text, selector)) = rendered.filter(|_| inventory.whole) else {
        return BTreeSet::new();
    };
    match inventory.catalog.select(&selector) {
        Ok(hosts) => {
            if hosts.is_empty() {
                report.add(
                    text.at,
                    format!("`{selector}` chooses no host of the inventory"),
                    "name a group or host that is there",
                );
            }
            hosts
        }
        Err(faults) => {
            for fault in faults {
                report.add(text.at.clone(), fault.title, fault.help);
            }
            BTreeSet::new()
        }
    }
}

/// The hosts of the fleet that `--limit` chooses; without it all of them.
pub(crate) fn selected(
    limit: Option<&str>,
    fleet: &BTreeSet<String>,
    inventory: &Inventory,
    report: &mut Report,
) -> BTreeSet<HostName> {
    let Some(limit) = limit else {
        return in_order(fleet, inventory).into_iter().collect();
    };
    if !inventory.whole {
        return BTreeSet::new();
    }
    match inventory.catalog.select(limit) {
        Ok(mut hosts) => {
            hosts.retain(|host| fleet.contains(host));
            // An empty fleet has an error of its own.
            if hosts.is_empty() && !fleet.is_empty() {
                report.add_argument(
                    format!("--limit: `{limit}` chooses no host of the playbook"),
                    "choose among the hosts that the playbook's `hosts` names",
                );
            }
            in_order(&hosts, inventory).into_iter().collect()
        }
        Err(faults) => {
            for fault in faults {
                report.add_argument(format!("--limit: {}", fault.title), fault.help);
            }
            BTreeSet::new()
        }
    }
}

/// The hosts of these names, in the order of the inventory.
pub(crate) fn in_order(names: &BTreeSet<String>, inventory: &Inventory) -> Vec<HostName> {
    let hosts = inventory.hosts.iter().map(|host| &host.name);
    hosts
        .filter(|host| names.contains(host.as_str()))
        .cloned()
        .collect()
}

/// The label whose values are zones; every host of the fleet must have it.
pub(crate) fn zones(
    playbook: &Playbook,
    context: &Context,
    (fleet, inventory): (&[HostName], &Inventory),
    report: &mut Report,
) -> Option<String> {
    let strategy = playbook.shape.strategy.get()?;
    let text = Text::of(playbook.file, strategy.0.zones.spanned()?);
    let label = text.render(&LOCAL, context, "", report)?;
    let without = |host: &&HostName| {
        let labels = inventory.catalog.hosts.get(host.as_str());
        !labels.is_some_and(|labels| labels.contains_key(&label))
    };
    let without: Vec<&str> = fleet.iter().filter(without).map(HostName::as_str).collect();
    if !without.is_empty() && inventory.whole {
        let named = without
            .iter()
            .take(3)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = match without.len() {
            0..=3 => String::new(),
            count => format!(" and {} more", count - 3),
        };
        report.add(
            text.at,
            format!("{named}{more} have no label `{label}`, so their zone is not known"),
            format!("add labels = {{ {label} = \"a\" }} to each, or take `zones` out"),
        );
    }
    Some(label)
}
