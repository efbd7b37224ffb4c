//! One connection, one line, the whole answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::drivers::transport::{BoxStream, Call, LocalTransport, Transport, TransportError};
use crate::model::Endpoint;
use crate::model::{Become, HostName};

use super::script;

/// For one act, connecting included (R3).
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// An answer longer than this is none: 10 000 servers make 6 MiB.
const LONGEST_ANSWER: u64 = 32 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SocketError {
    /// Nobody answered; in a moment somebody may.
    Unreachable(String),
    /// Somebody has to change something first.
    Denied(String),
}

/// Where the socket is seen from.
#[derive(Debug)]
enum Route {
    Here,
    Via(HostName, Arc<dyn Transport>),
    /// A host is named, and the caller brought no connection to it.
    Lost(HostName),
}

/// The way to one balancer. Holds no connection: a kept one would lead to the old process after a reload.
#[derive(Debug)]
pub(super) struct Socket {
    endpoint: Endpoint,
    route: Route,
}

impl Socket {
    pub(super) fn new(
        endpoint: Endpoint,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        let route = match (via, transport) {
            (None, _) => Route::Here,
            (Some(host), Some(transport)) => Route::Via(host, transport),
            (Some(host), None) => Route::Lost(host),
        };
        Self { endpoint, route }
    }

    /// For people: `/run/haproxy/admin.sock on lb-1`.
    pub(super) fn describe(&self) -> String {
        let place = match &self.endpoint {
            Endpoint::Unix(path) => path.clone(),
            Endpoint::Tcp(address, port) if address.contains(':') => format!("[{address}]:{port}"),
            Endpoint::Tcp(address, port) => format!("{address}:{port}"),
        };
        match &self.route {
            Route::Here => place,
            Route::Via(host, _) | Route::Lost(host) => format!("{place} on {host}"),
        }
    }

    /// Sends one line over a connection of its own and reads until the other side closes.
    pub(super) async fn ask(&self, line: &str) -> Result<String, SocketError> {
        let answer = match &self.route {
            Route::Here => exchange(self.connect().await?, line).await?,
            Route::Via(_, transport) => self.ask_there(transport.as_ref(), line).await?,
            Route::Lost(host) => {
                let text = format!("there is no SSH connection to {host}");
                return Err(SocketError::Denied(text));
            }
        };
        // Even a success is a line feed: nothing at all means that nobody was behind the socket.
        if answer.is_empty() {
            let text = "the connection was closed without an answer".to_owned();
            return Err(SocketError::Unreachable(text));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn connect(&self) -> Result<BoxStream, SocketError> {
        match &self.endpoint {
            Endpoint::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(local_refusal(&error)),
            },
            Endpoint::Tcp(address, port) => {
                match TcpStream::connect((address.as_str(), *port)).await {
                    Ok(stream) => Ok(Box::new(stream)),
                    Err(error) => Err(SocketError::Unreachable(error.to_string())),
                }
            }
        }
    }

    async fn ask_there(&self, host: &dyn Transport, line: &str) -> Result<Vec<u8>, SocketError> {
        let (opened, may_help) = match &self.endpoint {
            // A missing socket, a missing right and forwarding switched off are all the same refusal: the script tells which.
            Endpoint::Unix(path) => (host.open_unix(path).await, true),
            Endpoint::Tcp(address, port) => {
                let opened = host.open_tcp(address, *port).await;
                let prohibited = matches!(
                    opened,
                    Err(TransportError::Forward {
                        prohibited: true,
                        ..
                    })
                );
                (opened, prohibited)
            }
        };
        match opened {
            Ok(stream) => exchange(stream, line).await,
            Err(TransportError::Forward { .. }) if may_help => {
                let call = script::call(&self.endpoint, line, host.r#become(), LIMIT);
                let output = host.run(call).await.map_err(|error| of_transport(&error))?;
                script::answer(output)
            }
            Err(error) => Err(of_transport(&error)),
        }
    }

    /// What a script on the machine of the socket prints; `None` where that machine is not known or does not answer.
    pub(super) async fn look_at_system(&self, call: Call) -> Option<Vec<u8>> {
        if matches!(self.endpoint, Endpoint::Tcp(..)) {
            return None;
        }
        let output = match &self.route {
            Route::Here => LocalTransport::default().run(call).await,
            Route::Via(_, transport) => transport.run(call).await,
            Route::Lost(_) => return None,
        };
        output.ok().map(|output| output.stdout)
    }

    /// What a person types to send `line`.
    pub(super) fn by_hand(&self, line: &str) -> String {
        let (address, privileged) = match &self.endpoint {
            Endpoint::Unix(path) => (format!("unix-connect:{path}"), true),
            Endpoint::Tcp(address, port) => {
                (script::tcp_for_socat(address, *port).to_lowercase(), false)
            }
        };
        let socat = |prefix: &str| format!("echo \"{line}\" | {prefix}socat stdio {address}");
        match &self.route {
            Route::Here => socat(""),
            Route::Lost(host) => format!("ssh {host} {}", script::quoted(&socat(""))),
            Route::Via(_, transport) => {
                let prefix = match transport.r#become() {
                    Become::Sudo | Become::SudoAll if privileged => "sudo ",
                    Become::Doas if privileged => "doas ",
                    Become::None | Become::Sudo | Become::Doas | Become::SudoAll => "",
                };
                let target = ssh_words(&transport.describe());
                format!("ssh {target} {}", script::quoted(&socat(prefix)))
            }
        }
    }
}

async fn exchange(mut stream: BoxStream, line: &str) -> Result<Vec<u8>, SocketError> {
    let lost =
        |error: io::Error| SocketError::Unreachable(format!("the connection was lost: {error}"));
    stream
        .write_all(format!("{line}\n").as_bytes())
        .await
        .map_err(lost)?;
    // A master socket closes only after we did; a worker's may have closed already, which is no error.
    if stream.flush().await.is_ok() {
        stream.shutdown().await.ok();
    }
    let mut answer = Vec::new();
    let mut limited = stream.take(LONGEST_ANSWER);
    limited.read_to_end(&mut answer).await.map_err(lost)?;
    if limited.limit() == 0 {
        let text = format!("it answers more than {} MiB", LONGEST_ANSWER >> 20);
        return Err(SocketError::Denied(text));
    }
    Ok(answer)
}

fn local_refusal(error: &io::Error) -> SocketError {
    let kind = error.kind();
    if kind == io::ErrorKind::PermissionDenied {
        let text = format!("{error}; join the group that the socket belongs to");
        return SocketError::Denied(text);
    }
    SocketError::Unreachable(if kind == io::ErrorKind::NotFound {
        format!("{error}; is `stats socket` with this path in HAProxy's configuration?")
    } else if kind == io::ErrorKind::ConnectionRefused {
        format!("{error}; HAProxy is not running")
    } else {
        error.to_string()
    })
}

fn of_transport(error: &TransportError) -> SocketError {
    match error {
        TransportError::Unreachable { .. }
        | TransportError::Lost { .. }
        | TransportError::Timeout { .. }
        | TransportError::Killed { .. }
        | TransportError::Forward {
            prohibited: false, ..
        } => SocketError::Unreachable(error.to_string()),
        TransportError::HostKey { .. }
        | TransportError::Auth { .. }
        | TransportError::Local { .. }
        | TransportError::NoCommands { .. }
        | TransportError::Forward {
            prohibited: true, ..
        }
        | TransportError::Payload { .. } => SocketError::Denied(error.to_string()),
    }
}

/// `user@address:port` as arguments of `ssh`.
pub(in super::super) fn ssh_words(described: &str) -> String {
    let Some((target, port)) = described.rsplit_once(':') else {
        return described.to_owned();
    };
    match port.parse::<u16>() {
        Ok(22) => target.replace(['[', ']'], ""),
        Ok(port) => format!("-p {port} {}", target.replace(['[', ']'], "")),
        Err(_) => described.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_host_becomes_what_ssh_takes() {
        assert_eq!(ssh_words("deploy@10.0.0.5:22"), "deploy@10.0.0.5");
        assert_eq!(ssh_words("deploy@[fd00::1]:2222"), "-p 2222 deploy@fd00::1");
        assert_eq!(ssh_words("lb-1"), "lb-1");
    }

    #[test]
    fn a_host_without_a_connection_is_an_error_and_not_this_machine() {
        let via = HostName::new("lb-1").unwrap();
        let socket = Socket::new(Endpoint::Unix("/x".to_owned()), Some(via), None);
        assert_eq!(socket.describe(), "/x on lb-1");
        let answer = futures::executor::block_on(socket.ask("show info"));
        assert!(matches!(answer, Err(SocketError::Denied(_))));
    }
}
