//! The two acts: look at all hosts, and tell some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

use super::super::command::{self, Clocks, Place, Server, Why};
use super::super::{BalancerError, Change, LoadBalancer, Target};
use super::notice;
use crate::far::Answer;
use crate::far::errands::{Errand, Errands};
use crate::model::{
    Admin, BalancerName, BalancerSeen, Health as HealthSeen, HealthServer, HealthSpec,
    HealthSwitch, HostName, PoolName, ServerName, ServerSeen, TrafficState,
};

/// A balancer that is only ever shown something.
#[derive(Debug)]
pub(in super::super) struct Health {
    name: BalancerName,
    spec: HealthSpec,
    places: BTreeMap<HostName, Place>,
    clocks: Clocks,
}

/// What one server's host shows.
struct Shown {
    state: TrafficState,
    /// How long the host says it has been out.
    age: Option<Duration>,
    in_flight: u64,
    /// Why it cannot be told otherwise.
    closed: Option<String>,
}

impl Health {
    /// A driver for the hosts of `targets`.
    pub(in super::super) fn new(
        name: BalancerName,
        spec: HealthSpec,
        targets: Vec<Target>,
    ) -> Self {
        let mut places: BTreeMap<HostName, Place> = BTreeMap::new();
        for target in targets {
            let place = Place::at(name.clone(), target.host.clone(), Some(target.transport));
            places.insert(target.host, place);
        }
        // A host without a connection says so when it is asked.
        for server in &spec.servers {
            let host = &server.host;
            places
                .entry(host.clone())
                .or_insert_with(|| Place::at(name.clone(), host.clone(), None));
        }
        Self {
            name,
            spec,
            places,
            clocks: Clocks::default(),
        }
    }

    async fn look(&self, pools: &[PoolName]) -> Result<BalancerSeen, BalancerError> {
        let mut hosts: BTreeMap<&HostName, Vec<&HealthServer>> = BTreeMap::new();
        for server in &self.spec.servers {
            if pools.contains(&server.pool) {
                hosts.entry(&server.host).or_default().push(server);
            }
        }
        let looks = hosts.into_iter().filter_map(|(host, servers)| {
            let place = self.places.get(host)?;
            Some(self.look_at(place, servers))
        });
        let mut seen = BalancerSeen {
            process: self.name.to_string(),
            ..BalancerSeen::default()
        };
        let mut closed = BTreeSet::new();
        for shown in join_all(looks).await {
            for (server, shown) in shown? {
                closed.extend(read_only(server, &shown));
                let pool = seen.pools.entry(server.pool.clone()).or_default();
                pool.servers
                    .insert(server.server.clone(), self.seen(server, &shown));
            }
        }
        let closed: Vec<String> = closed.into_iter().collect();
        seen.read_only = (!closed.is_empty()).then(|| closed.join("; "));
        Ok(seen)
    }

    /// One host, in one script.
    async fn look_at<'a>(
        &self,
        place: &Place,
        servers: Vec<&'a HealthServer>,
    ) -> Result<Vec<(&'a HealthServer, Shown)>, BalancerError> {
        let mut errands = Errands {
            dir: None,
            r#become: place.r#become(),
            jobs: Vec::new(),
            later: Vec::new(),
        };
        for server in &servers {
            let look = match &server.switch {
                HealthSwitch::File(file) => Errand::MarkLook(file),
                HealthSwitch::Commands {
                    drain,
                    enable,
                    state,
                } => {
                    errands.later.extend([drain, enable]);
                    Errand::Run(state)
                }
            };
            let count = server.in_flight.as_ref().map(Errand::Run);
            errands
                .jobs
                .push([Some(look), count].into_iter().flatten().collect());
        }
        let answer = place
            .send("look whether the host is in traffic", &errands)
            .await?;
        let shown = servers.into_iter().enumerate().map(|(job, server)| {
            let shown = shown(place, server, &answer, job)?;
            Ok((server, shown))
        });
        shown.collect()
    }

    fn seen(&self, server: &HealthServer, shown: &Shown) -> ServerSeen {
        let admin = match shown.state {
            TrafficState::Ready | TrafficState::Down => Admin::Ready,
            TrafficState::Drain => Admin::Drain,
            TrafficState::Maint => Admin::Maint,
        };
        let out = admin != Admin::Ready;
        let key = (server.pool.clone(), server.server.clone());
        let since = self.clocks.seen(&key, out, Instant::now());
        let known = since.map(|since| since.elapsed());
        let noticed = notice::is_over(self.spec.notice, known, shown.age);
        ServerSeen {
            admin,
            health: match shown.state {
                TrafficState::Down => HealthSeen::Down,
                TrafficState::Ready | TrafficState::Drain | TrafficState::Maint => {
                    HealthSeen::Unchecked
                }
            },
            // One that has never been out, as far as is known, has been noticed long ago.
            usable: shown.state == TrafficState::Ready && (noticed || since.is_none()),
            in_flight: shown.in_flight,
            weight: None,
            sticky: false,
            settling: out && !noticed,
            agent: false,
            tracks: None,
        }
    }

    /// All hosts at once, all changes are tried, then the first error is told. Changes of one host keep their order.
    async fn tell_all(&self, changes: &[Change]) -> Result<(), BalancerError> {
        let mut hosts: BTreeMap<&HostName, Vec<(&HealthServer, &Change)>> = BTreeMap::new();
        for change in changes {
            let server = self.server(&change.pool, &change.server);
            let server = server.ok_or_else(|| BalancerError::Refused {
                balancer: self.name.clone(),
                command: called(change),
                answer: "the playbook names no such server".to_owned(),
            })?;
            hosts
                .entry(&server.host)
                .or_default()
                .push((server, change));
        }
        let acts = hosts.into_iter().filter_map(|(host, changes)| {
            let place = self.places.get(host)?;
            Some(self.tell_host(place, changes))
        });
        join_all(acts).await.into_iter().collect()
    }

    async fn tell_host(
        &self,
        place: &Place,
        changes: Vec<(&HealthServer, &Change)>,
    ) -> Result<(), BalancerError> {
        let acts = changes
            .iter()
            .map(|(server, change)| errand(&server.switch, change.admin));
        let errands = Errands {
            dir: None,
            r#become: place.r#become(),
            jobs: vec![acts.collect()],
            later: Vec::new(),
        };
        let answer = place.send("tell the host", &errands).await?;
        let mut result = Ok(());
        for (number, (_, change)) in changes.into_iter().enumerate() {
            let came = Errands::came(&answer, 0, number);
            match place.printed(&called(change), came) {
                Ok(_) => {
                    let server: Server = (change.pool.clone(), change.server.clone());
                    let out = change.admin != Admin::Ready;
                    self.clocks.told(&server, out, Instant::now());
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn server(&self, pool: &PoolName, server: &ServerName) -> Option<&HealthServer> {
        let mut servers = self.spec.servers.iter();
        servers.find(|one| one.pool == *pool && one.server == *server)
    }
}

impl LoadBalancer for Health {
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
        let known = self
            .server(pool, server)
            .and_then(|server| Some((server, self.places.get(&server.host)?)));
        match known {
            None => format!("what makes {pool}/{server} look fit again"),
            Some((server, place)) => match &server.switch {
                HealthSwitch::File(file) => {
                    place.typed(&["rm".to_owned(), "-f".to_owned(), file.clone()])
                }
                HealthSwitch::Commands { enable, .. } => place.by_hand(enable),
            },
        }
    }
}

fn errand(switch: &HealthSwitch, admin: Admin) -> Errand<'_> {
    match (switch, admin) {
        (HealthSwitch::File(file), Admin::Ready) => Errand::MarkTake(file),
        (HealthSwitch::File(file), Admin::Drain | Admin::Maint) => Errand::MarkPut(file),
        (HealthSwitch::Commands { enable, .. }, Admin::Ready) => Errand::Run(enable),
        (HealthSwitch::Commands { drain, .. }, Admin::Drain | Admin::Maint) => Errand::Run(drain),
    }
}

fn shown(
    place: &Place,
    server: &HealthServer,
    answer: &Answer,
    job: usize,
) -> Result<Shown, BalancerError> {
    let what = format!("state {}/{}", server.pool, server.server);
    let mut came = place.printed(&what, Errands::came(answer, job, 0))?;
    let garbled = |what: &str, why| place.error(what, Why::Garbled(why));
    let (state, age) = match &server.switch {
        // The script's own words.
        HealthSwitch::File(_) if came.out.starts_with("drain") => {
            (TrafficState::Drain, notice::age(&came.out))
        }
        HealthSwitch::File(_) => (TrafficState::Ready, None),
        HealthSwitch::Commands { .. } => {
            let missing = Errands::missing(answer);
            came.closed = missing.first().map(|program| {
                format!("`{program}` cannot be run there: install it, or write its whole path")
            });
            let state = command::state(&came.out).map_err(|why| garbled(&what, why))?;
            (state, None)
        }
    };
    let mut in_flight = 0;
    if server.in_flight.is_some() {
        let what = format!("in_flight {}/{}", server.pool, server.server);
        let came = place.printed(&what, Errands::came(answer, job, 1))?;
        in_flight = command::in_flight(&came.out).map_err(|why| garbled(&what, why))?;
    }
    Ok(Shown {
        state,
        age,
        in_flight,
        closed: came.closed,
    })
}

fn read_only(server: &HealthServer, shown: &Shown) -> Option<String> {
    let closed = shown.closed.as_ref()?;
    let mend = match server.switch {
        HealthSwitch::File(_) => {
            ": make the folder, and let this user write there, or use commands, which are run through `become`"
        }
        HealthSwitch::Commands { .. } => "",
    };
    Some(format!("host {}: {closed}{mend}", server.host))
}

fn called(change: &Change) -> String {
    let verb = match change.admin {
        Admin::Ready => "enable",
        Admin::Drain | Admin::Maint => "drain",
    };
    format!("{verb} {}/{}", change.pool, change.server)
}
