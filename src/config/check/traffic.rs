//! `[[traffic]]`: which server of which pool each host is.

use std::collections::BTreeMap;

use crate::config::check::scope::TRAFFIC;
use crate::config::check::{Text, pools, required};
use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::{Field, Table};
use crate::config::merge::Inventory;
use crate::config::schema::playbook::Traffic as Shape;
use crate::config::template::Context;
use crate::model::{
    BalancerName, HostName, InvalidName, PoolName, PoolPolicy, ServerName, TrafficTarget,
};

/// One entry, not rendered yet.
pub(crate) struct Entry {
    at: Place,
    balancer: Option<Text>,
    pool: Option<Text>,
    server: Server,
    policy: PoolPolicy,
}

/// What an entry says about the server's name.
enum Server {
    Named(Text),
    /// Nothing: what is usual for the balancer's kind.
    Usual,
    Bad,
}

/// Checks that what is required is there.
pub(crate) fn entries(
    field: &Field<Vec<Field<Table<Shape>>>>,
    file: FileId,
    report: &mut Report,
) -> Vec<Entry> {
    let list = field.get().map_or(&[][..], Vec::as_slice);
    if list.is_empty() && !matches!(field, Field::Bad) {
        report.add(
            Place::whole(file),
            "[[traffic]] is missing",
            "add [[traffic]] with balancer = \"edge\" and pool = \"app\": rollgate takes a host out before it changes it",
        );
    }
    list.iter()
        .filter_map(Field::spanned)
        .map(|table| {
            let at = Place::at(file, &table.span());
            let shape = &table.get_ref().0;
            let server = match &shape.server {
                Field::Ok(server) => Server::Named(Text::of(file, server)),
                Field::Missing => Server::Usual,
                Field::Bad => Server::Bad,
            };
            let entry = Entry {
                balancer: required(&shape.balancer, (file, &at), "balancer", "\"edge\"", report),
                pool: required(&shape.pool, (file, &at), "pool", "\"app\"", report),
                server,
                policy: pools::policy(shape, (file, &at), report),
                at,
            };
            let named = match &entry.server {
                Server::Named(text) => Some(text),
                Server::Usual | Server::Bad => None,
            };
            for text in [entry.balancer.as_ref(), entry.pool.as_ref(), named]
                .into_iter()
                .flatten()
            {
                text.check(&TRAFFIC, report);
            }
            entry
        })
        .collect()
}

/// What the hosts rendered so far are, and ask of their pools.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    servers: BTreeMap<TrafficTarget, HostName>,
    /// What is asked of each pool, with the place of the entry.
    pub(crate) pools: BTreeMap<(BalancerName, PoolName), (Place, PoolPolicy)>,
}

/// Renders every entry for one host.
pub(crate) fn targets(
    entries: &[Entry],
    (host, context, inventory): (&HostName, &Context, &Inventory),
    taken: &mut Taken,
    report: &mut Report,
) -> Vec<TrafficTarget> {
    let mut targets = Vec::new();
    for entry in entries {
        let Some(target) = target(entry, (host, context, inventory), report) else {
            continue;
        };
        if let Some(other) = taken.servers.insert(target.clone(), host.clone()) {
            let server = &target.server;
            let (title, help) = if other == *host {
                (
                    format!("the server `{server}` is named twice"),
                    "keep one of the two entries".to_owned(),
                )
            } else {
                (
                    format!("two hosts are one server: `{server}`"),
                    format!(
                        "{other} and {host} both; let the name depend on the host: server = \"{{{{ host }}}}\""
                    ),
                )
            };
            report.add(entry.at.clone(), title, help);
        }
        let pool = (target.balancer.clone(), target.pool.clone());
        let asked = || (entry.at.clone(), entry.policy.clone());
        taken.pools.entry(pool).or_insert_with(asked);
        targets.push(target);
    }
    targets
}

fn target(
    entry: &Entry,
    (host, context, inventory): (&HostName, &Context, &Inventory),
    report: &mut Report,
) -> Option<TrafficTarget> {
    let who = format!(" (for {host})");
    let mut text = |text: Option<&Text>| {
        let text = text?;
        let rendered = text.render(&TRAFFIC, context, &who, report)?;
        Some((text.at.clone(), rendered))
    };
    let (balancer, pool) = (text(entry.balancer.as_ref()), text(entry.pool.as_ref()));
    let server = match &entry.server {
        Server::Named(server) => text(Some(server)),
        Server::Usual => {
            let balancer = balancer.as_ref().map(|(_, name)| name.as_str());
            text(Some(&Text {
                at: entry.at.clone(),
                text: usual_server(balancer, inventory).to_owned(),
            }))
        }
        Server::Bad => None,
    };
    let balancer = balancer.and_then(|(at, name)| known_balancer(at, &name, inventory, report));
    let pool = pool.and_then(|(at, name)| named(at, PoolName::new(&name), report));
    let server = server.and_then(|(at, name)| named(at, ServerName::new(&name), report));
    Some(TrafficTarget {
        balancer: balancer?,
        pool: pool?,
        server: server?,
    })
}

/// What servers are usually called: nginx knows them by their addresses alone.
fn usual_server(balancer: Option<&str>, inventory: &Inventory) -> &'static str {
    let balancer = balancer.and_then(|name| inventory.balancers.get(name));
    let kind = balancer.and_then(|balancer| balancer.shape.as_ref()?.kind.get());
    match kind.map(String::as_str) {
        Some("nginx" | "nginx-plus") => "{{ address }}:{{ vars.port }}",
        Some(_) | None => "{{ host }}",
    }
}

fn known_balancer(
    at: Place,
    name: &str,
    inventory: &Inventory,
    report: &mut Report,
) -> Option<BalancerName> {
    if let Some(balancer) = inventory.balancers.get(name) {
        return Some(balancer.name.clone());
    }
    if inventory.whole {
        let known = inventory.balancers.keys().map(String::as_str);
        let help = nearest(name, known).map_or_else(
            || format!("add [balancers.{name}] to the inventory, or name one that is there"),
            |near| format!("did you mean `{near}`?"),
        );
        report.add(
            at,
            format!("no balancer of the inventory is called `{name}`"),
            help,
        );
    }
    None
}

/// A checked name, or its error in the report.
pub(crate) fn named<T>(at: Place, name: Result<T, InvalidName>, report: &mut Report) -> Option<T> {
    name.map_err(|error| {
        report.add(
            at,
            format!("`{}` is not a {}", error.text, error.what),
            error.rule,
        );
    })
    .ok()
}
