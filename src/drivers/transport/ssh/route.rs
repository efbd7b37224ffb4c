//! From an inventory's words to the stops on the way to a host, each with everything that a connection needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::config_file::{AgentChoice, HostConfig, Question};
use super::connector::Connector;
use super::known_hosts::HostNames;
use super::trust::Trust;
use crate::drivers::transport::TransportError;
use crate::model::{HostName, HostSpec, Identity, JumpSpec, SshOptions};

/// The port of SSH.
const SSH_PORT: u16 = 22;

/// How often `ProxyJump` may name a host that has a `ProxyJump` itself.
const DEEPEST: usize = 8;

/// One stop as it is configured, before `ssh_config` was asked.
#[derive(Debug, Clone)]
pub(super) struct Leg {
    /// Name or address.
    pub(super) address: String,
    /// Its options; `jump` no longer counts.
    pub(super) options: SshOptions,
}

/// One stop with everything settled.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    /// Name or address to connect to.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// Login name.
    pub(super) user: String,
    /// Keys to offer, in this order.
    pub(super) identities: Vec<Identity>,
    /// Whether keys of the agent that are not among `identities` stay there.
    pub(super) identities_only: bool,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
    /// How the host key is judged.
    pub(super) trust: Trust,
    /// For connecting and authenticating together.
    pub(super) connect_timeout: Duration,
}

impl Hop {
    /// `address:port`.
    pub(super) fn address(&self) -> &str {
        &self.trust.address
    }
}

/// `address:port`, IPv6 in brackets.
pub(super) fn address_text(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn local(reason: String) -> TransportError {
    TransportError::Local { reason }
}

/// The stops on the way to `spec`, itself the last one.
///
/// A list of jumps is the whole way, but its first host may have a way of its own. A host that is named in its own list, as it is when
/// `[ssh] jump` names it for all, is reached by what stands before it.
///
/// # Errors
/// [`TransportError::Local`] when a jump host is not in the inventory, or jump hosts need each other.
pub(super) fn legs(
    spec: &HostSpec,
    all: &BTreeMap<HostName, HostSpec>,
) -> Result<Vec<Leg>, TransportError> {
    legs_to(spec, all, &mut Vec::new())
}

fn legs_to<'a>(
    spec: &'a HostSpec,
    all: &'a BTreeMap<HostName, HostSpec>,
    seen: &mut Vec<&'a HostName>,
) -> Result<Vec<Leg>, TransportError> {
    seen.push(&spec.name);
    let mut legs = Vec::new();
    for jump in &spec.ssh.jump {
        match jump {
            JumpSpec::Inventory(name) if *name == spec.name => break,
            JumpSpec::Inventory(name) => {
                let host = all.get(name).ok_or_else(|| {
                    local(format!(
                        "jump host `{name}` of `{}` is not in the inventory",
                        spec.name
                    ))
                })?;
                if !legs.is_empty() {
                    legs.push(leg(host));
                } else if seen.contains(&name) {
                    let way: Vec<&str> = seen.iter().map(|name| name.as_str()).collect();
                    return Err(local(format!(
                        "jump hosts need each other: {} -> {name}",
                        way.join(" -> ")
                    )));
                } else {
                    legs = legs_to(host, all, seen)?;
                }
            }
            JumpSpec::Address {
                user,
                address,
                port,
            } => {
                let mut options = spec.ssh.clone();
                options.user = user.clone().or(options.user);
                options.port = port.or(options.port);
                if *address == spec.address && options.port == spec.ssh.port {
                    break;
                }
                legs.push(Leg {
                    address: address.clone(),
                    options,
                });
            }
        }
    }
    legs.push(leg(spec));
    Ok(legs)
}

fn leg(spec: &HostSpec) -> Leg {
    Leg {
        address: spec.address.clone(),
        options: spec.ssh.clone(),
    }
}

/// Settles every stop, asking `ssh_config` where the options say so. Its `ProxyJump` counts for the first stop only: what comes after is
/// reached through it already.
///
/// # Errors
/// [`TransportError::Local`] when `ssh_config` cannot be read or asks for what is not supported.
pub(super) async fn resolve(
    legs: &[Leg],
    connector: &Connector,
) -> Result<Vec<Hop>, TransportError> {
    let mut legs = legs.to_vec();
    for _ in 0..=DEEPEST {
        let Some(first) = legs.first() else { break };
        let config = config_of(first, connector).await?;
        if let Some(command) = &config.proxy_command {
            return Err(local(format!(
                "~/.ssh/config sets ProxyCommand `{command}` for `{}`, which is not supported: use `jump` in the inventory",
                first.address
            )));
        }
        if config.jump.is_empty() {
            let mut hops = Vec::new();
            for leg in &legs {
                hops.push(hop(leg, &config_of(leg, connector).await?, connector)?);
            }
            return Ok(hops);
        }
        let before = config
            .jump
            .iter()
            .map(|text| proxy_leg(text, &first.options))
            .collect::<Result<Vec<Leg>, TransportError>>()?;
        legs.splice(0..0, before);
    }
    Err(local(
        "the ProxyJump lines of ~/.ssh/config lead in a circle".to_owned(),
    ))
}

async fn config_of(leg: &Leg, connector: &Connector) -> Result<HostConfig, TransportError> {
    if !leg.options.ssh_config {
        return Ok(HostConfig::default());
    }
    let question = Question {
        host: leg.address.clone(),
        user: leg.options.user.clone(),
        port: leg.options.port,
    };
    Ok(connector.ssh_config(question).await?.unwrap_or_default())
}

/// A stop of a `ProxyJump` line: `[ssh://][user@]host[:port]`.
fn proxy_leg(text: &str, options: &SshOptions) -> Result<Leg, TransportError> {
    let refuse = || {
        local(format!(
            "~/.ssh/config has a ProxyJump `{text}` that cannot be read: write [user@]host[:port]"
        ))
    };
    let rest = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(refuse)?;
        (host, after.strip_prefix(':'))
    } else if rest.matches(':').count() == 1 {
        rest.split_once(':')
            .map_or((rest, None), |(host, port)| (host, Some(port)))
    } else {
        (rest, None)
    };
    if host.is_empty() || host.starts_with('-') {
        return Err(refuse());
    }
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().map_err(|_not_a_port| refuse())?),
    };
    // The target's user and port are not the jump host's: ssh_config has its own for it.
    let options = SshOptions {
        user,
        port,
        ..options.clone()
    };
    Ok(Leg {
        address: host.to_owned(),
        options,
    })
}

fn hop(leg: &Leg, config: &HostConfig, connector: &Connector) -> Result<Hop, TransportError> {
    let around = connector.surroundings();
    let options = &leg.options;
    let host = config
        .host_name
        .clone()
        .unwrap_or_else(|| leg.address.clone());
    let port = options.port.or(config.port).unwrap_or(SSH_PORT);
    let user = options
        .user
        .clone()
        .or_else(|| config.user.clone())
        .or_else(|| around.user.clone())
        .ok_or_else(|| {
            local(format!(
                "nobody says as whom to log in to `{}`: set `user` in [ssh]",
                leg.address
            ))
        })?;
    let names = match &config.host_key_alias {
        Some(alias) => HostNames::new(alias, SSH_PORT),
        None => HostNames::new(&host, port),
    };
    let trust = Trust {
        address: address_text(&host, port),
        names,
        files: known_hosts(options, config, connector),
        checking: options.host_key_checking,
    };
    Ok(Hop {
        identities: identities(options, config, connector),
        identities_only: config.identities_only,
        agent: match &config.agent {
            AgentChoice::Usual => around.agent.clone(),
            AgentChoice::Nobody => None,
            AgentChoice::At(socket) => Some(socket.clone()),
        },
        trust,
        connect_timeout: options.connect_timeout,
        host,
        port,
        user,
    })
}

fn known_hosts(options: &SshOptions, config: &HostConfig, connector: &Connector) -> Vec<PathBuf> {
    if !options.known_hosts.is_empty() {
        return options.known_hosts.clone();
    }
    let around = connector.surroundings();
    let or = |files: &[PathBuf], default: Vec<PathBuf>| {
        if files.is_empty() {
            default
        } else {
            files.to_vec()
        }
    };
    let mut files = or(&config.user_known_hosts, around.user_known_hosts());
    files.extend(or(
        &config.global_known_hosts,
        around.system_known_hosts.clone(),
    ));
    files
}

fn identities(options: &SshOptions, config: &HostConfig, connector: &Connector) -> Vec<Identity> {
    if !options.identity_files.is_empty() {
        return options.identity_files.clone();
    }
    let paths = if config.identity_files.is_empty() {
        connector.surroundings().default_identities()
    } else {
        config.identity_files.clone()
    };
    paths
        .into_iter()
        .map(|path| Identity {
            path,
            required: false,
        })
        .collect()
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
