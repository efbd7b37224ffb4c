//! The contract on a real `HAProxy`, told by commands of a user's (`tests/support/lb.sh`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::LoadBalancer;
use rollgate::model::{Admin, CommandSpec, ServerCommands, ServerName};

use super::contract::{Bench, Held, cases};
use super::haproxy::Rig;
use crate::support::by_command::{argv, command_driver};
use crate::support::haproxy::{change, pool, seen, server, until};

struct Commands(Rig);

/// The script's commands for both servers, told by that socket.
fn spec(socket: &Path, counts: bool) -> CommandSpec {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/lb.sh");
    let servers = ["s1", "s2"].map(|name| {
        let command = |verb: &str| {
            let words = [&script, socket].map(|path| path.to_str().unwrap().to_owned());
            argv(&[&words[0], &words[1], verb, "app", name])
        };
        ServerCommands {
            pool: pool("app"),
            server: server(name),
            drain: command("drain"),
            enable: command("enable"),
            state: command("state"),
            in_flight: counts.then(|| command("conns")),
        }
    });
    CommandSpec {
        servers: servers.into(),
        settle: Duration::from_secs(u64::from(!counts)),
        dir: None,
    }
}

impl Commands {
    fn at(&self, socket: &str) -> Arc<dyn LoadBalancer> {
        command_driver(spec(&self.0.haproxy.socket(socket), true), None)
    }
}

impl Bench for Commands {
    async fn start() -> Self {
        Self(Rig::start().await)
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        self.at("admin.sock")
    }

    async fn hold(&self) -> Held {
        self.0.hold().await
    }

    async fn operator(&self, server: &ServerName, admin: Admin) {
        self.0.operator(server, admin).await;
    }

    async fn reload(&self) {
        self.0.haproxy.reload();
    }

    async fn reader(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(self.at("operator.sock"))
    }

    async fn nobody(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(self.at("nobody.sock"))
    }

    async fn silent(&self) -> Option<Arc<dyn LoadBalancer>> {
        let mut spec = spec(&self.0.haproxy.socket("admin.sock"), true);
        let silence = || argv(&["sleep", "60"]);
        for server in &mut spec.servers {
            (server.drain, server.state) = (silence(), silence());
        }
        Some(command_driver(spec, None))
    }
}

/// All but `survives_a_reload`: commands do not tell which process answers. What a reload forgets is seen all the same, below.
mod told_by_commands {
    use super::*;
    use crate::balancers::contract;

    type Kind = Commands;

    cases!(
        looks,
        drains,
        waits_for_requests,
        enables,
        puts_weights_back,
        refuses_unknown_names,
        respects_permission,
        is_done_in_time,
        shows_what_others_changed,
        tells_servers_apart,
        says_what_a_person_types,
    );
}

/// The same where nobody counts requests.
struct Uncounted(Commands);

impl Bench for Uncounted {
    const COUNTS: bool = false;

    async fn start() -> Self {
        Self(Commands::start().await)
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        let socket = self.0.0.haproxy.socket("admin.sock");
        command_driver(spec(&socket, false), None)
    }

    async fn hold(&self) -> Held {
        self.0.hold().await
    }

    async fn operator(&self, server: &ServerName, admin: Admin) {
        self.0.operator(server, admin).await;
    }

    async fn reload(&self) {
        self.0.reload().await;
    }
}

mod uncounted {
    use super::*;
    use crate::balancers::contract;

    type Kind = Uncounted;

    cases!(
        looks,
        drains,
        waits_for_requests,
        enables,
        refuses_unknown_names,
        shows_what_others_changed,
        tells_servers_apart,
    );
}

#[tokio::test]
async fn what_a_reload_forgets_is_seen_and_told_again() {
    let bench = Commands::start().await;
    let driver = bench.driver();
    let drain = [change("app", "s1", Admin::Drain)];
    driver.tell(&drain).await.unwrap();
    bench.reload().await;
    until("the drain is forgotten", async || {
        match driver.observe(&[pool("app")]).await {
            Ok(look) => look.pools[&pool("app")].usable() == 2,
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                false
            }
        }
    })
    .await;
    driver.tell(&drain).await.unwrap();
    assert_eq!(seen(&*driver, "app", "s1").await.admin, Admin::Drain);
}
