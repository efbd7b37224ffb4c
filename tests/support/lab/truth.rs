//! What is really so, asked past rollgate: what each host serves, and how each balancer sees it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Lab, LabBalancer, LabHost, SERVICE};

const LIMIT: Duration = Duration::from_secs(2);

/// One server, as HAProxy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerSeen {
    /// 0 stopped, 1 starting, 2 running, 3 stopping.
    pub(crate) operational: u8,
    /// The admin mask. Source: HAProxy 2.6 management guide, "show servers state".
    pub(crate) admin: u8,
}

impl ServerSeen {
    /// Whether it gets requests: up, and neither drained nor in maintenance.
    pub(crate) fn is_usable(self) -> bool {
        matches!(self.operational, 1 | 2) && !self.is_drained() && !self.is_in_maint()
    }

    /// Whether somebody has drained it.
    pub(crate) fn is_drained(self) -> bool {
        self.admin & 0b01_1000 != 0
    }

    /// Whether it is in maintenance.
    pub(crate) fn is_in_maint(self) -> bool {
        self.admin & 0b10_0011 != 0
    }
}

impl Lab {
    /// The version that a host serves, if it is ready.
    pub(crate) fn serves(host: &LabHost) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&host.app, LIMIT).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream
            .write_all(b"GET /health/ready HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let mut lines = answer.lines();
        let is_ready = lines.next()?.contains(" 200 ");
        let version = lines.find_map(|line| line.strip_prefix("x-version: "))?;
        is_ready.then(|| version.to_owned())
    }

    /// What every host serves, in order; `-` where it is not ready.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.hosts
            .iter()
            .map(|host| Self::serves(host).unwrap_or_else(|| "-".to_owned()))
            .collect()
    }

    /// Sends one command to a balancer's admin socket.
    pub(crate) fn tell(balancer: &LabBalancer, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(&balancer.socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The line of `show info` that names the process that answers.
    pub(crate) fn worker(balancer: &LabBalancer) -> io::Result<String> {
        let info = Self::tell(balancer, "show info")?;
        let line = info.lines().find(|line| line.starts_with("Pid:"));
        line.map(str::to_owned)
            .ok_or_else(|| io::Error::other(format!("{} answered: {info}", balancer.name)))
    }

    /// Every server of the pool.
    pub(crate) fn servers(
        &self,
        balancer: &LabBalancer,
    ) -> io::Result<BTreeMap<String, ServerSeen>> {
        let answer = Self::tell(balancer, &format!("show servers state {SERVICE}"))?;
        let seen: BTreeMap<_, _> = answer.lines().filter_map(server).collect();
        if seen.len() == self.hosts.len() {
            return Ok(seen);
        }
        Err(io::Error::other(format!(
            "{} answered: {answer}",
            balancer.name
        )))
    }

    /// The hosts that are not usable in some balancer, with what it shows.
    pub(crate) fn out_of_traffic(&self) -> io::Result<Vec<String>> {
        let mut out = Vec::new();
        for balancer in &self.balancers {
            for (name, seen) in self.servers(balancer)? {
                if !seen.is_usable() {
                    out.push(format!("{name} in {}: {seen:?}", balancer.name));
                }
            }
        }
        Ok(out)
    }

    /// The names of what lies in a host's `srv/.rollgate`, sorted; empty where the folder is missing.
    pub(crate) fn records(host: &LabHost) -> Vec<String> {
        names(&host.home.join("srv/.rollgate"))
    }

    /// The folders under a host's `srv/releases`, sorted.
    pub(crate) fn releases(host: &LabHost) -> Vec<String> {
        names(&host.home.join("srv/releases"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A row of `show servers state`: the 4th field is the name, the 6th and 7th the states.
fn server(line: &str) -> Option<(String, ServerSeen)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if line.starts_with('#') {
        return None;
    }
    let seen = ServerSeen {
        operational: fields.get(5)?.parse().ok()?,
        admin: fields.get(6)?.parse().ok()?,
    };
    Some(((*fields.get(3)?).to_owned(), seen))
}
