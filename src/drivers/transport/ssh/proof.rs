//! One proof of who we are: a key of a file or of the agent, shown to the server of one connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::AgentAuthError;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use super::client::Client;
use super::route::Hop;

/// How long the agent may take to list its keys; signing is bounded by the time for connecting.
const AGENT_LIST: Duration = Duration::from_secs(3);

/// Something to prove who we are with.
pub(super) enum Proof {
    File(Arc<PrivateKey>),
    FileCertificate(Arc<PrivateKey>, Box<Certificate>),
    Agent(PublicKey),
    AgentCertificate(Box<Certificate>),
}

/// Why a key could not be offered.
pub(super) enum ProofError {
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

/// Shows one proof.
///
/// # Errors
/// [`ProofError`] when it could not be shown; that it was refused is an answer.
pub(super) async fn prove(
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
