//! A balancer with one pool, `app`, of one server a host.

use futures::future::BoxFuture;
use rollgate::drivers::balancer::{BalancerError, Change, LoadBalancer};
use rollgate::model::*;

use super::{Shared, Sim, live, lock};

#[derive(Debug)]
pub struct FakeBalancer {
    name: BalancerName,
    sim: Shared,
}

impl FakeBalancer {
    pub fn new(sim: &Shared) -> Self {
        Self {
            name: BalancerName::new("lb").unwrap(),
            sim: sim.clone(),
        }
    }

    fn down(&self) -> Result<(), BalancerError> {
        if lock(&self.sim).balancer_down {
            return Err(BalancerError::Unreachable {
                balancer: self.name.clone(),
                endpoint: "memory".into(),
                reason: "it is down".into(),
            });
        }
        Ok(())
    }
}

impl LoadBalancer for FakeBalancer {
    fn name(&self) -> &BalancerName {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        _pools: &'a [PoolName],
    ) -> BoxFuture<'a, Result<BalancerSeen, BalancerError>> {
        Box::pin(async move {
            self.down()?;
            let sim = lock(&self.sim);
            let servers = sim.servers.iter().map(|(name, server)| {
                let usable = sim.usable(name);
                let seen = ServerSeen {
                    admin: server.admin,
                    health: if sim.hosts[name].running.is_some() {
                        Health::Up
                    } else {
                        Health::Down
                    },
                    usable,
                    in_flight: match server.admin {
                        Admin::Ready => 0,
                        Admin::Maint if sim.sticky => 0,
                        Admin::Drain | Admin::Maint => sim.hosts[name].in_flight,
                    },
                    weight: Some(server.weight),
                    sticky: sim.sticky,
                    settling: false,
                    agent: server.agent,
                    tracks: None,
                };
                (ServerName::new(name).unwrap(), seen)
            });
            let pool = PoolSeen {
                servers: servers.collect(),
            };
            Ok(BalancerSeen {
                process: sim.process.to_string(),
                pools: [(PoolName::new("app").unwrap(), pool)].into(),
                read_only: None,
            })
        })
    }

    fn tell<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), BalancerError>> {
        Box::pin(async move {
            self.down()?;
            live(&self.sim, |sim| tell(sim, changes)).await;
            Ok(())
        })
    }

    fn gathers(&self) -> bool {
        lock(&self.sim).gathers
    }

    fn enable_by_hand(&self, pool: &PoolName, server: &ServerName) -> String {
        format!("enable {pool}/{server}")
    }
}

fn tell(sim: &mut Sim, changes: &[Change]) {
    let told = changes.iter().map(|change| {
        let name = change.server.as_str().to_owned();
        (name, change.admin, change.weight, change.agent)
    });
    sim.told.push(told.collect());
    for change in changes {
        let name = change.server.as_str().to_owned();
        let host = &sim.hosts[&name];
        if change.admin == Admin::Ready && !host.proven {
            let text = format!(
                "R2: {name} gets traffic on {:?}, which was not proven",
                host.running
            );
            sim.broken.push(text);
        }
        if change.admin == Admin::Ready && sim.operator.contains(&name) {
            sim.broken.push(format!("R4: {name} was an operator's"));
        }
        let server = sim.servers.get_mut(&name).unwrap();
        server.admin = change.admin;
        server.agent = change.agent.unwrap_or(server.agent);
        if let Some(weight) = change.weight {
            server.weight = weight;
        }
        sim.check(&format!("tell {name} {:?}", change.admin));
    }
}
