//! Groups of an inventory: from terms to hosts, and what groups give to their hosts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use super::diagnostic::{Place, Report};
use super::field::{Field, Table};
use super::merge::{Inventory, SshLayer, layer, vars_of};
use super::schema::inventory::Group as Shape;
use super::selector::{Catalog, Fault};

struct Group {
    name: String,
    at: Place,
    terms: Vec<(Place, String)>,
    vars: BTreeMap<String, Value>,
    ssh: Vec<SshLayer>,
    /// How many groups lie one in another below this one; `None` until its hosts are known.
    depth: Option<usize>,
}

/// The groups of all files, in the order in which they were first named.
#[derive(Default)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// Adds what one file says about a group.
    pub(super) fn add(&mut self, name: &str, at: Place, shape: &Field<Table<Shape>>) {
        let file = at.file();
        let position = self.position(name).unwrap_or_else(|| {
            self.0.push(Group {
                name: name.to_owned(),
                at,
                terms: Vec::new(),
                vars: BTreeMap::new(),
                ssh: Vec::new(),
                depth: None,
            });
            self.0.len() - 1
        });
        let (Some(group), Some(Table(shape))) = (self.0.get_mut(position), shape.get()) else {
            return;
        };
        if let Some(hosts) = shape.hosts.spanned() {
            let items = hosts.get_ref().items(&hosts.span()).into_iter();
            group.terms = items
                .map(|(span, term)| (Place::at(file, &span), term.to_owned()))
                .collect();
        }
        group.vars.extend(vars_of(&shape.vars));
        group.ssh.extend(layer(&shape.ssh, file, false));
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|group| group.name == name)
    }

    /// Turns the terms of every group into hosts, those of inner groups first.
    pub(super) fn resolve(&mut self, inventory: &mut Inventory, report: &mut Report) {
        for group in &self.0 {
            if inventory.catalog.hosts.contains_key(&group.name) {
                report.add(
                    group.at.clone(),
                    format!("`{}` names a group and a host", group.name),
                    "give one of them another name, so that selectors say which is meant",
                );
            }
        }
        let mut path = Vec::new();
        for position in 0..self.0.len() {
            self.resolve_one(position, inventory, &mut path, report);
        }
    }

    /// Returns the group's depth.
    fn resolve_one(
        &mut self,
        position: usize,
        inventory: &mut Inventory,
        path: &mut Vec<usize>,
        report: &mut Report,
    ) -> usize {
        let Some(group) = self.0.get(position) else {
            return 0;
        };
        if let Some(depth) = group.depth {
            return depth;
        }
        let (name, terms) = (group.name.clone(), group.terms.clone());
        path.push(position);
        let mut hosts = BTreeSet::new();
        let mut depth = 0;
        for (at, term) in terms {
            let inner = self.position(&term);
            if inner.is_some_and(|inner| path.contains(&inner)) {
                report.add(
                    at,
                    format!("the group `{term}` holds itself"),
                    format!("take `{term}` out of `{name}`, or break the circle elsewhere"),
                );
                continue;
            }
            if let Some(inner) = inner {
                depth = depth.max(1 + self.resolve_one(inner, inventory, path, report));
            }
            match term_of_group(&inventory.catalog, &term) {
                Ok(found) => hosts.extend(found),
                Err(fault) if inventory.whole => report.add(at, fault.title, fault.help),
                Err(_) => {}
            }
        }
        path.pop();
        inventory.catalog.groups.insert(name, hosts);
        if let Some(group) = self.0.get_mut(position) {
            group.depth = Some(depth);
        }
        depth
    }

    /// Puts defaults and groups under what each host was given itself. A group that holds others counts less than they do;
    /// of two that hold none, the later one wins.
    pub(super) fn lay_under(mut self, inventory: &mut Inventory, defaults: &[SshLayer]) {
        self.0.sort_by_key(|group| Reverse(group.depth));
        for host in &mut inventory.hosts {
            let mut ssh = defaults.to_vec();
            let mut vars = BTreeMap::new();
            for group in &self.0 {
                let members = inventory.catalog.groups.get(&group.name);
                if members.is_some_and(|members| members.contains(host.name.as_str())) {
                    ssh.extend(group.ssh.iter().cloned());
                    vars.extend(group.vars.clone());
                }
            }
            ssh.append(&mut host.ssh);
            vars.append(&mut host.vars);
            host.ssh = ssh;
            host.vars = vars;
        }
    }
}

fn term_of_group(catalog: &Catalog, term: &str) -> Result<BTreeSet<String>, Fault> {
    if term.contains(['=', ',', '&', '!']) {
        return Err(Fault {
            title: format!("`{term}` is not a member of a group"),
            help: "write an array of names, ranges, globs and other groups; `label=value`, `&` and `!` belong into the \
                   playbook's `hosts` or into --limit"
                .to_owned(),
        });
    }
    catalog.term(term)
}
