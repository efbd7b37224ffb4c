//! A fleet that exists only in memory: hosts, balancers and probes as doubles behind the engine's own traits, on a stopped clock.
//!
//! The doubles keep the rules of the real parts (the same contract tests run against both), and they watch: every act is checked
//! against R1 to R4 at the moment at which it happens, and what breaks a rule is kept in [`Sim::broken`].

pub mod balancer;
pub mod host;
pub mod recipes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use rollgate::drivers::host::Ran;
use rollgate::engine::{
    BalancerPort, HostPorts, Job, LocalCommands, Member, People, Processes, StopWish, World, deploy,
};
use rollgate::event::{Clock, Emitter, Event, Journal, RolloutState, Sink};
use rollgate::model::record::{ProcessMark, Record};
use rollgate::model::*;
use rollgate::plan::Wishes;
use tokio::sync::watch;

pub const OLD: &str = "1.0";
pub const NEW: &str = "2.0";

/// Where in an operation a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing happened.
    Before,
    /// It happened, and nobody was told.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The command ends with a failure.
    Fails(When),
    /// The connection is lost, once.
    Loses(When),
    /// The host is gone for good.
    Gone(When),
    /// It takes that long.
    Slow(Duration),
}

/// One host.
#[derive(Debug, Default)]
pub struct SimHost {
    pub current: Option<String>,
    /// The version that runs.
    pub running: Option<String>,
    pub releases: BTreeSet<String>,
    pub owner: Option<LockOwner>,
    pub record: Option<Record>,
    pub revisions: Vec<RevisionLine>,
    pub rollouts: Vec<RolloutLine>,
    pub gone: bool,
    /// Set when the host was probed ready on what runs since its last swap.
    pub proven: bool,
    pub in_flight: u64,
}

/// One server of the balancer `lb`, pool `app`.
#[derive(Debug, Clone)]
pub struct SimServer {
    pub admin: Admin,
    pub weight: u32,
    /// Whether an agent check runs for it.
    pub agent: bool,
    /// Whether it was usable when the rollout began.
    pub was_usable: bool,
}

/// One thing that the balancer was told: server, state, weight, agent check.
pub type Told = (String, Admin, Option<u32>, Option<bool>);

/// Everything.
#[derive(Debug, Default)]
pub struct Sim {
    pub hosts: BTreeMap<String, SimHost>,
    pub servers: BTreeMap<String, SimServer>,
    pub process: u32,
    /// Versions that never become ready.
    pub bad: BTreeSet<String>,
    /// Faults by host, operation and its count there (from 1).
    pub faults: Vec<(String, &'static str, u32, Fault)>,
    pub counts: BTreeMap<(String, &'static str), u32>,
    pub max_unavailable: usize,
    /// What an operator did; such servers are not counted against rollgate.
    pub operator: BTreeSet<String>,
    pub broken: Vec<String>,
    /// The most servers that were out at a time, whoever took them out.
    pub most_out_of_all: usize,
    pub balancer_down: bool,
    /// Whether telling the balancer is costly, so that changes of a batch are told together.
    pub gathers: bool,
    /// Whether clients stick to servers: requests in flight on a draining one never end.
    pub sticky: bool,
    /// What the balancer was told, call by call: server, state, weight, agent check.
    pub told: Vec<Vec<Told>>,
    /// When the locks of others were last renewed, ago.
    pub lock_age: Duration,
    /// What this machine says about the processes of others.
    pub alive: Option<bool>,
    /// Acts on hosts and balancers so far, and before or after which one the process dies.
    pub acts: u32,
    pub dies: Option<(u32, When)>,
}

impl Sim {
    pub fn usable(&self, host: &str) -> bool {
        let up = self
            .hosts
            .get(host)
            .is_some_and(|host| !host.gone && host.running.is_some());
        self.servers
            .get(host)
            .is_some_and(|server| server.admin == Admin::Ready && up)
    }

    /// Checks R1 and R2 after every change of traffic.
    pub fn check(&mut self, act: &str) {
        let out: Vec<&String> = self
            .servers
            .iter()
            .filter(|(name, server)| {
                server.was_usable && server.admin != Admin::Ready && !self.operator.contains(*name)
            })
            .map(|(name, _)| name)
            .collect();
        let all_out = self
            .servers
            .values()
            .filter(|server| server.was_usable && server.admin != Admin::Ready);
        self.most_out_of_all = self.most_out_of_all.max(all_out.count());
        if out.len() > self.max_unavailable {
            self.broken.push(format!(
                "R1: {act}: {out:?} are out, {} allowed",
                self.max_unavailable
            ));
        }
    }

    /// The fault that strikes `op` on `host` now, if any.
    pub fn strike(&mut self, host: &str, op: &'static str) -> Option<Fault> {
        let count = self.counts.entry((host.to_owned(), op)).or_default();
        *count += 1;
        let count = *count;
        self.faults
            .iter()
            .find(|(at, what, nth, _)| at == host && *what == op && *nth == count)
            .map(|(.., fault)| *fault)
    }
}

pub type Shared = Arc<Mutex<Sim>>;

pub fn lock(sim: &Shared) -> MutexGuard<'_, Sim> {
    sim.lock().unwrap()
}

pub fn host_name(text: &str) -> HostName {
    HostName::new(text).unwrap()
}

fn digest(text: &str) -> Sha256 {
    Sha256::new(&format!(
        "{:0>64x}",
        text.bytes().map(u64::from).sum::<u64>()
    ))
    .unwrap()
}

/// A fleet of `count` hosts on [`OLD`], all in traffic, with a job that takes it to [`NEW`] two at a time.
pub struct Fleet {
    pub sim: Shared,
    pub job: Job,
}

impl Fleet {
    pub fn new(count: usize) -> Self {
        let mut sim = Sim {
            max_unavailable: 2,
            process: 1,
            ..Sim::default()
        };
        for n in 1..=count {
            let name = format!("h{n}");
            let old = format!("1-{OLD}");
            let line = revision_line(1, OLD, RevisionOutcome::Succeeded);
            sim.hosts.insert(
                name.clone(),
                SimHost {
                    current: Some(format!("/srv/releases/{old}")),
                    running: Some(OLD.to_owned()),
                    releases: BTreeSet::from([old]),
                    revisions: vec![line],
                    proven: true,
                    ..SimHost::default()
                },
            );
            sim.servers.insert(
                name,
                SimServer {
                    admin: Admin::Ready,
                    weight: 100,
                    agent: false,
                    was_usable: true,
                },
            );
        }
        Self {
            sim: Arc::new(Mutex::new(sim)),
            job: job(count),
        }
    }

    /// Runs the job; the second value holds every event.
    pub async fn run(&self) -> (Outcome, Vec<Event>) {
        self.run_until(watch::channel(StopWish::None).1).await
    }

    pub async fn run_until(&self, stop: watch::Receiver<StopWish>) -> (Outcome, Vec<Event>) {
        let events = Events::default();
        let outcome = self.run_with(stop, vec![Box::new(events.clone())]).await;
        let events = events.0.lock().unwrap().clone();
        (outcome, events)
    }

    pub async fn run_with(
        &self,
        stop: watch::Receiver<StopWish>,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Outcome {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock(tokio::time::Instant::now()));
        let emitter = Arc::new(Emitter::new(
            self.job.rollout.clone(),
            1,
            Arc::clone(&clock),
            Box::new(NoJournal),
            sinks,
        ));
        deploy(self.job.clone(), self.world(clock), emitter, stop).await
    }

    fn world(&self, clock: Arc<dyn Clock>) -> World {
        let ports = |name: &String| HostPorts {
            driver: Arc::new(host::FakeHost::new(name, &self.sim, &self.job)),
            probe: Arc::new(host::FakeProbe::new(name, &self.sim)),
        };
        let hosts = lock(&self.sim)
            .hosts
            .keys()
            .map(|name| (host_name(name), ports(name)))
            .collect();
        let driver = Arc::new(balancer::FakeBalancer::new(&self.sim));
        let balancers = BTreeMap::from([(
            BalancerName::new("lb").unwrap(),
            BalancerPort {
                driver,
                patience: Duration::from_secs(30),
            },
        )]);
        World {
            hosts,
            balancers,
            recipes: Arc::new(recipes::FakeRecipes),
            clock,
            local: Arc::new(Nobody),
            people: Arc::new(Nobody),
            processes: Arc::new(Others(self.sim.clone())),
        }
    }
}

pub fn revision_line(revision: u64, version: &str, outcome: RevisionOutcome) -> RevisionLine {
    RevisionLine {
        v: 1,
        revision: Revision(revision),
        version: Some(Version::new(version).unwrap()),
        sha256: Some(digest(version)),
        config: Some(digest("config")),
        dir: format!("{revision}-{version}"),
        by: "somebody@somewhere".into(),
        from: "a test".into(),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        good: false,
        outcome,
        rollout: Some(RolloutId::new("20260101T000000Z-0001").unwrap()),
    }
}

#[expect(clippy::too_many_lines, reason = "one flat value")]
fn job(count: usize) -> Job {
    let member = |n: usize| {
        let name = format!("h{n}");
        let target = TrafficTarget {
            balancer: BalancerName::new("lb").unwrap(),
            pool: PoolName::new("app").unwrap(),
            server: ServerName::new(&name).unwrap(),
        };
        let ssh = SshOptions {
            user: None,
            port: None,
            identity_files: vec![],
            known_hosts: vec![],
            host_key_checking: HostKeyChecking::Strict,
            jump: vec![],
            ssh_config: false,
            connect_timeout: Duration::from_secs(10),
            r#become: Become::None,
        };
        Member {
            spec: HostSpec {
                name: host_name(&name),
                address: name,
                labels: BTreeMap::new(),
                ssh,
                root: "/srv".into(),
                traffic: vec![target],
                ready_url: "http://localhost/health/ready".into(),
            },
            selected: true,
            config: digest("config"),
        }
    };
    Job {
        rollout: RolloutId::new("20260202T000000Z-0002").unwrap(),
        token: LockToken::new("abcd").unwrap(),
        attempt: 1,
        command: "deploy".into(),
        by: "me@here".into(),
        process: ProcessMark::default(),
        service: ServiceName::new("app").unwrap(),
        version: Version::new(NEW).unwrap(),
        artifact: Artifact {
            path: "/dev/null".into(),
            name: "app".into(),
            sha256: digest(NEW),
            size: 1 << 20,
            from: "a test".into(),
            form: Form::File,
        },
        fleet: (1..=count).map(member).collect(),
        strategy: Strategy {
            batch: vec![Size::Count(2)],
            max_unavailable: Size::Count(2),
            zones: None,
            pause: Pause::For(Duration::ZERO),
            soak: Duration::from_secs(5),
            max_failures: 0,
            on_failure: OnFailure::RevertBatch,
            unreachable: Unreachable::Fail,
            deadline: Duration::from_secs(1800),
            allow_downtime: false,
            traffic: TrafficPolicy::default(),
        },
        drain: DrainPolicy {
            timeout: Duration::from_secs(30),
            on_timeout: OnDrainTimeout::Fail,
        },
        ready: ReadyPolicy {
            status: vec![200],
            version: Some(VersionCheck::Header("x-version".into())),
            initial_delay: Duration::ZERO,
            period: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            success_threshold: 1,
            failure_threshold: 0,
            deadline: Duration::from_secs(60),
        },
        keep: 5,
        tools: vec![],
        wishes: Wishes::default(),
        resumes: None,
        message: None,
        undo: None,
        lock_wait: Duration::ZERO,
        approved: true,
        options: BTreeMap::new(),
        keys: BTreeMap::new(),
    }
}

/// Keeps every event.
#[derive(Clone, Default)]
pub struct Events(pub Arc<Mutex<Vec<Event>>>);

impl Sink for Events {
    fn event(&mut self, event: &Event, _state: &RolloutState) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[derive(Debug)]
struct VirtualClock(tokio::time::Instant);

impl Clock for VirtualClock {
    fn wall(&self) -> jiff::Timestamp {
        "2026-02-02T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + self.0.elapsed()
    }
    fn since_boot(&self) -> Duration {
        Duration::from_secs(1000) + self.0.elapsed()
    }
}

struct NoJournal;

impl Journal for NoJournal {
    fn append(&self, _line: String, _durable: bool) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Debug)]
struct Nobody;

impl LocalCommands for Nobody {
    fn run<'a>(&'a self, _hook: &'a Hook) -> BoxFuture<'a, Result<Ran, String>> {
        Box::pin(std::future::ready(Ok(Ran {
            code: 0,
            output: vec![],
        })))
    }
}

impl People for Nobody {
    fn approve<'a>(&'a self, _question: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

struct Others(Shared);

impl std::fmt::Debug for Others {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Others")
    }
}

impl Processes for Others {
    fn alive(&self, _mark: &ProcessMark) -> Option<bool> {
        lock(&self.0).alive
    }
}

/// Counts an act; the process that is to die before it, or after it, gets no further.
pub async fn live<T>(sim: &Shared, act: impl FnOnce(&mut Sim) -> T) -> T {
    let (mine, dies) = {
        let mut sim = lock(sim);
        sim.acts += 1;
        (sim.acts, sim.dies)
    };
    if dies.is_some_and(|(at, when)| mine > at || mine == at && when == When::Before) {
        std::future::pending::<()>().await;
    }
    let done = act(&mut lock(sim));
    if dies.is_some_and(|(at, when)| mine == at && when == When::After) {
        std::future::pending::<()>().await;
    }
    done
}
