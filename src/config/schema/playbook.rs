//! The shape of a playbook.

use serde::Deserialize;

use crate::config::field::{Entries, Family, Field, Shape, Table, known_keys};
use crate::config::schema::container::{Healthcheck, Registry};
use crate::config::sizes::{Sizes, WordedFloor, WordedSize};
use crate::config::values::{Label, OneOrMany, PauseText, Span, Words};
use crate::config::words::{Sticky, Via, Word};
use crate::model::{Engine, HookPlace, HookPoint, OnDrainTimeout, OnFailure, Pull, Unreachable};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Playbook {
    /// What is rolled out; a template.
    pub service: Field<String>,
    /// A selector; a template.
    pub hosts: Field<String>,
    /// What is sent.
    pub release: Field<Table<Release>>,
    /// How it is made to run.
    pub run: Field<Table<Run>>,
    /// Where its requests come from.
    pub traffic: Field<Vec<Field<Table<Traffic>>>>,
    /// In which order and number.
    pub strategy: Field<Table<Strategy>>,
    /// How a host is emptied.
    pub drain: Field<Table<Drain>>,
    /// How a host proves itself.
    pub ready: Field<Table<Ready>>,
    /// The user's own commands.
    pub hooks: Field<Vec<Field<Table<Hook>>>>,
    /// Where secrets come from, by name.
    pub secrets: Field<Entries<Field<Table<Secret>>>>,
}

/// `[release]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Release {
    /// `binary`, `archive` or `container`.
    pub kind: Field<String>,
    /// A file here; a template.
    pub source: Field<String>,
    /// Folder of releases on each host; a template.
    pub root: Field<String>,
    /// Revisions kept on each host.
    pub keep: Field<u32>,
    /// What the binary, or the container, is called on the host; a template.
    pub name: Field<String>,
    /// Paths that are links into the shared folder; templates.
    pub shared: Field<Vec<Field<String>>>,
    /// `docker` or `podman`.
    pub engine: Field<Word<Engine>>,
    /// A container's image; a template.
    pub image: Field<String>,
    /// How the image comes to the hosts.
    pub pull: Field<Word<Pull>>,
    /// How the image's registry is asked.
    pub registry: Field<Table<Registry>>,
    /// Published ports; templates.
    pub ports: Field<Vec<Field<Label>>>,
    /// Environment; its values are templates.
    pub env: Field<Entries<Field<Label>>>,
    /// A file here with more of it; a template.
    pub env_file: Field<String>,
    /// Volumes and folders; templates.
    pub volumes: Field<Vec<Field<String>>>,
    /// A network of the engine; a template.
    pub network: Field<String>,
    /// As whom it runs; a template.
    pub user: Field<Label>,
    /// What it runs; templates.
    pub command: Field<Words>,
    /// Its limit of memory; a template.
    pub memory: Field<Label>,
    /// Its share of processors; a template.
    pub cpus: Field<Label>,
    /// What the engine does when it ends; a template.
    pub restart: Field<String>,
    /// Labels; their values are templates.
    pub labels: Field<Entries<Field<Label>>>,
    /// The engine's own check.
    pub healthcheck: Field<Table<Healthcheck>>,
    /// Rendered files.
    pub files: Field<Vec<Field<Table<ReleaseFile>>>>,
}

/// `[[release.files]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReleaseFile {
    /// A template file here; its name is a template too.
    pub source: Field<String>,
    /// The template itself.
    pub content: Field<String>,
    /// Where it lies in the release; a template.
    pub path: Field<String>,
    /// Its permission bits, in octal digits.
    pub mode: Field<String>,
    /// `user`, `user:group` or `:group`; a template.
    pub owner: Field<String>,
}

/// `[secrets.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Secret {
    /// A variable of the environment here; a template.
    pub env: Field<String>,
    /// A file here; a template.
    pub file: Field<String>,
    /// A command here that prints it.
    pub run: Field<Words>,
}

/// `[run]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    /// A unit's name; a template.
    pub systemd: Field<String>,
    /// Starts the service.
    pub start: Field<Words>,
    /// Stops it.
    pub stop: Field<Words>,
    /// Does both.
    pub restart: Field<Words>,
    /// For the service to stop.
    pub stop_timeout: Field<Span>,
    /// Prints its last log lines.
    pub logs: Field<Words>,
    /// The unit itself.
    pub unit: Field<Table<UnitFile>>,
    /// Its limits.
    pub resources: Field<Table<Resources>>,
    /// Whether it is one of the SSH user's own.
    pub user_unit: Field<bool>,
}

/// `[run.unit]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UnitFile {
    /// What the unit says; a template.
    pub text: Field<String>,
    /// A file here that says it; its name and what is in it are templates.
    pub template: Field<String>,
}

/// `[run.resources]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    /// `MemoryMax`; a template.
    pub memory_max: Field<String>,
    /// `CPUQuota`; a template.
    pub cpu_quota: Field<String>,
}

/// `[[traffic]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Traffic {
    /// A balancer of the inventory; a template.
    pub balancer: Field<String>,
    /// One of its pools; a template.
    pub pool: Field<String>,
    /// The host's entry there; a template.
    pub server: Field<String>,
    /// What happens to clients that stick to a draining server.
    pub sticky: Field<Word<Sticky>>,
    /// How a server gets its requests back.
    pub ramp: Field<Table<Ramp>>,
    /// The fewest usable servers of the pool.
    pub min_usable: Field<WordedFloor>,
}

/// `traffic.ramp`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ramp {
    /// Percent of the weight found, rising.
    pub steps: Field<Vec<Field<u8>>>,
    /// From one step to the next.
    pub every: Field<Span>,
}

/// `[strategy]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Strategy {
    /// Sizes in order; the last repeats.
    pub batch: Field<Sizes>,
    /// How many hosts may be out at once.
    pub max_unavailable: Field<WordedSize>,
    /// The label whose values are zones.
    pub zones: Field<String>,
    /// Between batches.
    pub pause: Field<PauseText>,
    /// How long a host must stay ready.
    pub soak: Field<Span>,
    /// Hosts that may fail.
    pub max_failures: Field<u32>,
    /// What happens when a batch fails.
    pub on_failure: Field<Word<OnFailure>>,
    /// What happens with a host that cannot be reached at the start.
    pub unreachable: Field<Word<Unreachable>>,
    /// Of the whole rollout.
    pub deadline: Field<Span>,
    /// Whether a pool may be emptied.
    pub allow_downtime: Field<bool>,
    /// The fewest usable servers of every pool.
    pub min_usable: Field<WordedFloor>,
}

/// `[drain]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Drain {
    /// For requests in flight to end.
    pub timeout: Field<Span>,
    /// What happens when they do not.
    pub on_timeout: Field<Word<OnDrainTimeout>>,
}

/// `[ready]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ready {
    /// The URL; a template.
    pub http: Field<String>,
    /// Which way it is reached.
    pub via: Field<Word<Via>>,
    /// A private CA's file; a template.
    pub ca: Field<String>,
    /// Statuses that count as ready.
    pub status: Field<Vec<Field<u16>>>,
    /// Where the version is read.
    pub version: Field<Table<VersionFrom>>,
    /// Before the first probe.
    pub initial_delay: Field<Span>,
    /// Between two probes.
    pub period: Field<Span>,
    /// Of one probe.
    pub timeout: Field<Span>,
    /// Good answers in a row that are wanted.
    pub success_threshold: Field<u32>,
    /// Bad answers in a row that give up early.
    pub failure_threshold: Field<u32>,
    /// Of the whole wait.
    pub deadline: Field<Span>,
}

/// `ready.version`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VersionFrom {
    /// A response header.
    pub header: Field<String>,
    /// A JSON pointer into the body.
    pub json: Field<String>,
}

/// `[[hooks]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Hook {
    /// When.
    pub at: Field<Word<HookPoint>>,
    /// Where.
    pub on: Field<Word<HookPlace>>,
    /// What.
    pub run: Field<Words>,
    /// For the hook to end.
    pub timeout: Field<Span>,
    /// Under which commands of rollgate; absent: all that run hooks.
    pub commands: Field<OneOrMany>,
}

macro_rules! shapes {
    ($($shape:ident = $name:literal),+ $(,)?) => {
        $(impl Shape for $shape {
            const NAME: &'static str = $name;
        })+

        /// Every table of a playbook with its keys.
        pub(crate) fn family() -> Family {
            vec![$(($name, known_keys::<$shape>())),+]
        }
    };
}

shapes! {
    Playbook = "",
    Release = "release",
    Registry = "release.registry",
    Healthcheck = "release.healthcheck",
    Run = "run",
    UnitFile = "run.unit",
    Resources = "run.resources",
    Traffic = "traffic",
    Ramp = "traffic.ramp",
    Strategy = "strategy",
    Drain = "drain",
    Ready = "ready",
    VersionFrom = "ready.version",
    Hook = "hooks",
    ReleaseFile = "release.files",
    Secret = "secrets.<name>",
}
