//! Opening one connection: TCP, key exchange, login, all within one limit.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Config, Handle};
use russh::keys::Algorithm;
use russh::{Preferred, cipher, kex};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;

use super::auth::{Offered, Offers};
use super::client::{Client, Told, in_words};
use super::connector::Connector;
use super::route::Hop;
use crate::drivers::transport::jitter::pause_before;
use crate::drivers::transport::{BoxStream, TransportError};

/// How often a server that closes new connections at once (`MaxStartups`) is tried.
const TRIES: u32 = 12;

/// The first wait between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What the server says when it has seen too many keys. Source: `sshd_config(5)`, `MaxAuthTries`.
const TOO_MANY_KEYS: &str = "Too many authentication failures";

/// An open connection, logged in.
pub(super) struct Live {
    /// Opens channels.
    pub(super) handle: Handle<Client>,
    /// What the connection tells.
    pub(super) told: Arc<Told>,
    /// `address:port`.
    pub(super) address: String,
    /// For opening channels too.
    pub(super) patience: Duration,
    /// Set once a command was sent: before that, sockets that it forwards are slow.
    pub(super) warm: OnceCell<()>,
    /// The connection that this one runs through.
    pub(super) outer: Option<Arc<Live>>,
}

/// What is being done, for the error when time runs out.
#[derive(Debug, Default)]
struct Phase(Mutex<String>);

impl Phase {
    fn set(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    fn get(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn unreachable(hop: &Hop, reason: impl Into<String>) -> TransportError {
    TransportError::Unreachable {
        address: hop.address().to_owned(),
        reason: reason.into(),
    }
}

/// Connects to a hop and logs in, directly or through the connection before it.
///
/// # Errors
/// Each variant of [`TransportError`] that says why there is no connection.
pub(super) async fn connect(
    hop: &Hop,
    outer: Option<Arc<Live>>,
    connector: &Connector,
) -> Result<Live, TransportError> {
    let phase = Phase::default();
    let logging_in = log_in(hop, outer, connector, &phase);
    tokio::time::timeout(hop.connect_timeout, logging_in)
        .await
        .unwrap_or_else(|_elapsed| {
            Err(unreachable(
                hop,
                format!(
                    "no answer within {:?} while {}",
                    hop.connect_timeout,
                    phase.get()
                ),
            ))
        })
}

async fn log_in(
    hop: &Hop,
    outer: Option<Arc<Live>>,
    connector: &Connector,
    phase: &Phase,
) -> Result<Live, TransportError> {
    phase.set("looking for keys");
    let config = Arc::new(config_for(hop).await?);
    let mut offers = Offers::gather(hop, connector).await?;
    loop {
        let (mut handle, told) = greet(hop, outer.as_deref(), &config, phase).await?;
        phase.set(format!("logging in as `{}`", hop.user));
        let lost = match offers.offer(&mut handle, hop).await {
            Ok(Offered::Accepted) => {
                return Ok(Live {
                    handle,
                    told,
                    address: hop.address().to_owned(),
                    patience: hop.connect_timeout,
                    warm: OnceCell::new(),
                    outer,
                });
            }
            Ok(Offered::Reconnect) => continue,
            Ok(Offered::Refused(reason)) => return Err(refused(hop, reason)),
            Ok(Offered::Lost) => told.end().await,
            Err(error) => format!("{} ({})", told.end().await, in_words(&error)),
        };
        if !lost.contains(TOO_MANY_KEYS) {
            return Err(unreachable(
                hop,
                format!("the connection was lost while logging in: {lost}"),
            ));
        }
        if !offers.has_more() {
            return Err(refused(hop, offers.summary("")));
        }
    }
}

fn refused(hop: &Hop, reason: String) -> TransportError {
    TransportError::Auth {
        address: hop.address().to_owned(),
        user: hop.user.clone(),
        reason,
    }
}

/// The protocol's settings; those for keys are the host's own.
async fn config_for(hop: &Hop) -> Result<Config, TransportError> {
    let trust = hop.trust.clone();
    let types = tokio::task::spawn_blocking(move || trust.preferred_types())
        .await
        .unwrap_or_else(|error| {
            Err(TransportError::Local {
                reason: format!("reading the known host keys failed: {error}"),
            })
        })?;
    Ok(Config {
        preferred: preferred(types),
        // Without it every command costs 44 ms instead of 2.
        nodelay: true,
        // Both are needed: keepalive does not fire while a write is stalled, and inactivity alone would end healthy quiet commands.
        keepalive_interval: Some(Duration::from_secs(5)),
        keepalive_max: 3,
        inactivity_timeout: Some(Duration::from_secs(20)),
        ..Config::default()
    })
}

fn preferred(types: Vec<Algorithm>) -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::ECDH_SHA2_NISTP256,
            kex::DH_GEX_SHA256,
            kex::DH_G18_SHA512,
            kex::DH_G16_SHA512,
            kex::DH_G14_SHA256,
            // A list of one's own must name the extensions, too.
            kex::EXTENSION_SUPPORT_AS_CLIENT,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        ]),
        // AES-GCM costs half the CPU of the default; the others are for small servers.
        cipher: Cow::Borrowed(&[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
        ]),
        key: Cow::Owned(types),
        ..Preferred::DEFAULT
    }
}

/// Connects and exchanges keys. A server that drops new connections at once is tried again: nothing has been asked of it yet.
async fn greet(
    hop: &Hop,
    outer: Option<&Live>,
    config: &Arc<Config>,
    phase: &Phase,
) -> Result<(Handle<Client>, Arc<Told>), TransportError> {
    let mut tries = 0;
    loop {
        tries += 1;
        phase.set("opening the connection");
        let stream = open_stream(hop, outer).await?;
        phase.set("waiting for its greeting and the key exchange");
        let told = Arc::new(Told::default());
        let client = Client {
            trust: hop.trust.clone(),
            told: Arc::clone(&told),
        };
        let error = match client::connect_stream(Arc::clone(config), stream, client).await {
            Ok(handle) => return Ok((handle, told)),
            Err(error) => error,
        };
        if let Some(refusal) = told.refusal() {
            return Err(refusal);
        }
        if !is_dropped(&error) {
            return Err(unreachable(hop, in_words(&error)));
        }
        let reason = format!(
            "the server closed {tries} connections before its key exchange, as it does above its MaxStartups"
        );
        if tries == TRIES {
            return Err(unreachable(hop, reason));
        }
        phase.set(reason);
        tokio::time::sleep(pause_before(tries, FIRST_PAUSE)).await;
    }
}

/// Whether the server closed the connection without a word.
fn is_dropped(error: &russh::Error) -> bool {
    if let russh::Error::IO(error) = error {
        return matches!(
            error.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        );
    }
    matches!(error, russh::Error::Disconnect | russh::Error::HUP)
}

async fn open_stream(hop: &Hop, outer: Option<&Live>) -> Result<BoxStream, TransportError> {
    match outer {
        None => Ok(Box::new(open_tcp(hop).await?)),
        Some(outer) => super::forward::open_tcp(outer, &hop.host, hop.port)
            .await
            .map_err(|failed| {
                unreachable(
                    hop,
                    format!("jump host {}: {}", outer.address, failed.reason()),
                )
            }),
    }
}

async fn open_tcp(hop: &Hop) -> Result<TcpStream, TransportError> {
    let found: Vec<SocketAddr> = lookup_host((hop.host.as_str(), hop.port))
        .await
        .map_err(|error| unreachable(hop, error.to_string()))?
        .collect();
    // Each address gets its share of the time, so that a dead one does not use up that of the others.
    let share = hop.connect_timeout / u32::try_from(found.len().max(1)).unwrap_or(1);
    let mut reason = "the name has no address".to_owned();
    for (index, address) in found.iter().enumerate() {
        let is_last = index.saturating_add(1) == found.len();
        let connecting = TcpStream::connect(address);
        let connected = if is_last {
            // The limit of the whole bounds it, with a better message.
            Ok(connecting.await)
        } else {
            tokio::time::timeout(share, connecting).await
        };
        match connected {
            Ok(Ok(stream)) => {
                stream
                    .set_nodelay(true)
                    .map_err(|error| unreachable(hop, error.to_string()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => reason = error.to_string(),
            Err(_elapsed) => reason = format!("{address} did not answer within {share:?}"),
        }
    }
    Err(unreachable(hop, reason))
}
