//! Offering keys: those of files first, then those of the agent, and never a question to anybody.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::PublicKey;
use russh::keys::agent::AgentIdentity;
use russh::{MethodKind, MethodSet};

use super::client::Client;
use super::connector::Connector;
use super::keys::KeyFile;
use super::proof::{Proof, ProofError, prove};
use super::route::Hop;
use crate::drivers::transport::TransportError;

/// How many keys are offered on one connection: OpenSSH's server ends it at the sixth (`MaxAuthTries`).
const KEYS_A_CONNECTION: usize = 5;

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
