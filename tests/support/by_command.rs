//! Balancers that are driven by commands, and hosts that look unfit, as their drivers know them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::{self, LoadBalancer, Reach, Target};
use rollgate::drivers::transport::Transport;
use rollgate::model::{
    BalancerKind, BalancerName, BalancerSpec, Command, CommandSpec, HealthServer, HealthSpec,
    HealthSwitch, HostName, ServerCommands,
};
use tempfile::TempDir;

use super::haproxy::{pool, server};
use super::local_shell::LocalShell;

/// A command for `sh -c`.
pub(crate) fn shell(text: &str) -> Command {
    Command::Shell(text.to_owned())
}

/// Words for no shell.
pub(crate) fn argv(words: &[&str]) -> Command {
    Command::Argv(words.iter().map(|&word| word.to_owned()).collect())
}

/// Commands for servers of the pool `app`: `texts` are `drain`, `enable`, `state` and `in_flight`, with `SERVER` for its name.
pub(crate) fn commands(servers: &[&str], texts: [&str; 4]) -> CommandSpec {
    let servers = servers.iter().map(|name| {
        let text = |text: &str| shell(&text.replace("SERVER", name));
        ServerCommands {
            pool: pool("app"),
            server: server(name),
            drain: text(texts[0]),
            enable: text(texts[1]),
            state: text(texts[2]),
            in_flight: (!texts[3].is_empty()).then(|| text(texts[3])),
        }
    });
    CommandSpec {
        servers: servers.collect(),
        settle: Duration::ZERO,
        dir: None,
    }
}

/// Their driver: here, or on `via`.
pub(crate) fn command_driver(
    spec: CommandSpec,
    via: Option<Arc<dyn Transport>>,
) -> Arc<dyn LoadBalancer> {
    let spec = BalancerSpec {
        name: BalancerName::new("custom").unwrap(),
        via: via.is_some().then(|| HostName::new("lb-1").unwrap()),
        timeout: Duration::from_secs(5),
        kind: BalancerKind::Command(spec),
    };
    let targets = Vec::new();
    balancer::open(&spec, Reach { via, targets })
}

/// A driver of kind `health` for the pool `app`: server `s1` is host `web-1`, and so on, each with its connection and switch.
pub(crate) fn health_driver(
    notice: Duration,
    hosts: Vec<(Arc<dyn Transport>, HealthSwitch)>,
) -> Arc<dyn LoadBalancer> {
    let (mut servers, mut targets) = (Vec::new(), Vec::new());
    for (number, (transport, switch)) in (1..).zip(hosts) {
        let host = HostName::new(&format!("web-{number}")).unwrap();
        let name = server(&format!("s{number}"));
        servers.push(HealthServer {
            pool: pool("app"),
            server: name.clone(),
            host: host.clone(),
            switch,
            in_flight: None,
        });
        targets.push(Target {
            pool: pool("app"),
            server: name,
            host,
            transport,
        });
    }
    let spec = BalancerSpec {
        name: BalancerName::new("unseen").unwrap(),
        via: None,
        timeout: Duration::from_secs(5),
        kind: BalancerKind::Health(HealthSpec { servers, notice }),
    };
    balancer::open(&spec, Reach { via: None, targets })
}

/// dash, and busybox with its own tools only, the latter with a folder that has to stay.
pub(crate) fn shells() -> (TempDir, [Arc<dyn Transport>; 2]) {
    let dir = TempDir::new().unwrap();
    let tools = dir.path().to_owned();
    let installed = std::process::Command::new("busybox")
        .args(["--install", "-s"])
        .arg(&tools)
        .status()
        .unwrap();
    assert!(installed.success());
    let dash = LocalShell {
        program: PathBuf::from("/bin/dash"),
        path: None,
    };
    let busybox = LocalShell {
        program: tools.join("sh"),
        path: Some(tools),
    };
    (dir, [Arc::new(dash), Arc::new(busybox)])
}
