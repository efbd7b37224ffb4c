//! The contract where there is no balancer's API: hosts look unfit by a file, and a real `HAProxy` in front is never told anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::LoadBalancer;
use rollgate::drivers::transport::{LocalTransport, Transport};
use rollgate::model::{Admin, HealthSwitch, ServerName};

use super::contract::{Bench, Held, cases};
use super::haproxy::Rig;
use crate::support::by_command::health_driver;

struct Files {
    rig: Rig,
    dir: tempfile::TempDir,
}

impl Files {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn at(&self, folder: &str) -> Arc<dyn LoadBalancer> {
        let hosts = ["s1", "s2"].map(|name| {
            let here: Arc<dyn Transport> = Arc::new(LocalTransport::default());
            let file = self.file(folder).join(name);
            let switch = HealthSwitch::File(file.to_str().unwrap().to_owned());
            (here, switch)
        });
        health_driver(Duration::from_secs(1), hosts.into())
    }
}

impl Bench for Files {
    const COUNTS: bool = false;
    const TELLS_READ_ONLY: bool = true;

    async fn start() -> Self {
        Self {
            rig: Rig::start().await,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn driver(&self) -> Arc<dyn LoadBalancer> {
        self.at("")
    }

    async fn hold(&self) -> Held {
        self.rig.hold().await
    }

    async fn operator(&self, which: &ServerName, admin: Admin) {
        let file = self.file(which.as_str());
        match admin {
            Admin::Ready => std::fs::remove_file(file).unwrap(),
            Admin::Drain | Admin::Maint => std::fs::write(file, "").unwrap(),
        }
    }

    async fn reload(&self) {
        self.rig.haproxy.reload();
    }

    async fn reader(&self) -> Option<Arc<dyn LoadBalancer>> {
        Some(self.at("no such folder"))
    }
}

/// All but `survives_a_reload`: which process the balancer is cannot be seen, and none forgets a file.
mod told_by_files {
    use super::*;
    use crate::balancers::contract;

    type Kind = Files;

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
