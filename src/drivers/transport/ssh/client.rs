//! What one connection tells us: the host key that is shown, why it ended, why a channel was refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{DisconnectReason, Handler, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{ChannelId, ChannelOpenFailure};
use tokio::sync::Notify;

use super::trust::Trust;
use crate::drivers::transport::TransportError;

/// How long a reason may lag behind the end that it explains.
const LAG: Duration = Duration::from_millis(250);

/// What is said when a connection ends without a reason.
const NO_REASON: &str = "the connection ended without a reason";

#[derive(Debug, Default)]
struct State {
    end: Option<String>,
    refusal: Option<TransportError>,
    refused_channel: Option<String>,
}

/// What a connection told, shared between it and its users.
#[derive(Debug, Default)]
pub(super) struct Told {
    state: Mutex<State>,
    news: Notify,
}

impl Told {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_waiters();
    }

    fn get<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits a moment for something that arrives after what it explains.
    async fn wait_for<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if let Some(found) = self.get(&mut look) {
                    return found;
                }
                news.await;
            }
        };
        tokio::time::timeout(LAG, waiting).await.ok()
    }

    /// Why the host key was refused, if it was.
    pub(super) fn refusal(&self) -> Option<TransportError> {
        self.get(|state| state.refusal.clone())
    }

    /// Why the connection ended, in words.
    pub(super) async fn end(&self) -> String {
        self.wait_for(|state| state.end.clone())
            .await
            .unwrap_or_else(|| NO_REASON.to_owned())
    }

    /// What the server said when it refused the last channel.
    pub(super) async fn refused_channel(&self) -> Option<String> {
        self.wait_for(|state| state.refused_channel.take())
            .await
            .filter(|text| !text.is_empty())
    }
}

/// Our side of one connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) trust: Trust,
    pub(super) told: Arc<Told>,
}

impl Client {
    async fn judge(&self, shown: &PublicKeyOrCertificate) -> Result<(), TransportError> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Err(TransportError::HostKey {
                address: self.trust.address.clone(),
                reason: "it is a certificate, which was not asked for".to_owned(),
                hint: "look at the server's HostCertificate".to_owned(),
            });
        };
        let (trust, key) = (self.trust.clone(), key.clone());
        tokio::task::spawn_blocking(move || trust.check(&key))
            .await
            .unwrap_or_else(|error| {
                Err(TransportError::Local {
                    reason: format!("checking the host key failed: {error}"),
                })
            })
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let judged = self.judge(shown).await;
        let accepted = judged.is_ok();
        if let Err(refusal) = judged {
            self.told.set(|state| state.refusal = Some(refusal));
        }
        Ok(accepted)
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        _reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let description = description.trim().to_owned();
        self.told
            .set(|state| state.refused_channel = Some(description));
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        let (text, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                (format!("the server ended it: {}", info.message), Ok(()))
            }
            DisconnectReason::Error(error) => (in_words(&error), Err(error)),
        };
        self.told.set(|state| state.end = Some(text));
        result
    }
}

/// An error of the connection for people.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign list that grows; its own texts do for all others"
)]
pub(super) fn in_words(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => {
            "the host went silent: nothing was heard for about 20s".to_owned()
        }
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        russh::Error::Disconnect | russh::Error::HUP => "the connection was closed".to_owned(),
        russh::Error::NoCommonAlgo { kind, theirs, .. } => format!(
            "no common algorithm for {kind:?}; the server offers {}",
            theirs.join(", ")
        ),
        other => other.to_string(),
    }
}
