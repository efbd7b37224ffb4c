//! The two acts of a balancer: look, and tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::super::{BalancerError, Change, LoadBalancer};
use super::parse;
use super::socket::{LIMIT, Socket, SocketError};
use super::verdict::{self, NUMBERED, Verdict};
use crate::drivers::transport::Transport;
use crate::model::Endpoint;
use crate::model::{Admin, BalancerName, BalancerSeen, HostName, PoolName, ServerName};

/// Everything in one line, so that one process answers all of it: after a reload two connections may reach two. Backend rows (2) beside
/// server rows (4) tell a pool without servers from none.
const LOOK: &str =
    "set severity-output number;show info;show cli level;show servers state;show stat -1 6 -1";

/// `HAProxy` serves ten connections to its sockets at a time and lets the eleventh wait without a word; others want some too.
const SIDE_BY_SIDE: usize = 4;

/// One `HAProxy`.
#[derive(Debug)]
pub(in super::super) struct Haproxy {
    name: BalancerName,
    socket: Socket,
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
        Self { name, socket }
    }

    async fn look(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let answer = self.ask(LOOK).await?;
        let seen = parse::snapshot(&answer, pools).map_err(|why| self.unreadable(&answer, &why))?;
        if seen.stopping {
            let reason = format!("{} is being replaced", seen.process);
            return Err(self.unreachable(reason));
        }
        Ok(BalancerSeen {
            process: seen.process,
            pools: seen.pools,
            read_only: (seen.level != "admin").then(|| read_only(&seen.level)),
        })
    }

    /// Changes of one server keep their order; servers do not wait for each other. All are tried, then the first error is told.
    async fn tell_all(&self, changes: &[Change]) -> Result<(), BalancerError> {
        let mut servers: BTreeMap<(&PoolName, &ServerName), Vec<&Change>> = BTreeMap::new();
        for change in changes {
            servers
                .entry((&change.pool, &change.server))
                .or_default()
                .push(change);
        }
        let acts: Vec<_> = servers
            .into_values()
            .map(|changes| self.tell_server(changes).boxed())
            .collect();
        let told: Vec<_> = futures::stream::iter(acts)
            .buffered(SIDE_BY_SIDE)
            .collect()
            .await;
        told.into_iter().collect()
    }

    async fn tell_server(&self, changes: Vec<&Change>) -> Result<(), BalancerError> {
        for change in changes {
            for command in commands(change) {
                self.command(&command).await?;
            }
        }
        Ok(())
    }

    /// One command that changes something, on a connection of its own: answers to several cannot be told apart.
    async fn command(&self, command: &str) -> Result<(), BalancerError> {
        let answer = self.ask(&format!("{NUMBERED};{command}")).await?;
        match verdict::read(&answer) {
            Verdict::Done => Ok(()),
            Verdict::Refused(answer) => Err(self.refused(command, answer)),
            Verdict::Dying => Err(self.unreachable("its process is being replaced".to_owned())),
            Verdict::Cut => Err(self.unreachable(format!("the answer to `{command}` was cut"))),
            Verdict::Garbled => Err(self.garbled(command, &answer)),
        }
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
        // The master process knows `@!<pid>` and none of the workers' commands.
        if answer.contains("@!<pid>") {
            let answer =
                "this is the master's socket; name a `stats socket … level admin` of the workers"
                    .to_owned();
            return self.refused("show servers state", answer);
        }
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
        self.socket
            .by_hand(&format!("set server {pool}/{server} state ready"))
    }
}

/// The weight comes before `ready`, so that no request is sent by a wrong one, and after what takes the server out.
fn commands(change: &Change) -> Vec<String> {
    let server = format!("set server {}/{}", change.pool, change.server);
    let weight = change
        .weight
        .map(|weight| format!("{server} weight {weight}"));
    let (state, weight_first) = match change.admin {
        Admin::Ready => ("ready", true),
        Admin::Drain => ("drain", false),
        Admin::Maint => ("maint", false),
    };
    let mut commands: Vec<String> = weight.into_iter().collect();
    commands.insert(
        if weight_first { commands.len() } else { 0 },
        format!("{server} state {state}"),
    );
    commands
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
    fn weight_is_put_back_before_requests_come_and_after_they_stopped() {
        let change = |admin| Change {
            pool: PoolName::new("be").unwrap(),
            server: ServerName::new("s1").unwrap(),
            admin,
            weight: Some(7),
            agent: None,
        };
        let (weight, ready, drain) = (
            "set server be/s1 weight 7",
            "set server be/s1 state ready",
            "set server be/s1 state drain",
        );
        assert_eq!(commands(&change(Admin::Ready)), [weight, ready]);
        assert_eq!(commands(&change(Admin::Drain)), [drain, weight]);
    }

    #[test]
    fn foreign_text_is_shown_on_one_line_and_short() {
        assert_eq!(beginning("\n a\x1b[1m\tb\n"), "a [1m b");
        assert_eq!(beginning(&"x".repeat(500)).len(), 200);
    }
}
