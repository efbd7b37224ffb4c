//! What is rolled: the artifact, its place on a host, and the commands that make it run.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Container, HostName, Revision, Sha256, Unit, Version};

/// An artifact on this machine, hashed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The local file.
    pub path: PathBuf,
    /// What a binary is called inside the release's folder.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Sha256,
    /// Its length in bytes; of an archive: what its files take on a disk.
    pub size: u64,
    /// What users see as its source (`from` of a revision).
    pub from: String,
    /// What it is on a host.
    pub form: Form,
}

/// What an artifact is inside a release's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Form {
    /// One executable file.
    #[default]
    File,
    /// The files of an archive; `None` where the archive is not here, so that nothing can be sent.
    Tree(Option<Pack>),
}

/// What is rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseKind {
    /// One executable file.
    Binary,
    /// The files of an archive.
    Archive,
    /// A container of Docker's or Podman's.
    Container,
}

/// What is sent of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// The local file: a tar compressed with gzip.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What its files take on a disk.
    pub unpacked: u64,
    /// Digest of the list in it.
    pub manifest: Sha256,
}

/// The digest of what reaches a process besides its artifact, where nothing does. It is in records of hosts, and never changes.
pub const NO_CONFIG: &str = "ed9e62dfb85ca870520ce9a9f215139737eba108db4832c90296d85056c5693f";

/// What lies in a release besides its artifact, rendered for one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// Paths inside the release that are links into `<root>/shared`.
    pub shared: Vec<String>,
    /// Rendered files.
    pub files: Vec<ReleaseFile>,
}

/// A file of a release, rendered for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Where it lies in the release.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// `user`, `user:group` or `:group`; `None`: the SSH user.
    pub owner: Option<String>,
    /// Digest of its text.
    pub sha256: Sha256,
    /// What is in it.
    pub text: FileText,
    /// Whether there may be a secret in it.
    pub secret: bool,
}

/// The text of a file, wiped when it is dropped, and never printed by mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct FileText(Zeroizing<String>);

impl FileText {
    /// That text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FileText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A release as it stands, or will stand, on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRef {
    /// Its number; [`Revision::FOUND`] for what rollgate found.
    pub revision: Revision,
    /// Its version; `None` only for what was found and never told its version.
    pub version: Option<Version>,
    /// Its folder, absolute: what `current` points to.
    pub dir: String,
}

/// A command of the user's, every template rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Program and arguments; no shell reads them.
    Argv(Vec<String>),
    /// Given to `sh -c`; values of templates are already literals in it.
    Shell(String),
}

/// How a service is restarted on one host for one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// By `systemctl`, privileged.
    Systemd(Unit),
    /// By the user's own commands, privileged; at least one of start and restart is there.
    Commands {
        /// Starts it.
        start: Option<Command>,
        /// Stops it.
        stop: Option<Command>,
        /// Does both.
        restart: Option<Command>,
    },
    /// It is a container, which the release brings along.
    Container(Box<Container>),
}

/// How many of the service's last log lines a failure shows.
pub const LOG_LINES: usize = 20;

/// The `[run]` table, rendered for one host and one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// How the service is restarted.
    pub restart: Restart,
    /// For the service to stop.
    pub stop_timeout: Duration,
    /// What prints the service's last log lines; `None`: `journalctl` for a systemd unit, else nothing.
    pub logs: Option<Command>,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// After staging, before the first drain.
    BeforeRollout,
    /// Before a host is taken out.
    BeforeDrain,
    /// When nothing is in flight there any more.
    AfterDrain,
    /// When the new release was started.
    AfterSwap,
    /// When it is ready, before it gets traffic.
    BeforeEnable,
    /// When it gets traffic again.
    AfterEnable,
    /// When a batch passed its gate.
    AfterBatch,
    /// When all batches passed.
    AfterRollout,
    /// When a host or a batch failed; can only warn.
    OnFailure,
    /// When a host's swap is taken back; can only warn.
    OnRevert,
}

impl HookPoint {
    /// Every point with its name in the playbook, in the order of a rollout.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::BeforeRollout, "before-rollout"),
        (Self::BeforeDrain, "before-drain"),
        (Self::AfterDrain, "after-drain"),
        (Self::AfterSwap, "after-swap"),
        (Self::BeforeEnable, "before-enable"),
        (Self::AfterEnable, "after-enable"),
        (Self::AfterBatch, "after-batch"),
        (Self::AfterRollout, "after-rollout"),
        (Self::OnFailure, "on-failure"),
        (Self::OnRevert, "on-revert"),
    ];

    /// The point's name in the playbook.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(point, _)| *point == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether the point belongs to one host (and not to a batch or the rollout).
    pub fn is_of_host(self) -> bool {
        matches!(
            self,
            Self::BeforeDrain
                | Self::AfterDrain
                | Self::AfterSwap
                | Self::BeforeEnable
                | Self::AfterEnable
                | Self::OnRevert
        )
    }
}

/// Where a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPlace {
    /// On this machine, in the playbook's folder; at host points once for each host.
    Local,
    /// On each host concerned, in the release's folder.
    Host,
    /// On one host of the fleet; at host points on that host.
    Once,
}

/// One hook, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its place in the playbook, from 1.
    pub number: usize,
    /// When.
    pub at: HookPoint,
    /// Where.
    pub on: HookPlace,
    /// What.
    pub run: Command,
    /// Its whole process group is killed after this.
    pub timeout: Duration,
    /// `ROLLGATE_*`, in order.
    pub env: Vec<(String, String)>,
    /// Its folder when it runs on this machine.
    pub local_dir: PathBuf,
}

/// Renders what depends on the release: the only door from the engine to templates. Implemented by the configuration.
pub trait Recipes: Send + Sync {
    /// The `[run]` table for one host and one release.
    ///
    /// # Errors
    /// A text for people when a template fails; trial renders at load make this rare.
    fn run(&self, host: &HostName, release: &ReleaseRef) -> Result<Run, String>;

    /// What lies in a release besides its artifact.
    ///
    /// # Errors
    /// As [`Recipes::run`].
    fn overlay(&self, _host: &HostName, _release: &ReleaseRef) -> Result<Overlay, String> {
        Ok(Overlay::default())
    }

    /// The same with a mask in the place of every secret: for people.
    ///
    /// # Errors
    /// As [`Recipes::run`].
    fn masked_overlay(&self, _host: &HostName, _release: &ReleaseRef) -> Result<Overlay, String> {
        Ok(Overlay::default())
    }

    /// The hooks of one point, rendered for one host and release, or for none at rollout and batch points (whose `local` hooks
    /// have no host). `facts` are further `ROLLGATE_*` variables (name without the prefix, value).
    ///
    /// # Errors
    /// As [`Recipes::run`].
    fn hooks(
        &self,
        at: HookPoint,
        host: Option<(&HostName, &ReleaseRef)>,
        facts: &[(&str, String)],
    ) -> Result<Vec<Hook>, String>;
}
