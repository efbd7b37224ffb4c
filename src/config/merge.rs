//! Several inventories made into one: later files win, key by key; then groups, then what each host was given.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use minijinja::Value;
use toml::Spanned;

use super::diagnostic::{FileId, Place, Report};
use super::field::{Entries, Field, Table};
use super::groups::Groups;
use super::ranges::{self, Member};
use super::read::Part;
use super::schema::inventory::{Balancer, Host as HostShape, Inventory as Shape, Ssh};
use super::selector::Catalog;
use super::values::{Label, Var};
use crate::model::{BalancerName, HostName, InvalidName};

/// One `ssh` table that counts for a host.
#[derive(Debug, Clone)]
pub(crate) struct SshLayer {
    /// Its file: relative paths belong there.
    pub file: FileId,
    /// Whether it is the host's own, and not a default or a group's.
    pub own: bool,
    /// What it says.
    pub shape: Rc<Ssh>,
}

/// A host as the inventories describe it; nothing is rendered yet.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Its name.
    pub name: HostName,
    /// Its number in a range, and the number as written.
    pub number: Option<(u64, String)>,
    /// The template of its address.
    pub address: Option<(Place, String)>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its variables: those of its groups, then its own.
    pub vars: BTreeMap<String, Value>,
    /// From the weakest to the strongest.
    pub ssh: Vec<SshLayer>,
}

/// A balancer as the last inventory that names it describes it.
#[derive(Debug)]
pub(crate) struct NamedBalancer {
    /// Its name.
    pub name: BalancerName,
    /// Where it was named.
    pub at: Place,
    /// What was said; `None` where that could not be read.
    pub shape: Option<Rc<Balancer>>,
}

/// All inventories as one.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// In the order in which they were first named.
    pub hosts: Vec<Host>,
    /// What selectors choose from.
    pub catalog: Catalog,
    /// By name.
    pub balancers: BTreeMap<String, NamedBalancer>,
    /// Whether all files were read in full: if not, nothing may be called unknown.
    pub whole: bool,
}

impl Inventory {
    /// A host by its name.
    pub(crate) fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name.as_str() == name)
    }
}

/// Makes one inventory of all files.
pub(crate) fn merge(parts: Vec<Part<Shape>>, report: &mut Report) -> Inventory {
    let mut inventory = Inventory {
        whole: parts.iter().all(|part| part.whole),
        ..Inventory::default()
    };
    let mut defaults = Vec::new();
    let mut groups = Groups::default();
    for part in parts {
        let file = part.file;
        defaults.extend(layer(&part.shape.ssh, file, false));
        add_hosts(&mut inventory, part.shape.hosts, file, report);
        for (name, group) in entries(part.shape.groups) {
            check_name(
                &name,
                file,
                "group",
                HostName::new(name.get_ref()).map(drop),
                report,
            );
            groups.add(name.get_ref(), Place::at(file, &name.span()), &group);
        }
        for (name, balancer) in entries(part.shape.balancers) {
            add_balancer(&mut inventory, &name, balancer, file, report);
        }
    }
    groups.resolve(&mut inventory, report);
    groups.lay_under(&mut inventory, &defaults);
    inventory
}

fn entries<T>(field: Field<Entries<T>>) -> Vec<(Spanned<String>, T)> {
    match field {
        Field::Ok(entries) => entries.into_inner().0,
        Field::Missing | Field::Bad => Vec::new(),
    }
}

pub(super) fn layer(field: &Field<Table<Ssh>>, file: FileId, own: bool) -> Option<SshLayer> {
    field.get().map(|table| SshLayer {
        file,
        own,
        shape: Rc::new(table.0.clone()),
    })
}

fn check_name(
    name: &Spanned<String>,
    file: FileId,
    what: &str,
    checked: Result<(), InvalidName>,
    report: &mut Report,
) {
    if let Err(error) = checked {
        report.add(
            Place::at(file, &name.span()),
            format!("`{}` is not a name for a {what}", name.get_ref()),
            error.rule,
        );
    }
}

fn add_hosts(
    inventory: &mut Inventory,
    hosts: Field<Entries<Field<Table<HostShape>>>>,
    file: FileId,
    report: &mut Report,
) {
    // Within one file a name stands for one thing; between files the later one adds to it.
    let mut here = BTreeSet::new();
    for (name, shape) in entries(hosts) {
        let at = Place::at(file, &name.span());
        let members = match ranges::expand(name.get_ref()) {
            Ok(members) => members,
            Err(help) => {
                report.add(
                    at,
                    format!("`{}` is not a name for hosts", name.get_ref()),
                    help,
                );
                continue;
            }
        };
        for member in members {
            match HostName::new(&member.name) {
                Err(_) if name.get_ref().is_empty() => {}
                Err(error) => {
                    report.add(
                        at.clone(),
                        format!("`{}` is not a host name", member.name),
                        error.rule,
                    );
                    break;
                }
                Ok(host) if !here.insert(host.clone()) => report.add(
                    at.clone(),
                    format!("the host `{host}` is named twice in this file"),
                    "keep one of the two; a later -i file may add to a host",
                ),
                Ok(host) => add_host(inventory, host, member, &at, &shape),
            }
        }
        if name.get_ref().is_empty() {
            report.add(
                at,
                "a host needs a name",
                "write [hosts.web-01], or [hosts.\"web-[01:06]\"]",
            );
        }
    }
}

fn add_host(
    inventory: &mut Inventory,
    name: HostName,
    member: Member,
    at: &Place,
    shape: &Field<Table<HostShape>>,
) {
    let position = inventory.hosts.iter().position(|host| host.name == name);
    let position = position.unwrap_or_else(|| {
        inventory.hosts.push(Host {
            name,
            number: None,
            address: None,
            labels: BTreeMap::new(),
            vars: BTreeMap::new(),
            ssh: Vec::new(),
        });
        inventory.hosts.len() - 1
    });
    let Some(host) = inventory.hosts.get_mut(position) else {
        return;
    };
    host.number = member.number.or(host.number.take());
    if let Some(Table(shape)) = shape.get() {
        if let Some(address) = shape.address.spanned() {
            let place = Place::at(at.file(), &address.span());
            host.address = Some((place, address.get_ref().clone()));
        }
        host.labels.extend(labels_of(&shape.labels));
        host.vars.extend(vars_of(&shape.vars));
        host.ssh.extend(layer(&shape.ssh, at.file(), true));
    }
    inventory
        .catalog
        .hosts
        .insert(host.name.as_str().to_owned(), host.labels.clone());
}

fn labels_of(field: &Field<Entries<Field<Label>>>) -> BTreeMap<String, String> {
    let entries = field.get().map(|entries| entries.0.iter());
    let pairs = entries.into_iter().flatten();
    pairs
        .filter_map(|(name, label)| Some((name.get_ref().clone(), label.get()?.0.clone())))
        .collect()
}

pub(super) fn vars_of(field: &Field<Entries<Field<Var>>>) -> BTreeMap<String, Value> {
    let entries = field.get().map(|entries| entries.0.iter());
    let pairs = entries.into_iter().flatten();
    pairs
        .filter_map(|(name, var)| Some((name.get_ref().clone(), var.get()?.0.clone())))
        .collect()
}

fn add_balancer(
    inventory: &mut Inventory,
    name: &Spanned<String>,
    shape: Field<Table<Balancer>>,
    file: FileId,
    report: &mut Report,
) {
    let checked = BalancerName::new(name.get_ref());
    check_name(name, file, "balancer", checked.clone().map(drop), report);
    let Ok(checked) = checked else {
        return;
    };
    let shape = match shape {
        Field::Ok(table) => Some(Rc::new(table.into_inner().0)),
        Field::Missing | Field::Bad => None,
    };
    inventory.balancers.insert(
        name.get_ref().clone(),
        NamedBalancer {
            name: checked,
            at: Place::at(file, &name.span()),
            shape,
        },
    );
}
