//! A host whose releases are containers: everything that has to do with the engine is told to it, the rest is that of every host.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::shell::{FINISH_LIMIT, ShellHost, failed, garbled};
use super::{
    FinishOrder, HostDriver, HostError, LockWish, Ran, StageOrder, Staged, SwapOrder, SwapTo,
    Swapped,
};
use crate::drivers::transport::Payload;
use crate::far::container::Berth;
use crate::far::container::end::{ContainerFinish, ContainerLogs, LOGS_LIMIT};
use crate::far::container::look::ContainerLook;
use crate::far::container::stage::{ContainerStage, PullFrom};
use crate::far::container::swap::ContainerSwap;
use crate::model::{
    Command, Container, HostFacts, HostName, Recipes, Record, ReleaseRef, Restart, Revision,
    Rights, Run,
};

/// What a host's containers are, besides what the engine orders.
#[derive(Clone)]
pub struct Containers {
    /// Where they are.
    pub berth: Berth,
    /// How the host pulls images; `None`: they are sent.
    pub pull: Option<Pulling>,
    /// What else an image may be called once it is there: its ids.
    pub ids: Vec<String>,
    /// Whether a container that rollgate did not start is taken over.
    pub adopt: bool,
    /// Whose settings.
    pub host: HostName,
    /// What renders them.
    pub recipes: Arc<dyn Recipes>,
}

/// How a host pulls images.
#[derive(Clone)]
pub struct Pulling {
    /// The text of a login file; empty: the host's own logins count.
    pub auth: String,
    /// Whether the registry is asked without TLS.
    pub insecure: bool,
}

/// One host, for one process of one rollout.
pub(super) struct ContainerHost {
    shell: ShellHost,
    containers: Containers,
}

impl fmt::Debug for ContainerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerHost")
            .field("shell", &self.shell)
            .field("berth", &self.containers.berth)
            .finish_non_exhaustive()
    }
}

impl ContainerHost {
    pub(super) fn new(shell: ShellHost, containers: Containers) -> Self {
        Self { shell, containers }
    }

    async fn look(&self, lock: &LockWish) -> Result<HostFacts, HostError> {
        const PURPOSE: &str = "look at the host";
        let look = ContainerLook {
            look: ShellHost::wish(lock),
            berth: &self.containers.berth,
            adopt: self.containers.adopt,
        };
        let site = self.shell.site();
        let (script, limit) = (look.script(site), look.look.limit());
        let answer = self
            .shell
            .ask(PURPOSE, script, Payload::None, limit)
            .await?;
        look.read(site, &answer)
            .map_err(|reason| garbled(PURPOSE, reason))
    }

    fn settings(&self, release: &ReleaseRef) -> Result<Container, HostError> {
        let run = self.containers.recipes.run(&self.containers.host, release);
        match run.map_err(failed)?.restart {
            Restart::Container(container) => Ok(*container),
            Restart::Systemd(_) | Restart::Commands { .. } => {
                Err(failed("the release is no container".to_owned()))
            }
        }
    }

    async fn bring(&self, order: &StageOrder) -> Result<Staged, HostError> {
        const CHECK: &str = "look whether the image is there";
        let settings = self.settings(&order.release)?;
        let pull = self.containers.pull.as_ref();
        let stage = ContainerStage {
            release: &order.release,
            artifact: &order.artifact,
            ids: &self.containers.ids,
            settings: &settings,
            berth: &self.containers.berth,
            pull: pull.map(|pull| PullFrom {
                auth: &pull.auth,
                insecure: pull.insecure,
            }),
        };
        let site = self.shell.site();
        let (script, limit) = (stage.check_script(site), stage.check_limit());
        let answer = self.shell.ask(CHECK, script, Payload::None, limit).await?;
        let need = answer.need("stage");
        match need.map_err(|reason| garbled(CHECK, reason))? {
            "need" => {}
            _ => return Ok(Staged::default()),
        }
        let artifact = &order.artifact;
        if artifact.size == 0 {
            let what = "the host does not have the image, and it is not here either; put the source of that time back";
            return Err(failed(what.to_owned()));
        }
        let payload = Payload::File {
            path: artifact.path.clone(),
            size: artifact.size,
        };
        let (script, limit) = (stage.load_script(site), stage.load_limit());
        self.shell
            .ask("send the image", script, payload, limit)
            .await?;
        Ok(Staged {
            sent_bytes: artifact.size,
        })
    }

    async fn switch(&self, order: &SwapOrder) -> Result<Swapped, HostError> {
        let swap = ContainerSwap {
            to: match &order.to {
                SwapTo::Release(release) => Some(release),
                SwapTo::Nothing => None,
            },
            stop_timeout: order.entering.stop_timeout,
            record: &order.record,
            berth: &self.containers.berth,
        };
        let (script, limit) = (swap.script(self.shell.site()), swap.limit());
        self.shell
            .ask("swap the container", script, Payload::None, limit)
            .await
            .map(|_answer| Swapped::default())
    }

    async fn read_logs(&self, lines: usize) -> Result<Vec<String>, HostError> {
        let logs = ContainerLogs {
            berth: &self.containers.berth,
            lines,
        };
        let script = logs.script(self.shell.site());
        let answer = self
            .shell
            .ask("read the logs", script, Payload::None, LOGS_LIMIT)
            .await?;
        Ok(answer.output())
    }

    async fn end(&self, order: &FinishOrder) -> Result<(), HostError> {
        let finish = ContainerFinish {
            finish: ShellHost::finishing(order),
            berth: &self.containers.berth,
        };
        let script = finish.script(self.shell.site());
        self.shell
            .ask("end the rollout", script, Payload::None, FINISH_LIMIT)
            .await
            .map(drop)
    }
}

impl HostDriver for ContainerHost {
    fn inspect<'a>(&'a self, lock: &'a LockWish) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        self.look(lock).boxed()
    }

    fn confirm(&self) -> BoxFuture<'_, Result<(), HostError>> {
        self.shell.confirm()
    }

    fn write_record<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), HostError>> {
        self.shell.write_record(record)
    }

    fn stage<'a>(&'a self, order: &'a StageOrder) -> BoxFuture<'a, Result<Staged, HostError>> {
        self.bring(order).boxed()
    }

    fn prepare<'a>(
        &'a self,
        run: &'a Run,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Rights, HostError>> {
        self.shell.prepare(run, revision)
    }

    fn swap<'a>(&'a self, order: &'a SwapOrder) -> BoxFuture<'a, Result<Swapped, HostError>> {
        self.switch(order).boxed()
    }

    fn run_hook<'a>(
        &'a self,
        dir: &'a str,
        command: &'a Command,
        env: &'a [(String, String)],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Ran, HostError>> {
        self.shell.run_hook(dir, command, env, timeout)
    }

    fn logs<'a>(
        &'a self,
        _run: &'a Run,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, HostError>> {
        self.read_logs(lines).boxed()
    }

    fn finish<'a>(&'a self, order: &'a FinishOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.end(order).boxed()
    }

    fn fetch<'a>(&'a self, file: &'a str, into: &'a Path) -> BoxFuture<'a, Result<u64, HostError>> {
        self.shell.fetch(file, into)
    }

    fn break_lock<'a>(&'a self, seen: &'a str) -> BoxFuture<'a, Result<(), HostError>> {
        self.shell.break_lock(seen)
    }
}
