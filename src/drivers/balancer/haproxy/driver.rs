//! The two acts of a balancer: look, and tell.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::super::{BalancerError, Change, LoadBalancer, abreast};
use super::commands::commands;
use super::parse::Snapshot;
use super::socket::{LIMIT, Socket, SocketError};
use super::verdict::{self, NUMBERED, Verdict};
use super::{old, parse};
use crate::drivers::transport::Transport;
use crate::model::Endpoint;
use crate::model::{BalancerName, BalancerSeen, HostName, PoolName, ServerName};

/// Everything in one line, so that one process answers all of it: after a reload two connections may reach two. Backend rows (2) beside
/// server rows (4) tell a pool without servers from none.
const LOOK: &str =
    "set severity-output number;show info;show cli level;show servers state;show stat -1 6 -1";

/// The same through the master, which sends what follows `@1` to its worker; it tells of old workers itself.
const MASTER_LOOK: &str =
    "show proc;@1;show info;show cli level;show servers state;show stat -1 6 -1";

/// `HAProxy` serves ten connections to its sockets at a time and lets the eleventh wait without a word; others want some too.
const SIDE_BY_SIDE: usize = 4;

/// One `HAProxy`.
#[derive(Debug)]
pub(in super::super) struct Haproxy {
    name: BalancerName,
    socket: Socket,
    /// Whether the socket turned out to be the master's.
    is_master: AtomicBool,
    /// The worker beside which no old one was left when the system was last asked.
    alone: Mutex<Option<u32>>,
    /// Servers whose agent checks this process switched off.
    resting: Mutex<BTreeSet<(PoolName, ServerName)>>,
}

impl Haproxy {
    /// A driver for the socket at `endpoint`, as seen from the host `via` over `transport`, or from this machine.
    pub(in super::super) fn new(
        name: BalancerName,
        endpoint: Endpoint,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        let socket = Socket::new(endpoint, via, transport);
        Self {
            name,
            socket,
            is_master: AtomicBool::new(false),
            alone: Mutex::default(),
            resting: Mutex::default(),
        }
    }

    async fn look(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let line = self.reading_line();
        let mut answer = self.ask(line).await?;
        if line == LOOK && verdict::is_of_master(&answer) {
            self.is_master.store(true, Ordering::Relaxed);
            answer = self.ask(MASTER_LOOK).await?;
        }
        let mut seen =
            parse::snapshot(&answer, pools).map_err(|why| self.unreadable(&answer, &why))?;
        if seen.stopping {
            let reason = format!("{} is being replaced", seen.process);
            return Err(self.unreachable(reason));
        }
        if self.is_master.load(Ordering::Relaxed) {
            self.add_listed(&mut seen, &answer, pools).await?;
        } else {
            self.add_unlisted(&mut seen).await;
        }
        Ok(BalancerSeen {
            process: seen.process,
            pools: seen.pools,
            read_only: (seen.level != "admin").then(|| read_only(&seen.level)),
        })
    }

    fn reading_line(&self) -> &'static str {
        if self.is_master.load(Ordering::Relaxed) {
            MASTER_LOOK
        } else {
            LOOK
        }
    }

    /// Adds what old workers say that the master tells of.
    async fn add_listed(
        &self,
        seen: &mut Snapshot,
        answer: &str,
        pools: &[PoolName],
    ) -> Result<(), BalancerError> {
        for worker in old::listed(answer) {
            let asked = self.ask(&format!("@!{worker} show stat -1 6 -1")).await;
            let numbers = match &asked {
                Ok(answer) => {
                    parse::in_flight(answer, pools).map_err(|why| self.garbled("show stat", &why))
                }
                Err(error) => Err(error.clone()),
            };
            match numbers {
                Ok(numbers) => seen.add_in_flight(|pool, server| {
                    let key = (pool.to_string(), server.to_string());
                    numbers.get(&key).copied().unwrap_or_default()
                }),
                // One that has ended meanwhile carries nothing.
                Err(error) => {
                    if old::listed(&self.ask("show proc").await?).contains(&worker) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what the system knows of old workers, once for each new worker, and again while there are some.
    async fn add_unlisted(&self, seen: &mut Snapshot) {
        if *self.alone.lock().unwrap_or_else(PoisonError::into_inner) == Some(seen.pid) {
            return;
        }
        let Some(output) = self.socket.look_at_system(old::call(seen.pid)).await else {
            return;
        };
        let left = old::left(&String::from_utf8_lossy(&output));
        if left.workers == 0 {
            *self.alone.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen.pid);
            return;
        }
        let addresses = std::mem::take(&mut seen.addresses);
        seen.add_in_flight(|pool, server| {
            let address = addresses.get(&(pool.clone(), server.clone()));
            let connections = address.and_then(|address| left.connections.get(address));
            connections.copied().unwrap_or_default()
        });
    }

    async fn tell_all<'a>(&'a self, changes: &'a [Change]) -> Result<(), BalancerError> {
        let tell = |changes| self.tell_server(changes).boxed();
        abreast::by_server(changes, SIDE_BY_SIDE, tell).await
    }

    async fn tell_server(&self, changes: Vec<&Change>) -> Result<(), BalancerError> {
        for change in changes {
            if let Some(runs) = change.agent {
                let server = (change.pool.clone(), change.server.clone());
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                if runs {
                    resting.remove(&server);
                } else {
                    resting.insert(server);
                }
            }
            for command in commands(change) {
                self.command(&command).await?;
            }
        }
        Ok(())
    }

    /// One command that changes something, on a connection of its own: answers to several cannot be told apart.
    async fn command(&self, command: &str) -> Result<(), BalancerError> {
        let mut to_master = self.is_master.load(Ordering::Relaxed);
        let mut answer = self.say(command, to_master).await?;
        if !to_master && verdict::is_of_master(&answer) {
            self.is_master.store(true, Ordering::Relaxed);
            to_master = true;
            answer = self.say(command, to_master).await?;
        }
        let verdict = if to_master {
            verdict::read_plain(&answer)
        } else {
            verdict::read(&answer)
        };
        match verdict {
            Verdict::Done => Ok(()),
            Verdict::Refused(answer) => Err(self.refused(command, answer)),
            Verdict::Dying => Err(self.unreachable("its process is being replaced".to_owned())),
            Verdict::Cut => Err(self.unreachable(format!("the answer to `{command}` was cut"))),
            Verdict::Garbled => Err(self.garbled(command, &answer)),
        }
    }

    async fn say(&self, command: &str, to_master: bool) -> Result<String, BalancerError> {
        let line = if to_master {
            format!("@1 {command}")
        } else {
            format!("{NUMBERED};{command}")
        };
        self.ask(&line).await
    }

    async fn ask(&self, line: &str) -> Result<String, BalancerError> {
        self.socket.ask(line).await.map_err(|error| match error {
            SocketError::Unreachable(reason) => self.unreachable(reason),
            SocketError::Denied(answer) => self.refused("connect", answer),
        })
    }

    async fn limited<T>(
        &self,
        act: impl Future<Output = Result<T, BalancerError>>,
    ) -> Result<T, BalancerError> {
        let Ok(result) = tokio::time::timeout(LIMIT, act).await else {
            let reason = format!(
                "no answer within {LIMIT:?}; are all connections of its `stats socket` in use?"
            );
            return Err(self.unreachable(reason));
        };
        result
    }

    fn unreachable(&self, reason: String) -> BalancerError {
        BalancerError::Unreachable {
            balancer: self.name.clone(),
            endpoint: self.socket.describe(),
            reason,
        }
    }

    fn refused(&self, command: &str, answer: String) -> BalancerError {
        let command = match command {
            "connect" => format!("connect to {}", self.socket.describe()),
            other => other.to_owned(),
        };
        BalancerError::Refused {
            balancer: self.name.clone(),
            command,
            answer,
        }
    }

    fn garbled(&self, command: &str, answer: &str) -> BalancerError {
        BalancerError::Garbled {
            balancer: self.name.clone(),
            command: command.to_owned(),
            answer: beginning(answer),
        }
    }

    fn unreadable(&self, answer: &str, why: &str) -> BalancerError {
        self.garbled("show", &format!("{why}: {answer}"))
    }
}

impl LoadBalancer for Haproxy {
    fn name(&self) -> &BalancerName {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>> {
        self.limited(self.look(pools)).boxed()
    }

    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>> {
        self.limited(self.tell_all(changes)).boxed()
    }

    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String {
        let to = if self.is_master.load(Ordering::Relaxed) {
            "@1 "
        } else {
            ""
        };
        let mut command = format!("{to}set server {pool}/{server} state ready");
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.contains(&(pool.clone(), server.clone())) {
            command.push_str("; ");
            command.push_str(to);
            command.push_str("enable agent ");
            command.push_str(pool.as_str());
            command.push('/');
            command.push_str(server.as_str());
        }
        self.socket.by_hand(&command)
    }
}

fn read_only(level: &str) -> String {
    format!(
        "the socket's level is `{level}`: write `level admin` on its `stats socket` line in HAProxy's configuration, and reload"
    )
}

/// The first 200 characters, on one line.
fn beginning(text: &str) -> String {
    let visible = text.trim().chars().take(200);
    visible
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_shown_on_one_line_and_short() {
        assert_eq!(beginning("\n a\x1b[1m\tb\n"), "a [1m b");
        assert_eq!(beginning(&"x".repeat(500)).len(), 200);
    }
}
