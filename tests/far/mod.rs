//! Every script that runs on hosts, under dash and under busybox with its own tools only, without SSH.

mod containers;
mod finish;
mod lock;
mod running;
mod stage;
mod stage_tree;
mod swap;
mod texts;
mod unit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::host::{self, HostDriver, LockWish, SwapOrder, SwapTo};
use rollgate::model::record::ProcessMark;
use rollgate::model::{
    Artifact, Command, Form, HostFacts, LockOwner, LockSeen, LockToken, Proof, Record, RecordStep,
    ReleaseRef, Restart, Revision, RolloutId, Run, ServiceName, Sha256, Target, Version,
};
use tempfile::TempDir;

use crate::support::local_shell::LocalShell;

/// One host with a shell, in a folder of its own.
pub(crate) struct Lab {
    dir: TempDir,
    shell: LocalShell,
}

impl Lab {
    /// A host for each shell.
    fn both() -> [Self; 2] {
        let dash = Self {
            dir: TempDir::new().unwrap(),
            shell: LocalShell {
                program: PathBuf::from("/bin/dash"),
                path: None,
            },
        };
        let dir = TempDir::new().unwrap();
        let tools = dir.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let installed = std::process::Command::new("busybox")
            .args(["--install", "-s"])
            .arg(&tools)
            .status()
            .unwrap();
        assert!(installed.success());
        let busybox = Self {
            dir,
            shell: LocalShell {
                program: tools.join("sh"),
                path: Some(tools),
            },
        };
        [dash, busybox]
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("it's a root")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.root().join(".rollgate").join(name)
    }

    fn at(&self, root: &Path, token: &str) -> Arc<dyn HostDriver> {
        host::open(
            Arc::new(self.shell.clone()),
            root.to_str().unwrap(),
            rollout(),
            LockToken::new(token).unwrap(),
        )
    }

    fn host(&self, token: &str) -> Arc<dyn HostDriver> {
        self.at(&self.root(), token)
    }

    /// A process that holds the lock.
    async fn locked(&self, token: &str) -> Arc<dyn HostDriver> {
        let host = self.host(token);
        let facts = host.inspect(&take(token)).await.unwrap();
        assert_eq!(facts.lock, LockSeen::Ours);
        host
    }

    /// Takes the lock over from whoever holds it.
    async fn steal(&self, token: &str) -> HostFacts {
        let host = self.host(token);
        let seen = host.inspect(&LockWish::Look).await.unwrap();
        let LockSeen::Held { file, .. } = seen.lock else {
            panic!("nobody holds the lock: {:?}", seen.lock);
        };
        host.inspect(&take_over(token, &file)).await.unwrap()
    }

    /// A release that lies there.
    fn release(&self, name: &str, text: &str) -> ReleaseRef {
        let dir = self.root().join("releases").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("app"), text).unwrap();
        release_at(&dir)
    }

    /// A local file as an artifact.
    fn artifact(&self, bytes: &[u8]) -> Artifact {
        let path = self.dir.path().join("artifact");
        std::fs::write(&path, bytes).unwrap();
        Artifact {
            path,
            name: "app".to_owned(),
            sha256: sha_of(bytes),
            size: u64::try_from(bytes.len()).unwrap(),
            from: "here".to_owned(),
            form: Form::File,
        }
    }

    fn current(&self) -> Option<PathBuf> {
        std::fs::read_link(self.root().join("current")).ok()
    }

    /// Every path below the root, but for what the lock is made of.
    fn tree(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
                paths.push(entry.path().display().to_string());
            }
        }
        paths.sort();
        paths
    }
}

fn rollout() -> RolloutId {
    RolloutId::new("20261123T141502Z-7f3a").unwrap()
}

fn owner(token: &str) -> LockOwner {
    LockOwner {
        v: 1,
        rollout: rollout(),
        token: LockToken::new(token).unwrap(),
        command: "deploy".to_owned(),
        service: None,
        by: format!("kim@{token}"),
        since: "2026-11-23T14:15:02Z".parse().unwrap(),
        process: ProcessMark::default(),
        message: Some("it's \"mine\"; $(false)".to_owned()),
    }
}

fn take(token: &str) -> LockWish {
    LockWish::Take(Box::new(owner(token)))
}

fn take_over(token: &str, seen: &str) -> LockWish {
    LockWish::TakeOver {
        owner: Box::new(owner(token)),
        seen: seen.to_owned(),
    }
}

fn sha_of(bytes: &[u8]) -> Sha256 {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in sha2::Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    Sha256::new(&text).unwrap()
}

fn release_at(dir: &Path) -> ReleaseRef {
    ReleaseRef {
        revision: Revision(1),
        version: None,
        dir: dir.to_str().unwrap().to_owned(),
    }
}

fn record() -> Record {
    Record {
        v: 1,
        rollout: rollout(),
        attempt: 1,
        command: "deploy".to_owned(),
        service: ServiceName::new("app").unwrap(),
        target: Target {
            revision: Revision(1),
            version: Version::new("a").unwrap(),
            sha256: sha_of(b""),
            config: sha_of(b""),
        },
        by: "kim@desk".to_owned(),
        started: "2026-11-23T14:15:02Z".parse().unwrap(),
        options: BTreeMap::new(),
        keys: BTreeMap::new(),
        batches: Vec::new(),
        failed: Vec::new(),
        hooks: BTreeMap::new(),
        step: RecordStep::Swap,
        swapped: true,
        going_back: false,
        undo: false,
        before: None,
        proof: Proof::default(),
        found: Vec::new(),
        left: Vec::new(),
        stranded: None,
    }
}

/// A service that is started and stopped by shell texts.
fn service(start: &str, stop: &str) -> Run {
    let text = |text: &str| (!text.is_empty()).then(|| Command::Shell(text.to_owned()));
    Run {
        restart: Restart::Commands {
            start: text(start),
            stop: text(stop),
            restart: None,
        },
        stop_timeout: Duration::ZERO,
        logs: None,
    }
}

/// A swap to a release, or to nothing, of a service that runs.
fn swap_order(to: Option<ReleaseRef>, run: &Run) -> SwapOrder {
    SwapOrder {
        to: to.map_or(SwapTo::Nothing, SwapTo::Release),
        leaving: Some(run.clone()),
        entering: run.clone(),
        record: record(),
        expect: None,
    }
}

/// Waits until `path` is there and has something in it.
async fn appears(path: &Path) -> String {
    for _ in 0..500 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("{} did not appear", path.display());
}

/// Whether a process lives.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}
