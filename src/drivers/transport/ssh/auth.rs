//! Offering keys: those of files first, then those of the agent, and never a question to anybody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::AgentAuthError;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::client::Client;
use super::connector::Connector;
use super::keys::KeyFile;
use super::route::Hop;
use crate::drivers::transport::TransportError;

/// How many keys are offered on one connection: OpenSSH's server ends it at the sixth (`MaxAuthTries`).
const KEYS_A_CONNECTION: usize = 5;

/// How long the agent may take to list its keys; signing is bounded by the time for connecting.
const AGENT_LIST: Duration = Duration::from_secs(3);

/// Something to prove who we are with.
enum Proof {
    File(Arc<PrivateKey>),
    FileCertificate(Arc<PrivateKey>, Box<Certificate>),
    Agent(PublicKey),
    AgentCertificate(Box<Certificate>),
}

struct Candidate {
    /// How people know it.
    label: String,
    proof: Proof,
}

/// The keys that remain to be offered to one hop, and what became of the others.
pub(super) struct Offers {
    remaining: std::vec::IntoIter<Candidate>,
    tried: Vec<String>,
    skipped: Vec<String>,
}

/// What came of offering keys on one connection.
pub(super) enum Offered {
    /// Logged in.
    Accepted,
    /// More keys need another connection.
    Reconnect,
    /// The connection was lost meanwhile.
    Lost,
    /// No key remains, or none would help.
    Refused(String),
}

/// What came of one key.
enum Answer {
    Accepted,
    Next,
    Lost,
    Final(String),
}

impl Offers {
    /// Gathers what can be offered.
    ///
    /// # Errors
    /// [`TransportError::Local`] when a key file that the user named is missing or cannot be read.
    pub(super) async fn gather(hop: &Hop, connector: &Connector) -> Result<Self, TransportError> {
        let mut skipped = Vec::new();
        let agent = match &hop.agent {
            None => {
                skipped.push("no agent runs (SSH_AUTH_SOCK is not set)".to_owned());
                Vec::new()
            }
            Some(socket) => connector
                .agent_identities(socket)
                .await
                .unwrap_or_else(|reason| {
                    skipped.push(reason);
                    Vec::new()
                }),
        };
        let mut candidates = Vec::new();
        for identity in &hop.identities {
            let path = &identity.path;
            let label = path.display().to_string();
            match connector.key(path).await {
                KeyFile::Usable { key, certificate } => {
                    if let Some(certificate) = certificate {
                        candidates.push(Candidate {
                            label: format!("{label}-cert.pub"),
                            proof: Proof::FileCertificate(Arc::clone(&key), certificate),
                        });
                    }
                    candidates.push(Candidate {
                        label,
                        proof: Proof::File(key),
                    });
                }
                KeyFile::AgentOnly { public, .. } if holds(&agent, &public) => {
                    candidates.push(Candidate {
                        label: format!("{label} (through the agent)"),
                        proof: Proof::Agent(public),
                    });
                }
                KeyFile::AgentOnly { why, .. } => skipped.push(format!(
                    "{label} was not offered: {why} and not in the agent (run `ssh-add {label}`)"
                )),
                KeyFile::Missing if identity.required => {
                    return Err(unusable(path, "there is no such file"));
                }
                KeyFile::Unusable(why) if identity.required => return Err(unusable(path, &why)),
                KeyFile::Missing => skipped.push(format!("{label} does not exist")),
                KeyFile::Unusable(why) => skipped.push(format!("{label} was not offered: {why}")),
            }
        }
        if !hop.identities_only {
            add_agent_keys(&mut candidates, agent);
        }
        Ok(Self {
            remaining: candidates.into_iter(),
            tried: Vec::new(),
            skipped,
        })
    }

    /// Offers the next keys on a fresh connection.
    ///
    /// # Errors
    /// [`russh::Error`] when the connection fails in a way of its own.
    pub(super) async fn offer(
        &mut self,
        handle: &mut Handle<Client>,
        hop: &Hop,
    ) -> Result<Offered, russh::Error> {
        if self.remaining.as_slice().is_empty() {
            // Some servers ask for no proof at all.
            let answer = handle.authenticate_none(&hop.user).await?;
            return Ok(match Self::read(&answer) {
                Answer::Accepted => Offered::Accepted,
                Answer::Lost => Offered::Lost,
                Answer::Next | Answer::Final(_) => {
                    Offered::Refused(self.summary("there is no key to offer"))
                }
            });
        }
        for _ in 0..KEYS_A_CONNECTION {
            let Some(candidate) = self.remaining.next() else {
                return Ok(Offered::Refused(self.summary("")));
            };
            let answer = match prove(handle, hop, &candidate.proof).await {
                Ok(answer) => {
                    self.tried.push(candidate.label);
                    Self::read(&answer)
                }
                Err(ProofError::Agent(why)) => {
                    self.skipped.push(format!(
                        "the agent did not sign with {}: {why}",
                        candidate.label
                    ));
                    Answer::Next
                }
                Err(ProofError::Connection(error)) => return Err(error),
            };
            match answer {
                Answer::Accepted => return Ok(Offered::Accepted),
                Answer::Lost => return Ok(Offered::Lost),
                Answer::Final(why) => return Ok(Offered::Refused(self.summary(&why))),
                Answer::Next => {}
            }
        }
        if self.has_more() {
            Ok(Offered::Reconnect)
        } else {
            Ok(Offered::Refused(self.summary("")))
        }
    }

    /// Whether there is anything left to offer.
    pub(super) fn has_more(&self) -> bool {
        !self.remaining.as_slice().is_empty()
    }

    fn read(answer: &AuthResult) -> Answer {
        match answer {
            AuthResult::Success => Answer::Accepted,
            // A connection that was lost looks like a refusal after which nothing may be tried.
            AuthResult::Failure {
                remaining_methods, ..
            } if remaining_methods.is_empty() => Answer::Lost,
            AuthResult::Failure {
                partial_success: true,
                remaining_methods,
            } => Answer::Final(format!(
                "it wants more than a key: {}",
                names(remaining_methods)
            )),
            AuthResult::Failure {
                remaining_methods, ..
            } if !remaining_methods.contains(&MethodKind::PublicKey) => Answer::Final(format!(
                "it takes no keys, only {}",
                names(remaining_methods)
            )),
            AuthResult::Failure { .. } => Answer::Next,
        }
    }

    /// Everything that was tried and not, for an error.
    pub(super) fn summary(&self, first: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        if !first.is_empty() {
            parts.push(first.to_owned());
        }
        if !self.tried.is_empty() {
            parts.push(format!("offered {}", self.tried.join(", ")));
        }
        parts.extend(self.skipped.iter().cloned());
        parts.join("; ")
    }
}

fn unusable(path: &Path, why: &str) -> TransportError {
    TransportError::Local {
        reason: format!("cannot use the key {}: {why}", path.display()),
    }
}

fn names(methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(Into::into).collect();
    names.join(", ")
}

fn holds(agent: &[AgentIdentity], public: &PublicKey) -> bool {
    agent.iter().any(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => key.key_data() == public.key_data(),
        AgentIdentity::Certificate { .. } => false,
    })
}

/// Adds the agent's keys that no file has named yet.
fn add_agent_keys(candidates: &mut Vec<Candidate>, agent: Vec<AgentIdentity>) {
    for identity in agent {
        let candidate = match identity {
            AgentIdentity::PublicKey { key, comment } => Candidate {
                label: format!("`{comment}` of the agent"),
                proof: Proof::Agent(key),
            },
            AgentIdentity::Certificate {
                certificate,
                comment,
            } => Candidate {
                label: format!("certificate `{comment}` of the agent"),
                proof: Proof::AgentCertificate(Box::new(certificate)),
            },
        };
        let known = candidates
            .iter()
            .any(|other| match (&other.proof, &candidate.proof) {
                (Proof::File(file), Proof::Agent(key)) => {
                    file.public_key().key_data() == key.key_data()
                }
                (Proof::Agent(other), Proof::Agent(key)) => other.key_data() == key.key_data(),
                _ => false,
            });
        if !known {
            candidates.push(candidate);
        }
    }
}

/// Why a key could not be offered.
enum ProofError {
    Agent(String),
    Connection(russh::Error),
}

impl From<russh::Error> for ProofError {
    fn from(error: russh::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<AgentAuthError> for ProofError {
    fn from(error: AgentAuthError) -> Self {
        match error {
            AgentAuthError::Key(error) => Self::Agent(error.to_string()),
            AgentAuthError::Send(_) => Self::Connection(russh::Error::SendError),
        }
    }
}

async fn prove(
    handle: &mut Handle<Client>,
    hop: &Hop,
    proof: &Proof,
) -> Result<AuthResult, ProofError> {
    let user = &hop.user;
    match proof {
        Proof::File(key) => {
            let hash = hash_for(handle, key.algorithm().is_rsa()).await?;
            let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            Ok(handle.authenticate_publickey(user, key).await?)
        }
        Proof::FileCertificate(key, certificate) => Ok(handle
            .authenticate_openssh_cert(user, Arc::clone(key), certificate.as_ref().clone())
            .await?),
        Proof::Agent(key) => {
            let hash = hash_for(handle, key.algorithm().is_rsa()).await?;
            let mut agent = signer(handle, hop).await?;
            Ok(handle
                .authenticate_publickey_with(user, key.clone(), hash, &mut agent)
                .await?)
        }
        Proof::AgentCertificate(certificate) => {
            let hash = hash_for(handle, certificate.algorithm().is_rsa()).await?;
            let mut agent = signer(handle, hop).await?;
            Ok(handle
                .authenticate_certificate_with(user, certificate.as_ref().clone(), hash, &mut agent)
                .await?)
        }
    }
}

/// RSA signatures with SHA-1, the default of the protocol, are refused by OpenSSH: the best that the server names is used.
async fn hash_for(handle: &Handle<Client>, is_rsa: bool) -> Result<Option<HashAlg>, russh::Error> {
    if !is_rsa {
        return Ok(None);
    }
    let named = handle.best_supported_rsa_hash().await?;
    // A server that names none may still take the better one.
    Ok(named.unwrap_or(Some(HashAlg::Sha256)))
}

async fn signer(handle: &Handle<Client>, hop: &Hop) -> Result<AgentClient<UnixStream>, ProofError> {
    let socket = hop
        .agent
        .as_ref()
        .ok_or_else(|| ProofError::Agent("there is none".to_owned()))?;
    let mut agent = AgentClient::connect_uds(socket)
        .await
        .map_err(|error| ProofError::Agent(error.to_string()))?;
    // Keys that may be used for certain hosts only need this; agents that do not know it refuse, which does no harm.
    if let Some(binding) = handle.agent_session_binding()
        && let Err(error) = agent.bind_session(binding, false).await
    {
        tracing::debug!(%error, "the agent binds no session");
    }
    Ok(agent)
}

/// Asks an agent for its keys.
///
/// # Errors
/// In words, when it does not answer.
pub(super) async fn list_agent(socket: &Path) -> Result<Vec<AgentIdentity>, String> {
    let refuse = |why: String| format!("the agent at {} does not answer: {why}", socket.display());
    let listing = async {
        let mut agent = AgentClient::connect_uds(socket).await?;
        agent.request_identities().await
    };
    tokio::time::timeout(AGENT_LIST, listing)
        .await
        .map_err(|_elapsed| refuse(format!("nothing within {AGENT_LIST:?}")))?
        .map_err(|error| refuse(error.to_string()))
}
