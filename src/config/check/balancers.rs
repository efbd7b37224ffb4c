//! Balancers of the inventory that the playbook names.

use std::time::Duration;

use crate::config::check::scope::{BALANCER, Given};
use crate::config::check::ssh::split_port;
use crate::config::check::{Text, required};
use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::Field;
use crate::config::merge::{Inventory, NamedBalancer};
use crate::config::schema::inventory::Balancer;
use crate::config::schema::later;
use crate::model::fleet::Endpoint;
use crate::model::{BalancerSpec, HostName};

/// How long a balancer that does not answer is tried again (F8).
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest path that a unix socket can have. Source: unix(7), `sun_path` holds 108 bytes with the final zero.
const LONGEST_SOCKET: usize = 107;

/// Checks one balancer.
pub(crate) fn check(
    balancer: &NamedBalancer,
    inventory: &Inventory,
    given: &Given,
    report: &mut Report,
) -> Option<BalancerSpec> {
    let shape = balancer.shape.as_deref()?;
    let file = balancer.at.file();
    kind(shape, &balancer.at, report)?;
    let socket = required(
        &shape.socket,
        (file, &balancer.at),
        "socket",
        "\"unix:///run/haproxy/admin.sock\" or \"tcp://10.0.0.5:9999\"",
        report,
    );
    let via = via(shape, file, inventory, given, report);
    let timeout = timeout(&shape.timeout, file, report);
    let socket = socket?;
    let text = socket.render(&BALANCER, &given.context(), "", report)?;
    match endpoint(&text) {
        Ok(endpoint) => Some(BalancerSpec::HaproxySocket {
            name: balancer.name.clone(),
            endpoint,
            via: via.ok()?,
            timeout,
        }),
        Err(help) => {
            report.add(socket.at, format!("`{text}` is not a socket"), help);
            None
        }
    }
}

fn kind(shape: &Balancer, at: &Place, report: &mut Report) -> Option<()> {
    let kind = required(&shape.kind, (at.file(), at), "kind", "\"haproxy\"", report)?;
    if kind.text == "haproxy" {
        return Some(());
    }
    if later::BALANCER_KINDS.contains(&kind.text.as_str()) {
        report.add(
            kind.at,
            format!("balancers of kind `{}` are not supported yet", kind.text),
            "this version drives kind = \"haproxy\"",
        );
        return None;
    }
    let known = std::iter::once("haproxy").chain(later::BALANCER_KINDS.iter().copied());
    report.add(
        kind.at,
        format!("unknown kind of balancer `{}`", kind.text),
        nearest(&kind.text, known).map_or_else(
            || "write kind = \"haproxy\"".to_owned(),
            |near| format!("did you mean \"{near}\"?"),
        ),
    );
    None
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

fn endpoint(text: &str) -> Result<Endpoint, String> {
    const HELP: &str = "write \"unix:///run/haproxy/admin.sock\" or \"tcp://10.0.0.5:9999\"";
    if let Some(path) = text.strip_prefix("unix://") {
        if !path.starts_with('/') || path.contains('\0') {
            return Err(format!("the path of a unix socket is absolute: {HELP}"));
        }
        if path.len() > LONGEST_SOCKET {
            return Err(format!(
                "a unix socket's path has {LONGEST_SOCKET} bytes at most"
            ));
        }
        return Ok(Endpoint::Unix(path.to_owned()));
    }
    if text.starts_with('/') {
        return Err(format!("write \"unix://{text}\""));
    }
    let address = text.strip_prefix("tcp://").ok_or(HELP)?;
    match split_port(address.trim_end_matches('/'))? {
        (host, Some(port)) => Ok(Endpoint::Tcp(host, port)),
        (host, None) => Err(format!("say which port: \"tcp://{host}:9999\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_paths_or_addresses_with_a_port() {
        assert_eq!(
            endpoint("unix:///run/a.sock"),
            Ok(Endpoint::Unix("/run/a.sock".to_owned()))
        );
        assert_eq!(
            endpoint("tcp://[::1]:9"),
            Ok(Endpoint::Tcp("::1".to_owned(), 9))
        );
        assert_eq!(
            endpoint("tcp://lb:9999"),
            Ok(Endpoint::Tcp("lb".to_owned(), 9999))
        );
        for bad in [
            "/run/a.sock",
            "unix://run/a",
            "tcp://lb",
            "http://lb:1",
            "",
            "tcp://lb:0",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let long = format!("unix:///{}", "a".repeat(107));
        assert!(endpoint(&long).is_err());
    }
}
