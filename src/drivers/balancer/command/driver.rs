//! The two acts of a balancer that is driven by commands: look, and tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::super::{BalancerError, Change, LoadBalancer};
use super::clocks::{Clocks, Server};
use super::place::{Place, Why};
use super::read;
use crate::drivers::transport::Transport;
use crate::far::errands::{Came, Errand, Errands};
use crate::model::{
    Admin, BalancerName, BalancerSeen, Command, CommandSpec, Health, HostName, PoolName,
    ServerCommands, ServerName, ServerSeen, TrafficState,
};

/// A balancer with commands of its own.
#[derive(Debug)]
pub(in super::super) struct Commands {
    name: BalancerName,
    spec: CommandSpec,
    place: Place,
    clocks: Clocks,
}

impl Commands {
    /// A driver whose commands run on the host `via` over `transport`, or here.
    pub(in super::super) fn new(
        name: BalancerName,
        spec: CommandSpec,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        Self {
            place: Place::new(name.clone(), via, transport),
            name,
            spec,
            clocks: Clocks::default(),
        }
    }

    fn errands<'a>(&'a self, jobs: Vec<Vec<Errand<'a>>>) -> Errands<'a> {
        Errands {
            dir: self.spec.dir.as_deref(),
            r#become: self.place.r#become(),
            jobs,
            later: Vec::new(),
        }
    }

    async fn look(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let servers = self.spec.servers.iter();
        let servers: Vec<&ServerCommands> = servers
            .filter(|server| pools.contains(&server.pool))
            .collect();
        let mut seen = BalancerSeen {
            process: self.name.to_string(),
            ..BalancerSeen::default()
        };
        if servers.is_empty() {
            return Ok(seen);
        }
        let jobs = servers.iter().map(|server| {
            let commands = [Some(&server.state), server.in_flight.as_ref()];
            commands.into_iter().flatten().map(Errand::Run).collect()
        });
        let errands = Errands {
            later: servers
                .iter()
                .flat_map(|server| [&server.drain, &server.enable])
                .collect(),
            ..self.errands(jobs.collect())
        };
        let answer = self.place.send("ask the balancer", &errands).await?;
        for (job, server) in servers.into_iter().enumerate() {
            let state = self.state(server, Errands::came(&answer, job, 0))?;
            let in_flight = match server.in_flight {
                Some(_) => self.in_flight(server, Errands::came(&answer, job, 1))?,
                None => 0,
            };
            let pool = seen.pools.entry(server.pool.clone()).or_default();
            pool.servers
                .insert(server.server.clone(), self.seen(server, state, in_flight));
        }
        let missing = Errands::missing(&answer);
        seen.read_only = (!missing.is_empty()).then(|| self.read_only(&missing));
        Ok(seen)
    }

    fn state(
        &self,
        server: &ServerCommands,
        came: Result<Came, String>,
    ) -> Result<TrafficState, BalancerError> {
        let what = called("state", &server.pool, &server.server);
        let came = self.place.printed(&what, came)?;
        read::state(&came.out).map_err(|why| self.place.error(&what, Why::Garbled(why)))
    }

    fn in_flight(
        &self,
        server: &ServerCommands,
        came: Result<Came, String>,
    ) -> Result<u64, BalancerError> {
        let what = called("in_flight", &server.pool, &server.server);
        let came = self.place.printed(&what, came)?;
        read::in_flight(&came.out).map_err(|why| self.place.error(&what, Why::Garbled(why)))
    }

    fn seen(&self, server: &ServerCommands, state: TrafficState, in_flight: u64) -> ServerSeen {
        let (admin, health) = match state {
            TrafficState::Ready => (Admin::Ready, Health::Up),
            TrafficState::Down => (Admin::Ready, Health::Down),
            TrafficState::Drain => (Admin::Drain, Health::Unchecked),
            TrafficState::Maint => (Admin::Maint, Health::Unchecked),
        };
        let out = admin != Admin::Ready;
        let key = (server.pool.clone(), server.server.clone());
        let since = self.clocks.seen(&key, out, Instant::now());
        ServerSeen {
            admin,
            health,
            usable: state == TrafficState::Ready,
            in_flight,
            weight: None,
            sticky: false,
            settling: out && since.is_some_and(|since| since.elapsed() < self.spec.settle),
            agent: false,
            tracks: None,
        }
    }

    /// All changes are tried, then the first error is told. Changes of one server keep their order.
    async fn tell_all(&self, changes: &[Change]) -> Result<(), BalancerError> {
        let mut servers: BTreeMap<Server, Vec<(&Change, Errand<'_>)>> = BTreeMap::new();
        for change in changes {
            let commands = self.spec.servers.iter();
            let mut commands = commands
                .filter(|server| server.pool == change.pool && server.server == change.server);
            let what = called(verb(change.admin), &change.pool, &change.server);
            let commands = commands.next().ok_or_else(|| {
                let why = "the playbook names no such server".to_owned();
                self.place.error(&what, Why::Refused(why))
            })?;
            let command = match change.admin {
                Admin::Ready => &commands.enable,
                Admin::Drain | Admin::Maint => &commands.drain,
            };
            servers
                .entry((change.pool.clone(), change.server.clone()))
                .or_default()
                .push((change, Errand::Run(command)));
        }
        if servers.is_empty() {
            return Ok(());
        }
        let jobs = servers.values().map(|told| {
            let errands = told.iter().map(|(_, errand)| errand.clone());
            errands.collect()
        });
        let errands = self.errands(jobs.collect());
        let answer = self.place.send("tell the balancer", &errands).await?;
        let mut result = Ok(());
        for (job, (server, told)) in servers.iter().enumerate() {
            for (number, (change, _)) in told.iter().enumerate() {
                let what = called(verb(change.admin), &change.pool, &change.server);
                let came = Errands::came(&answer, job, number);
                match self.place.printed(&what, came) {
                    Ok(_) => {
                        let out = change.admin != Admin::Ready;
                        self.clocks.told(server, out, Instant::now());
                    }
                    Err(error) => result = result.and(Err(error)),
                }
            }
        }
        result
    }

    /// What a person types to run a command as it is run here.
    fn typed(&self, command: &Command) -> String {
        let line = self.place.by_hand(command);
        match &self.spec.dir {
            Some(dir) if is_relative(command) => {
                let go = shlex::try_join(["cd", dir]).unwrap_or_default();
                format!("{go} && {line}")
            }
            Some(_) | None => line,
        }
    }

    fn read_only(&self, missing: &[&str]) -> String {
        let programs = missing.join("`, `");
        format!(
            "its commands need `{programs}`, which cannot be run on {}: install it there, or write its whole path",
            self.place.describe()
        )
    }
}

impl LoadBalancer for Commands {
    fn name(&self) -> &BalancerName {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>> {
        self.look(pools).boxed()
    }

    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>> {
        self.tell_all(changes).boxed()
    }

    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String {
        let mut servers = self.spec.servers.iter();
        servers
            .find(|one| one.pool == *pool && one.server == *server)
            .map_or_else(
                || format!("the command that enables {pool}/{server}"),
                |one| self.typed(&one.enable),
            )
    }
}

/// Whether a command means something else in another folder, as far as it shows.
fn is_relative(command: &Command) -> bool {
    match command {
        Command::Argv(words) => words
            .first()
            .is_some_and(|program| program.contains('/') && !program.starts_with('/')),
        Command::Shell(text) => text.contains("./"),
    }
}

/// Which of the inventory's commands carries out a change.
fn verb(admin: Admin) -> &'static str {
    match admin {
        Admin::Ready => "enable",
        Admin::Drain | Admin::Maint => "drain",
    }
}

/// How a command is named in errors: by its key, since its words may hold what is nobody's business.
fn called(key: &str, pool: &PoolName, server: &ServerName) -> String {
    format!("{key} {pool}/{server}")
}
