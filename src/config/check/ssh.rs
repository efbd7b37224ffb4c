//! How a host is reached: defaults, groups and the host's own `ssh`, laid over one another key by key.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::Field;
use crate::config::merge::{Host, Inventory, SshLayer};
use crate::config::paths;
use crate::config::schema::inventory::Ssh;
use crate::config::values::OneOrMany;
use crate::model::{Become, HostKeyChecking, HostName, Identity, JumpSpec, SshOptions};

/// For connecting and authenticating together, unless the inventory says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The options of one host.
pub(crate) fn options(host: &Host, inventory: &Inventory, report: &mut Report) -> SshOptions {
    let layers = &host.ssh;
    let user = strongest(layers, |ssh| &ssh.user);
    if let Some((layer, user)) = user
        && (user.get_ref().is_empty() || user.get_ref().chars().any(char::is_whitespace))
    {
        report.add(
            Place::at(layer.file, &user.span()),
            "this is not a login name",
            "write the SSH user, or leave the key out for the one of ssh_config",
        );
    }
    SshOptions {
        user: user.map(|(_, user)| user.get_ref().clone()),
        port: port(layers, report),
        identity_files: files(layers, |ssh| &ssh.identity_files, report)
            .into_iter()
            .map(|path| Identity {
                path,
                required: true,
            })
            .collect(),
        known_hosts: files(layers, |ssh| &ssh.known_hosts, report),
        host_key_checking: value(layers, |ssh| &ssh.host_key_checking)
            .map_or(HostKeyChecking::default(), |word| word.0),
        jump: jump(host, inventory, report),
        ssh_config: value(layers, |ssh| &ssh.ssh_config).unwrap_or(true),
        connect_timeout: connect_timeout(layers, report),
        r#become: value(layers, |ssh| &ssh.r#become).map_or(Become::default(), |word| word.0),
    }
}

fn strongest<T>(
    layers: &[SshLayer],
    key: impl Fn(&Ssh) -> &Field<T>,
) -> Option<(&SshLayer, &Spanned<T>)> {
    layers
        .iter()
        .rev()
        .find_map(|layer| Some((layer, key(&layer.shape).spanned()?)))
}

fn value<T: Copy>(layers: &[SshLayer], key: impl Fn(&Ssh) -> &Field<T>) -> Option<T> {
    strongest(layers, key).map(|(_, value)| *value.get_ref())
}

fn port(layers: &[SshLayer], report: &mut Report) -> Option<u16> {
    let (layer, port) = strongest(layers, |ssh| &ssh.port)?;
    if *port.get_ref() == 0 {
        report.add(
            Place::at(layer.file, &port.span()),
            "0 is not a port",
            "write 1 to 65535, or leave the key out for 22",
        );
    }
    Some(*port.get_ref())
}

fn connect_timeout(layers: &[SshLayer], report: &mut Report) -> Duration {
    let Some((layer, timeout)) = strongest(layers, |ssh| &ssh.connect_timeout) else {
        return CONNECT_TIMEOUT;
    };
    if timeout.get_ref().0.is_zero() {
        report.add(
            Place::at(layer.file, &timeout.span()),
            "no connection is made in no time",
            "write a timeout such as \"10s\"",
        );
    }
    timeout.get_ref().0
}

fn files(
    layers: &[SshLayer],
    key: impl Fn(&Ssh) -> &Field<OneOrMany>,
    report: &mut Report,
) -> Vec<PathBuf> {
    let Some((layer, list)) = strongest(layers, key) else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for (span, text) in list.get_ref().items(&list.span()) {
        match paths::resolve(text, report.folder(layer.file)) {
            Ok(path) => paths.push(path),
            Err(help) => report.add(
                Place::at(layer.file, &span),
                format!("`{text}` is not a path that can be used"),
                help,
            ),
        }
    }
    paths
}

fn jump(host: &Host, inventory: &Inventory, report: &mut Report) -> Vec<JumpSpec> {
    let Some((layer, list)) = strongest(&host.ssh, |ssh| &ssh.jump) else {
        return Vec::new();
    };
    let mut hops = Vec::new();
    for (span, text) in list.get_ref().items(&list.span()) {
        if text == host.name.as_str() {
            if layer.own {
                report.add(
                    Place::at(layer.file, &span),
                    format!("`{text}` cannot be reached through itself"),
                    "take it out of its own `jump`",
                );
            }
            // A default such as `jump = ["bastion"]` is for the others: the way to a hop ends before it.
            break;
        }
        match hop(text, inventory) {
            Ok(hop) => hops.push(hop),
            Err(None) => {}
            Err(Some(help)) => unknown_hop(layer.file, &span, text, help, report),
        }
    }
    hops
}

fn unknown_hop(
    file: FileId,
    span: &std::ops::Range<usize>,
    text: &str,
    help: String,
    report: &mut Report,
) {
    report.add(
        Place::at(file, span),
        format!("`{text}` is not a hop"),
        help,
    );
}

/// `Err(None)` where nothing can be said because a part of the inventory was not understood.
fn hop(text: &str, inventory: &Inventory) -> Result<JumpSpec, Option<String>> {
    if inventory.host(text).is_some() {
        return HostName::new(text)
            .map(JumpSpec::Inventory)
            .map_err(|error| Some(error.to_string()));
    }
    if !text.contains(['@', '.', ':']) {
        if !inventory.whole {
            return Err(None);
        }
        let known = inventory.catalog.hosts.keys().map(String::as_str);
        return Err(Some(nearest(text, known).map_or_else(
            || "write a host of this inventory, or user@address:port".to_owned(),
            |near| format!("did you mean the host `{near}`? Else write user@address:port"),
        )));
    }
    let (user, address) = match text.rsplit_once('@') {
        Some((user, address)) => (Some(user.to_owned()), address),
        None => (None, text),
    };
    let (address, port) = split_port(address).map_err(Some)?;
    if user.as_deref() == Some("") {
        return Err(Some(
            "write the user before the `@`, or leave both out".to_owned(),
        ));
    }
    Ok(JumpSpec::Address {
        user,
        address,
        port,
    })
}

/// Splits `host:port`, `[::1]:22`, `::1` and `host`; an IPv6 address loses its brackets.
///
/// # Errors
/// What would be right.
pub(crate) fn split_port(text: &str) -> Result<(String, Option<u16>), String> {
    const HELP: &str =
        "write a name or an address, with a port as in web-01.example.net:22 or [2001:db8::1]:22";
    let port_of = |digits: &str| match digits.parse::<u16>() {
        Ok(port @ 1..) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(port)),
        _ => Err(format!("`{digits}` is not a port: write 1 to 65535")),
    };
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(HELP)?;
        if address.parse::<std::net::Ipv6Addr>().is_err() && !address.contains('%') {
            return Err(HELP.to_owned());
        }
        match after.strip_prefix(':') {
            Some(digits) => (address, port_of(digits)?),
            None if after.is_empty() => (address, None),
            None => return Err(HELP.to_owned()),
        }
    } else {
        match text.split_once(':') {
            Some((address, digits)) if !digits.contains(':') => (address, port_of(digits)?),
            // More than one colon: IPv6 without brackets.
            _ => (text, None),
        }
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@[]'\"$`\\".contains(c);
    if address.is_empty() || address.starts_with('-') || address.contains(odd) {
        return Err(HELP.to_owned());
    }
    Ok((address.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_split_from_names_and_from_both_kinds_of_addresses() {
        let split = |text| split_port(text).map_err(|_reason| ());
        assert_eq!(split("web:22"), Ok(("web".to_owned(), Some(22))));
        assert_eq!(split("10.0.0.1"), Ok(("10.0.0.1".to_owned(), None)));
        assert_eq!(split("[::1]:2222"), Ok(("::1".to_owned(), Some(2222))));
        assert_eq!(split("[::1]"), Ok(("::1".to_owned(), None)));
        assert_eq!(split("2001:db8::1"), Ok(("2001:db8::1".to_owned(), None)));
        for bad in [
            "",
            ":22",
            "web:0",
            "web:99999",
            "web:x",
            "[::1",
            "[x]:22",
            "[::1]22",
            "-oProxyCommand=x",
            "a b",
        ] {
            assert_eq!(split(bad), Err(()), "{bad}");
        }
    }
}
