//! The fleet: each host with everything that does not depend on a release.

use std::collections::BTreeSet;

use crate::config::check::ready::check_url;
use crate::config::check::scope::{ADDRESS, ADDRESS_IN_RANGE, Given, READY, ROOT};
use crate::config::check::traffic::{self, Entry, Taken};
use crate::config::check::{Text, ssh};
use crate::config::diagnostic::Report;
use crate::config::merge::{Host, Inventory};
use crate::config::template::Context;
use crate::model::{BalancerSpec, HostName, HostSpec, JumpSpec, ServiceName};

/// What the playbook says about every host, not rendered yet.
pub(crate) struct Wanted<'a> {
    /// The inventory.
    pub inventory: &'a Inventory,
    /// Command line and environment.
    pub given: &'a Given,
    /// What is rolled out.
    pub service: &'a ServiceName,
    /// The root's template.
    pub root: Option<&'a Text>,
    /// `[[traffic]]`.
    pub traffic: &'a [Entry],
    /// The readiness URL's template.
    pub http: Option<&'a Text>,
}

/// Renders one host of the fleet; the context goes on to the recipes.
pub(crate) fn host(
    host: &Host,
    wanted: &Wanted<'_>,
    taken: &mut Taken,
    report: &mut Report,
) -> Option<(HostSpec, Context)> {
    let who = format!(" (for {})", host.name);
    let spec = helper(host, wanted.inventory, wanted.given, report)?;
    let context = wanted
        .given
        .context_of(host)
        .with("address", spec.address.as_str())
        .with("service", wanted.service.as_str());
    let around = (&host.name, &context, wanted.inventory);
    let traffic = traffic::targets(wanted.traffic, around, taken, report);
    let root = wanted
        .root
        .and_then(|root| rendered_root(root, &context, &who, report));
    let ready_url = wanted.http.and_then(|http| {
        let url = http.render(&READY, &context, &who, report)?;
        if let Err(help) = check_url(&url) {
            report.add(
                http.at.clone(),
                format!("`{url}` is not a URL that can be asked"),
                format!("{help}{who}"),
            );
            return None;
        }
        Some(url)
    });
    let (root, ready_url) = (root?, ready_url?);
    let context = context.with("root", root.as_str());
    let spec = HostSpec {
        root,
        traffic,
        ready_url,
        ..spec
    };
    Some((spec, context))
}

fn rendered_root(root: &Text, context: &Context, who: &str, report: &mut Report) -> Option<String> {
    let text = root.render(&ROOT, context, who, report)?;
    let path = text.trim_end_matches('/');
    let odd = |c: char| c.is_control();
    let climbs = path.split('/').any(|part| part == "..");
    if path.starts_with('/') && !climbs && !path.contains(odd) {
        return Some(path.to_owned());
    }
    report.add(
        root.at.clone(),
        format!("`{text}` is not a folder for releases"),
        format!("write an absolute path on the host, without `..`, such as \"/opt/app\"{who}"),
    );
    None
}

/// A host with its address and SSH options alone: enough to lead a connection through.
pub(crate) fn helper(
    host: &Host,
    inventory: &Inventory,
    given: &Given,
    report: &mut Report,
) -> Option<HostSpec> {
    let options = ssh::options(host, inventory, report);
    let (address, port) = address(host, given, report)?;
    let ssh = crate::model::SshOptions {
        // A port in the address is nearer to the host than any default.
        port: port.or(options.port),
        ..options
    };
    Some(HostSpec {
        name: host.name.clone(),
        address,
        labels: host.labels.clone(),
        ssh,
        root: String::new(),
        traffic: Vec::new(),
        ready_url: String::new(),
    })
}

fn address(host: &Host, given: &Given, report: &mut Report) -> Option<(String, Option<u16>)> {
    let Some((at, text)) = &host.address else {
        return Some((host.name.to_string(), None));
    };
    let template = Text {
        at: at.clone(),
        text: text.clone(),
    };
    let mut context = given.context_of(host);
    let mut scope = &ADDRESS;
    if let Some((number, written)) = &host.number {
        context = context.with("n", *number).with("nn", written.as_str());
        scope = &ADDRESS_IN_RANGE;
    }
    let who = format!(" (for {})", host.name);
    let text = template.render(scope, &context, &who, report)?;
    ssh::split_port(&text)
        .map_err(|help| {
            report.add(
                at.clone(),
                format!("`{text}` is not an address"),
                format!("{help}{who}"),
            );
        })
        .ok()
}

/// Hosts outside the fleet that connections lead through, and those that lead to these.
pub(crate) fn helpers(
    fleet: &[HostSpec],
    balancers: &[BalancerSpec],
    inventory: &Inventory,
    given: &Given,
    report: &mut Report,
) -> Vec<HostSpec> {
    let mut known: BTreeSet<HostName> = fleet.iter().map(|host| host.name.clone()).collect();
    let mut due: Vec<HostName> = fleet.iter().flat_map(hops).collect();
    due.extend(balancers.iter().filter_map(|balancer| balancer.via.clone()));
    let mut helpers = Vec::new();
    while let Some(name) = due.pop() {
        if !known.insert(name.clone()) {
            continue;
        }
        let host = inventory.host(name.as_str());
        if let Some(spec) = host.and_then(|host| helper(host, inventory, given, report)) {
            due.extend(hops(&spec));
            helpers.push(spec);
        }
    }
    helpers.sort_by(|a, b| a.name.cmp(&b.name));
    helpers
}

fn hops(host: &HostSpec) -> Vec<HostName> {
    let inventory_host = |hop: &JumpSpec| match hop {
        JumpSpec::Inventory(name) => Some(name.clone()),
        JumpSpec::Address { .. } => None,
    };
    host.ssh.jump.iter().filter_map(inventory_host).collect()
}
