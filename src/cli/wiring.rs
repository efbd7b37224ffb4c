//! The only place that turns checked configuration into drivers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::artifact::artifact;
use super::ask::{Ask, Bits};
use super::containers;
use super::image::Image;
use super::local::LocalProcesses;
use super::machine::{self, SystemClock, SystemProcesses};
use super::people::AtTerminal;
use crate::config::Loaded;
use crate::drivers::transport::{Connector, Surroundings, Transport};
use crate::drivers::{balancer, host, probe, transport};
use crate::engine::{BalancerPort, HostPorts, Job, Member, World};
use crate::event::Clock;
use tempfile::TempDir;

use crate::model::{
    Artifact, BalancerSpec, ExitStatus, HostName, HostSpec, ReleaseKind, Restart, RolloutId,
};
use crate::plan::release;

/// What every host must have for what rollgate runs there. Source: POSIX names them all but `sha256sum` and `mktemp`, which coreutils
/// and busybox both have.
const TOOLS: [&str; 1] = ["sha256sum"];
/// What an archive is unpacked with. Source: POSIX names neither; busybox has both.
const ARCHIVE_TOOLS: [&str; 2] = ["tar", "gzip"];

/// Why there is nothing to do a job with.
#[derive(Debug)]
pub(super) struct Refusal {
    /// How the command ends.
    pub(super) status: ExitStatus,
    /// In words.
    pub(super) reason: String,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self {
            status: ExitStatus::Usage,
            reason,
        }
    }
}

/// A job and the world that it is done in.
pub(super) struct Wired {
    pub(super) job: Job,
    pub(super) world: World,
    transports: Vec<Arc<dyn Transport>>,
    /// What is sent, where it was made of the artifact.
    _made: Option<TempDir>,
    /// What is sent must not go before its rollout ends.
    _image: Option<Arc<Image>>,
}

impl Wired {
    /// Ends every connection politely.
    pub(super) async fn close(&self) {
        let limit = std::time::Duration::from_secs(2);
        let all = self.transports.iter().map(|transport| transport.close());
        // What does not end politely ends with the process.
        drop(tokio::time::timeout(limit, futures::future::join_all(all)).await);
    }
}

/// Builds everything; contacts nothing.
///
/// # Errors
/// An artifact that cannot be read or may not be put on a host, a URL that cannot be probed, or credentials that are not there.
pub(super) fn wire(loaded: &Loaded, mut ask: Ask) -> Result<Wired, Refusal> {
    loaded.balancers.iter().try_for_each(balancer::check)?;
    let all: BTreeMap<HostName, HostSpec> = loaded
        .fleet
        .iter()
        .chain(&loaded.helpers)
        .map(|spec| (spec.name.clone(), spec.clone()))
        .collect();
    let connector = Connector::new(Surroundings::of_this_process());
    let transports: BTreeMap<HostName, Arc<dyn Transport>> = all
        .iter()
        .map(|(name, spec)| (name.clone(), transport::open(spec, &all, &connector)))
        .collect();
    let containers = containers::template(loaded, &ask);
    let image = match &ask.bits {
        Bits::Image(image) => Some(Arc::clone(image)),
        Bits::None
        | Bits::Read
        | Bits::Known { .. }
        | Bits::Old { .. }
        | Bits::Fetched { .. }
        | Bits::Untouched(_) => None,
    };
    let (artifact, made) = artifact(loaded, std::mem::take(&mut ask.bits))?;
    let job = job(loaded, ask, artifact)?;
    let mut hosts = BTreeMap::new();
    for spec in &loaded.fleet {
        if let Some(transport) = transports.get(&spec.name) {
            let driver = match &containers {
                Some(template) => containers::open(loaded, spec, transport, (&job, template))?,
                None => folders(spec, transport, &job),
            };
            hosts.insert(spec.name.clone(), ports(loaded, spec, transport, driver)?);
        }
    }
    let world = World {
        hosts,
        balancers: loaded
            .balancers
            .iter()
            .map(|spec| balancer_port(spec, loaded, &transports))
            .collect(),
        recipes: Arc::clone(&loaded.recipes),
        clock: Arc::new(SystemClock),
        local: Arc::new(LocalProcesses),
        people: Arc::new(AtTerminal),
        processes: Arc::new(SystemProcesses::new(machine::this_process())),
    };
    Ok(Wired {
        job,
        world,
        transports: transports.into_values().collect(),
        _made: made,
        _image: image,
    })
}

fn ports(
    loaded: &Loaded,
    spec: &HostSpec,
    transport: &Arc<dyn Transport>,
    driver: Arc<dyn host::HostDriver>,
) -> Result<HostPorts, String> {
    let options = probe::ProbeOptions {
        url: spec.ready_url.clone(),
        direct: loaded.ready_route.direct,
        ca: loaded.ready_route.ca.clone(),
        version: loaded.ready.version.clone(),
    };
    let probe = probe::open(options, Some(Arc::clone(transport)))
        .map_err(|error| format!("host `{}`: {error}", spec.name))?;
    Ok(HostPorts { driver, probe })
}

/// The driver of a host with folders of releases.
fn folders(
    spec: &HostSpec,
    transport: &Arc<dyn Transport>,
    job: &Job,
) -> Arc<dyn host::HostDriver> {
    host::open(
        Arc::clone(transport),
        &spec.root,
        job.rollout.clone(),
        job.token.clone(),
    )
}

fn balancer_port(
    spec: &BalancerSpec,
    loaded: &Loaded,
    transports: &BTreeMap<HostName, Arc<dyn Transport>>,
) -> (crate::model::BalancerName, BalancerPort) {
    let via = spec.via.as_ref().and_then(|via| transports.get(via));
    let targets = loaded.fleet.iter().flat_map(|host| {
        let ours = host.traffic.iter();
        let ours = ours.filter(|target| target.balancer == spec.name);
        ours.filter_map(|target| {
            Some(balancer::Target {
                pool: target.pool.clone(),
                server: target.server.clone(),
                host: host.name.clone(),
                transport: Arc::clone(transports.get(&host.name)?),
            })
        })
    });
    let reach = balancer::Reach {
        via: via.cloned(),
        targets: targets.collect(),
    };
    (
        spec.name.clone(),
        BalancerPort {
            driver: balancer::open(spec, reach),
            patience: spec.timeout,
        },
    )
}

fn job(loaded: &Loaded, ask: Ask, artifact: Artifact) -> Result<Job, String> {
    let mut strategy = loaded.strategy.clone();
    strategy.deadline = ask.timeout.unwrap_or(strategy.deadline);
    strategy.allow_downtime |= ask.allow_downtime;
    let (rollout, attempt, resumes) = match ask.takes_up {
        Some(up) => (up.rollout, up.attempt, Some(up.resumes)),
        None => (new_rollout()?, 1, None),
    };
    Ok(Job {
        rollout,
        token: machine::new_token()?,
        attempt,
        command: ask.command,
        by: machine::who(),
        process: machine::this_process(),
        service: loaded.service.clone(),
        version: loaded.version.clone(),
        artifact,
        fleet: loaded
            .fleet
            .iter()
            .map(|spec| member(loaded, spec))
            .collect::<Result<_, _>>()?,
        strategy,
        drain: loaded.drain,
        ready: loaded.ready.clone(),
        keep: loaded.keep,
        tools: tools(loaded),
        wishes: ask.wishes,
        resumes,
        undo: ask.undo,
        message: ask.message,
        lock_wait: ask.lock_wait,
        approved: ask.approved,
        options: ask.options,
        keys: loaded.keys.clone(),
    })
}

fn member(loaded: &Loaded, spec: &HostSpec) -> Result<Member, String> {
    let config = loaded.config_digests.get(&spec.name).cloned();
    Ok(Member {
        spec: spec.clone(),
        selected: loaded.selected.contains(&spec.name),
        config: config
            .ok_or_else(|| format!("host `{}` has no configuration digest", spec.name))?,
    })
}

/// Tools that every host must have: those of the scripts, and systemd's where a unit is restarted.
fn tools(loaded: &Loaded) -> Vec<&'static str> {
    let systemd = loaded.fleet.first().is_some_and(|spec| {
        let release = release::release_ref(&spec.root, crate::model::Revision(1), &loaded.version);
        let run = loaded.recipes.run(&spec.name, &release);
        matches!(run, Ok(run) if matches!(run.restart, Restart::Systemd(_)))
    });
    TOOLS
        .into_iter()
        .chain(
            ARCHIVE_TOOLS
                .into_iter()
                .filter(|_| loaded.kind == ReleaseKind::Archive),
        )
        .chain(systemd.then_some("systemctl"))
        .collect()
}

/// A new rollout's id.
pub(super) fn new_rollout() -> Result<RolloutId, String> {
    machine::new_rollout(SystemClock.wall())
}
