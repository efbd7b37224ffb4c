//! The lab's HAProxy.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::Command;

use super::process::Daemon;
use super::{Lab, LabBalancer, SERVICE};

/// Starts one, in front of all hosts.
pub(crate) fn start(lab: &Lab, balancer: &LabBalancer) -> io::Result<Daemon> {
    let file = lab.dir().join(format!("{}.cfg", balancer.name));
    fs::write(&file, configuration(lab, balancer))?;
    // Debian keeps it outside the search path of ordinary users.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("haproxy");
    command
        .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
        .args(["-W", "-db", "-f"])
        .arg(file);
    let log = lab
        .dir()
        .join("logs")
        .join(format!("{}.log", balancer.name));
    Daemon::start(&balancer.name, &mut command, &log)
}

/// As operators are advised to have it, but for checks that are quick enough for tests.
fn configuration(lab: &Lab, balancer: &LabBalancer) -> String {
    let mut text = format!(
        "global\n  \
           stats socket {socket} mode 600 level admin\n  \
           stats timeout 30s\n  \
           maxconn 2000\n\
         defaults\n  \
           mode http\n  \
           timeout connect 2s\n  \
           timeout client 60s\n  \
           timeout server 60s\n  \
           timeout check 1s\n  \
           option idle-close-on-response\n\
         frontend front\n  \
           bind {front}\n  \
           default_backend {SERVICE}\n\
         listen stats\n  \
           bind {stats}\n  \
           stats enable\n  \
           stats uri /\n\
         backend {SERVICE}\n  \
           balance roundrobin\n  \
           option httpchk GET /health/ready\n  \
           option redispatch 1\n  \
           default-server check inter 200ms rise 1 fall 2\n",
        socket = balancer.socket.display(),
        front = balancer.front,
        stats = balancer.stats,
    );
    for host in &lab.hosts {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "  server {} {}", host.name, host.app);
    }
    text
}
