//! Scripts and sockets over SSH, by the library russh.
//!
//! ```text
//! inventory --legs--> route --`ssh_config`--> hops --jump--> connect --> client, auth, trust
//!                                                             |
//!                                              exec, forward: channels of one connection
//! ```
//!
//! One connection a host is kept for the whole rollout. It is opened at its first use, and, when it was lost, at the next one. A command
//! that was under way then is never repeated.

mod auth;
mod client;
mod config_file;
mod config_scan;
mod connect;
mod connector;
mod exec;
mod forward;
mod jump;
mod keys;
mod known_hosts;
mod proof;
mod route;
mod surroundings;
mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use russh::Channel;
use russh::client::Msg;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use self::connect::Live;
use self::exec::{Job, NoChannel};
use self::route::{Leg, address_text};
use super::payload::Source;
use super::script::{Elevation, Framed};
use super::{BoxStream, Call, Output, Transport, TransportError};
use crate::model::{Become, HostName, HostSpec};

pub use self::connector::Connector;
pub use self::surroundings::Surroundings;

/// How many commands run on a host at once: OpenSSH allows ten (`MaxSessions`), and slots of dropped commands linger.
const COMMANDS: usize = 4;

/// How often a use of the connection is begun anew when the connection turns out to have been lost before it.
const TRIES: u32 = 2;

/// The transport to a host. Nothing is connected, read or resolved before its first use.
///
/// `all` is the inventory, for jump hosts.
pub fn open(
    spec: &HostSpec,
    all: &BTreeMap<HostName, HostSpec>,
    connector: &Arc<Connector>,
) -> Arc<dyn Transport> {
    let user = spec.ssh.user.as_ref();
    let user = user.or(connector.surroundings().user.as_ref());
    let address = address_text(&spec.address, spec.ssh.port.unwrap_or(22));
    Arc::new(SshTransport {
        described: user.map_or_else(|| address.clone(), |user| format!("{user}@{address}")),
        settled: OnceLock::new(),
        r#become: spec.ssh.r#become,
        legs: route::legs(spec, all),
        connector: Arc::clone(connector),
        live: Mutex::new(None),
        commands: Semaphore::new(COMMANDS),
    })
}

/// One host over SSH.
struct SshTransport {
    /// As the inventory has it.
    described: String,
    /// As it is after `ssh_config` was asked.
    settled: OnceLock<String>,
    r#become: Become,
    legs: Result<Vec<Leg>, TransportError>,
    connector: Arc<Connector>,
    live: Mutex<Option<Arc<Live>>>,
    commands: Semaphore,
}

impl fmt::Debug for SshTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SshTransport")
            .field(&self.describe())
            .finish()
    }
}

impl SshTransport {
    /// The connection, opened if there is none. Others that need it meanwhile wait for the same one.
    async fn live(&self) -> Result<Arc<Live>, TransportError> {
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_ref().filter(|live| !live.handle.is_closed()) {
            return Ok(Arc::clone(live));
        }
        *slot = None;
        let legs = self.legs.as_ref().map_err(Clone::clone)?;
        let hops = route::resolve(legs, &self.connector).await?;
        if let Some(hop) = hops.last() {
            self.settled
                .get_or_init(|| format!("{}@{}", hop.user, hop.address()));
        }
        let live = jump::connect_through(&hops, &self.connector).await?;
        *slot = Some(Arc::clone(&live));
        Ok(live)
    }

    fn unreachable(&self, reason: impl Into<String>) -> TransportError {
        TransportError::Unreachable {
            address: self.describe(),
            reason: reason.into(),
        }
    }

    /// Forgets a connection that turned out to be lost.
    async fn forget(&self, lost: &Arc<Live>) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|live| Arc::ptr_eq(live, lost)) {
            *slot = None;
        }
    }

    fn elevation(&self, privileged: bool) -> Elevation {
        match (self.r#become, privileged) {
            (Become::SudoAll, _) | (Become::Sudo, true) => Elevation::Sudo,
            (Become::Doas, true) => Elevation::Doas,
            (Become::None, _) | (Become::Sudo | Become::Doas, false) => Elevation::None,
        }
    }

    /// A channel for a command. A connection that was lost unnoticed is replaced: nothing has been sent yet.
    async fn session(&self, until: Instant) -> Result<(Arc<Live>, Channel<Msg>), TransportError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let live = self.live().await?;
            let opened = tokio::time::timeout_at(until, exec::open_session(&live)).await;
            match opened {
                Ok(Ok(channel)) => return Ok((live, channel)),
                Ok(Err(NoChannel::Stale(_))) if tries < TRIES => self.forget(&live).await,
                Ok(Err(NoChannel::Stale(reason))) => return Err(self.unreachable(reason)),
                Ok(Err(NoChannel::Refused { reason, .. })) => {
                    return Err(TransportError::NoCommands { reason });
                }
                Err(_elapsed) => {
                    return Err(self.unreachable("its sshd opened no session in time"));
                }
            }
        }
    }

    async fn run_call(&self, call: Call) -> Result<Output, TransportError> {
        let framed = Framed::new(&call)?;
        let source = Source::open(&call.payload).await?;
        // Connecting has its own limit, the call's own begins when there is a connection.
        drop(self.live().await?);
        let until = Instant::now() + call.limit;
        let Ok(Ok(_turn)) = tokio::time::timeout_at(until, self.commands.acquire()).await else {
            return Err(self.unreachable(format!(
                "{COMMANDS} other commands kept running there for {:?}",
                call.limit
            )));
        };
        let (live, channel) = self.session(until).await?;
        let job = Job {
            purpose: call.purpose,
            framed: &framed,
            elevation: self.elevation(call.privileged),
            source,
            limit: call.limit,
            until,
        };
        let (ending, collected) = exec::exec(&live, channel, job).await?;
        collected.conclude(call.purpose, framed.marker(), ending)
    }

    async fn forwarded(&self, target: &Target<'_>) -> Result<BoxStream, TransportError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let live = self.live().await?;
            let opened = match *target {
                Target::Tcp(address, port) => forward::open_tcp(&live, address, port).await,
                Target::Unix(path) => forward::open_unix(&live, path).await,
            };
            match opened {
                Ok(stream) => return Ok(stream),
                Err(NoChannel::Stale(_)) if tries < TRIES => self.forget(&live).await,
                Err(NoChannel::Stale(reason)) => return Err(self.unreachable(reason)),
                Err(NoChannel::Refused { reason, prohibited }) => {
                    return Err(TransportError::Forward {
                        target: target.to_string(),
                        reason,
                        prohibited,
                    });
                }
            }
        }
    }
}

/// A socket on the host.
enum Target<'a> {
    Tcp(&'a str, u16),
    Unix(&'a str),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Tcp(address, port) => f.write_str(&address_text(address, port)),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

impl Transport for SshTransport {
    fn describe(&self) -> String {
        self.settled.get().unwrap_or(&self.described).clone()
    }

    fn r#become(&self) -> Become {
        self.r#become
    }

    fn run(&self, call: Call) -> BoxFuture<'_, Result<Output, TransportError>> {
        Box::pin(self.run_call(call))
    }

    fn open_tcp<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        Box::pin(async move { self.forwarded(&Target::Tcp(address, port)).await })
    }

    fn open_unix<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        Box::pin(async move { self.forwarded(&Target::Unix(path)).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let live = self.live.lock().await.take();
            if let Some(live) = live {
                jump::disconnect(&live).await;
            }
        })
    }
}
