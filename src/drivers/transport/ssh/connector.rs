//! What all connections of a run share: bounds, and everything that is read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::agent::AgentIdentity;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::config_file::{HostConfig, Question, ask};
use super::keys::{KeyFile, load};
use super::proof::list_agent;
use super::surroundings::Surroundings;
use crate::drivers::transport::TransportError;

/// How many connections are opened at once. More only lengthens the wait of the last one.
const HANDSHAKES: usize = 32;

/// How many of them to the same jump host: OpenSSH drops some from the tenth on (`MaxStartups 10:30:100`).
const HANDSHAKES_A_JUMP: usize = 8;

/// How many `ssh -G` run at once.
const CONFIG_QUESTIONS: usize = 8;

/// Values that are made once for each key, however many ask at the same time.
#[derive(Debug)]
struct Once<K, V>(Mutex<BTreeMap<K, Arc<OnceCell<V>>>>);

impl<K: Ord, V: Clone> Once<K, V> {
    fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    async fn get(&self, key: K, make: impl Future<Output = V>) -> V {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_init(|| make).await.clone()
    }
}

/// Shared by all SSH transports of a run: bounds the connections that are opened at once, and reads keys, the agent's list and
/// `ssh_config` once.
#[derive(Debug)]
pub struct Connector {
    around: Surroundings,
    handshakes: Arc<Semaphore>,
    jumps: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    asking: Semaphore,
    configs: Once<Question, Result<Option<HostConfig>, TransportError>>,
    keys: Once<PathBuf, KeyFile>,
    agents: Once<PathBuf, Result<Vec<AgentIdentity>, String>>,
}

impl Connector {
    /// A connector that takes from `around` what the inventory leaves open.
    pub fn new(around: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            around,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            jumps: Mutex::new(BTreeMap::new()),
            asking: Semaphore::new(CONFIG_QUESTIONS),
            configs: Once::new(),
            keys: Once::new(),
            agents: Once::new(),
        })
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.around
    }

    /// Waits until another connection may be opened; `jump` names the jump host that it goes to. Held until it is open.
    pub(super) async fn handshake(&self, jump: Option<&str>) -> Vec<OwnedSemaphorePermit> {
        let mut permits = Vec::new();
        // The jump host's first: who waits for that one must not keep others from their hosts.
        let own = jump.map(|address| self.jump(address));
        for semaphore in own.into_iter().chain([Arc::clone(&self.handshakes)]) {
            // They are never closed, so acquiring cannot fail.
            permits.extend(semaphore.acquire_owned().await.ok());
        }
        permits
    }

    fn jump(&self, address: &str) -> Arc<Semaphore> {
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        let semaphore = jumps
            .entry(address.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(HANDSHAKES_A_JUMP)));
        Arc::clone(semaphore)
    }

    /// What `ssh_config` says about a host, if anything.
    pub(super) async fn ssh_config(
        &self,
        question: Question,
    ) -> Result<Option<HostConfig>, TransportError> {
        let asked = question.clone();
        let answer = async {
            let _turn = self.asking.acquire().await;
            ask(&asked, &self.around).await
        };
        self.configs.get(question, answer).await
    }

    /// A key file. Loading it may cost time, so it is done beside the runtime, and once.
    pub(super) async fn key(&self, path: &Path) -> KeyFile {
        let file = path.to_owned();
        let loading = async {
            tokio::task::spawn_blocking(move || load(&file))
                .await
                .unwrap_or_else(|error| KeyFile::Unusable(error.to_string()))
        };
        self.keys.get(path.to_owned(), loading).await
    }

    /// The keys of the agent at a socket; why there are none, in words.
    pub(super) async fn agent_identities(
        &self,
        socket: &Path,
    ) -> Result<Vec<AgentIdentity>, String> {
        self.agents.get(socket.to_owned(), list_agent(socket)).await
    }
}
