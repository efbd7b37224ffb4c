//! Balancers of the inventory that the playbook names. What each kind needs is checked in a file of its own.

mod api;
mod command;
mod dataplane;
mod haproxy;
mod health;
mod nginx;
mod nginx_plus;
mod servers;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::check::scope::{BALANCER, Given};
use crate::config::check::{Text, required};
use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::Field;
use crate::config::merge::{Inventory, NamedBalancer};
use crate::config::schema::inventory::Balancer;
use crate::config::template::Context;
use crate::model::{BalancerKind, BalancerSpec, HostName, HostSpec};

/// How long a balancer that does not answer is tried again (F8).
const TIMEOUT: Duration = Duration::from_secs(30);

/// Every kind with its check.
const KINDS: [(&str, Check); 6] = [
    ("haproxy", haproxy::check),
    ("nginx", nginx::check),
    ("command", command::check),
    ("health", health::check),
    ("dataplane", dataplane::check),
    ("nginx-plus", nginx_plus::check),
];

/// Keys that only some kinds have. The others (`kind`, `via`, `timeout`) belong to all.
const OF_KINDS: [(&str, &[&str]); 17] = [
    ("socket", &["haproxy"]),
    ("config", &["nginx"]),
    ("test", &["nginx"]),
    ("reload", &["nginx"]),
    ("pid", &["nginx"]),
    ("drain", &["command", "health"]),
    ("enable", &["command", "health"]),
    ("state", &["command", "health"]),
    ("in_flight", &["command", "health"]),
    ("settle", &["command"]),
    ("url", &["dataplane", "nginx-plus"]),
    ("username_env", &["dataplane", "nginx-plus"]),
    ("password_env", &["dataplane", "nginx-plus"]),
    ("ca", &["dataplane", "nginx-plus"]),
    ("file", &["health"]),
    ("checks", &["health"]),
    ("interval", &["health"]),
];

/// What the check of one kind looks at.
pub(super) struct Draft<'a> {
    /// The table.
    pub(super) shape: &'a Balancer,
    /// Its file.
    pub(super) file: FileId,
    /// Where it stands.
    pub(super) at: &'a Place,
    /// Its name.
    pub(super) name: &'a crate::model::BalancerName,
    /// What the command line gives to templates.
    pub(super) given: &'a Given,
    /// The playbook's hosts.
    pub(super) fleet: &'a [HostSpec],
    /// What their templates may say, `service` included.
    pub(super) hosts: &'a BTreeMap<HostName, Context>,
}

/// What balancers are checked against.
pub(crate) struct Around<'a> {
    /// The whole inventory.
    pub(crate) inventory: &'a Inventory,
    /// What the command line gives to templates.
    pub(crate) given: &'a Given,
    /// The playbook's hosts.
    pub(crate) fleet: &'a [HostSpec],
    /// What their templates may say.
    pub(crate) hosts: &'a BTreeMap<HostName, Context>,
}

/// Checks one balancer.
pub(crate) fn check(
    balancer: &NamedBalancer,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<BalancerSpec> {
    let shape = balancer.shape.as_deref()?;
    let file = balancer.at.file();
    let (kind, check) = kind(shape, &balancer.at, report)?;
    misplaced(shape, kind, file, report);
    let draft = Draft {
        shape,
        file,
        at: &balancer.at,
        name: &balancer.name,
        given: around.given,
        fleet: around.fleet,
        hosts: around.hosts,
    };
    let kind = check(&draft, report);
    let via = via(shape, file, around.inventory, around.given, report);
    let timeout = timeout(&shape.timeout, file, report);
    Some(BalancerSpec {
        name: balancer.name.clone(),
        via: via.ok()?,
        timeout,
        kind: kind?,
    })
}

type Check = fn(&Draft<'_>, &mut Report) -> Option<BalancerKind>;

fn kind(shape: &Balancer, at: &Place, report: &mut Report) -> Option<(&'static str, Check)> {
    let kind = required(&shape.kind, (at.file(), at), "kind", "\"haproxy\"", report)?;
    if let Some(known) = KINDS.iter().find(|(name, _)| *name == kind.text) {
        return Some(*known);
    }
    let names = KINDS.iter().map(|(name, _)| *name);
    report.add(
        kind.at,
        format!("unknown kind of balancer `{}`", kind.text),
        nearest(&kind.text, names.clone()).map_or_else(
            || format!("the kinds are {}", names.collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        ),
    );
    None
}

/// Keys that this kind of balancer does not have.
fn misplaced(shape: &Balancer, kind: &str, file: FileId, report: &mut Report) {
    for (key, kinds) in OF_KINDS {
        let Some(span) = span_of(shape, key) else {
            continue;
        };
        if !kinds.contains(&kind) {
            let of = kinds.join("\" or \"");
            report.add(
                Place::at(file, &span),
                format!("a balancer of kind `{kind}` has no `{key}`"),
                format!("it belongs to kind \"{of}\": take it out, or change the kind"),
            );
        }
    }
}

/// Where a key's value stands, where it is there.
fn span_of(shape: &Balancer, key: &str) -> Option<std::ops::Range<usize>> {
    let texts = [
        ("socket", &shape.socket),
        ("config", &shape.config),
        ("pid", &shape.pid),
        ("url", &shape.url),
        ("username_env", &shape.username_env),
        ("password_env", &shape.password_env),
        ("ca", &shape.ca),
        ("file", &shape.file),
    ];
    let commands = [
        ("test", &shape.test),
        ("reload", &shape.reload),
        ("drain", &shape.drain),
        ("enable", &shape.enable),
        ("state", &shape.state),
        ("in_flight", &shape.in_flight),
    ];
    let text = texts.iter().find(|(name, _)| *name == key);
    let command = commands.iter().find(|(name, _)| *name == key);
    text.and_then(|(_, field)| Some(field.spanned()?.span()))
        .or_else(|| command.and_then(|(_, field)| Some(field.spanned()?.span())))
        .or_else(|| match key {
            "settle" => Some(shape.settle.spanned()?.span()),
            "checks" => Some(shape.checks.spanned()?.span()),
            "interval" => Some(shape.interval.spanned()?.span()),
            _ => None,
        })
}

fn timeout(
    field: &Field<crate::config::values::Span>,
    file: FileId,
    report: &mut Report,
) -> Duration {
    let Some(timeout) = field.spanned() else {
        return TIMEOUT;
    };
    if timeout.get_ref().0.is_zero() {
        report.add(
            Place::at(file, &timeout.span()),
            "no balancer answers in no time",
            "write a timeout such as \"30s\"",
        );
    }
    timeout.get_ref().0
}

/// `Err` where `via` is there and wrong.
fn via(
    shape: &Balancer,
    file: FileId,
    inventory: &Inventory,
    given: &Given,
    report: &mut Report,
) -> Result<Option<HostName>, ()> {
    if shape.via.is_missing() {
        return Ok(None);
    }
    let via = Text::of(file, shape.via.spanned().ok_or(())?);
    let name = via
        .render(&BALANCER, &given.context(), "", report)
        .ok_or(())?;
    if let Some(host) = inventory.host(&name) {
        return Ok(Some(host.name.clone()));
    }
    if inventory.whole {
        let known = inventory.catalog.hosts.keys().map(String::as_str);
        report.add(
            via.at,
            format!("no host of the inventory is called `{name}`"),
            nearest(&name, known).map_or_else(
                || format!("add [hosts.{name}] with its address, or leave `via` out to connect from here"),
                |near| format!("did you mean `{near}`?"),
            ),
        );
    }
    Err(())
}
