//! One connection to one host: scripts in, output back, sockets forwarded.
//!
//! * `ssh`: over SSH, by [`open`]; one [`Connector`] is shared by all hosts of a run.
//! * `local`: this machine, without SSH: [`LocalTransport`].
//!
//! Both send a script in the same way (`script`), read its output in the same way (`collect`) and pass the same contract suite,
//! `tests/transport/contract.rs`.

mod collect;
mod jitter;
mod local;
mod payload;
mod script;
mod ssh;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub use local::LocalTransport;
pub use ssh::{Connector, Surroundings, open};

/// A two-way byte stream, such as a forwarded socket.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A forwarded socket.
pub type BoxStream = Box<dyn Stream>;

/// What goes to a script's standard input after the script itself.
#[derive(Debug, Clone, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    None,
    /// A local file, streamed: never the whole of it in memory.
    File {
        /// Which file.
        path: PathBuf,
        /// Its length when it was hashed; a file that changed is an error.
        size: u64,
    },
}

/// One script to run on a host with `/bin/sh`.
#[derive(Clone)]
pub struct Call {
    /// What it is for, in a few words, for errors: "stage the release".
    pub purpose: &'static str,
    /// POSIX `sh` text. It must be one that may be cut anywhere without harm: functions first, one call at the end
    /// ([`crate::far`] makes it so).
    pub script: Arc<str>,
    /// What follows on its standard input.
    pub payload: Payload,
    /// For the whole call, once there is a connection; connecting has its own limit. When it passes, the command's process group gets
    /// TERM and the outcome is unknown.
    pub limit: Duration,
    /// Whether all of it runs with privilege (`become = "sudo-all"` is added by the transport itself).
    pub privileged: bool,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("purpose", &self.purpose)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What a finished command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub code: u32,
    /// What it printed, noise of login scripts before the marker removed.
    pub stdout: Vec<u8>,
    /// What it printed on standard error, the last 64 KiB.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard error as trimmed text, for messages.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// Why a host could not be asked, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: name, route, port, jump host, or a server that closes at once.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// `address:port`.
        address: String,
        /// In words.
        reason: String,
    },
    /// The host key is unknown, changed or revoked.
    #[error("host key of {address} refused: {reason}")]
    HostKey {
        /// `address:port`.
        address: String,
        /// In words, with file and line where there is one.
        reason: String,
        /// What to type.
        hint: String,
    },
    /// No key was accepted.
    #[error("{address} accepted none of the keys for user `{user}`: {reason}")]
    Auth {
        /// `address:port`.
        address: String,
        /// The login name.
        user: String,
        /// Which keys were tried, and what the server said.
        reason: String,
    },
    /// Options or local files do not allow a try: an unreadable key, a bad line of `known_hosts`.
    #[error("{reason}")]
    Local {
        /// In words.
        reason: String,
    },
    /// The connection ended while the command was under way: whether it did its work is unknown.
    #[error("the connection was lost while trying to {purpose}: {reason}")]
    Lost {
        /// Of the call.
        purpose: String,
        /// In words.
        reason: String,
    },
    /// The limit passed while the command was under way: whether it did its work is unknown.
    #[error("no answer within {limit:?} while trying to {purpose}")]
    Timeout {
        /// Of the call.
        purpose: String,
        /// The limit.
        limit: Duration,
    },
    /// The command was killed by a signal: whether it did its work is unknown.
    #[error("killed by SIG{signal} while trying to {purpose}")]
    Killed {
        /// Of the call.
        purpose: String,
        /// Without `SIG`.
        signal: String,
    },
    /// The server does not let us run commands, or runs another one (nologin, a forced command).
    #[error("the server runs no commands for this user: {reason}")]
    NoCommands {
        /// What it said.
        reason: String,
    },
    /// The server forwards no such socket.
    #[error("cannot forward {target}: {reason}")]
    Forward {
        /// The socket.
        target: String,
        /// In words.
        reason: String,
        /// Whether forwarding itself is switched off (another way may work), as far as the server tells.
        prohibited: bool,
    },
    /// The payload could not be read or has changed.
    #[error("cannot read {path}: {reason}", path = path.display())]
    Payload {
        /// The file.
        path: PathBuf,
        /// In words.
        reason: String,
    },
}

impl TransportError {
    /// Whether the command may have run, wholly or in part: look before anything else is decided.
    pub fn outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. } | Self::Timeout { .. } | Self::Killed { .. }
        )
    }

    /// What to type, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::HostKey { hint, .. } => Some(hint),
            Self::Unreachable { .. }
            | Self::Auth { .. }
            | Self::Local { .. }
            | Self::Lost { .. }
            | Self::Timeout { .. }
            | Self::Killed { .. }
            | Self::NoCommands { .. }
            | Self::Forward { .. }
            | Self::Payload { .. } => None,
        }
    }
}

/// A connection to one host, opened at its first use and, when it was lost, again at the next one.
///
/// A command that was under way when the connection was lost is never repeated: its caller gets [`TransportError::Lost`] and looks.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Where it leads, for people: `user@address:port`.
    fn describe(&self) -> String;
    /// How privileged steps are run there.
    fn r#become(&self) -> crate::model::Become;
    /// Runs one script and returns when it ended, whatever its exit code.
    fn run(&self, call: Call) -> BoxFuture<'_, Result<Output, TransportError>>;
    /// A TCP connection from the host to `address:port`.
    fn open_tcp<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<BoxStream, TransportError>>;
    /// A connection to a unix socket on the host.
    fn open_unix<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<BoxStream, TransportError>>;
    /// Ends the connection politely. Later uses open it again.
    fn close(&self) -> BoxFuture<'_, ()>;
}
