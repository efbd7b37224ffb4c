//! A host with a POSIX shell: sends the scripts of [`crate::far`] and reads their answers.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt as _;

use super::{
    FinishOrder, HostDriver, HostError, LockWish, Ran, RecordEnd, StageOrder, Staged, SwapOrder,
    SwapTo, Swapped,
};
use crate::drivers::transport::{Call, Payload, Transport};
use crate::far::fetch::{self, Fetch};
use crate::far::finish::{Finish, RecordFate, WriteRecord};
use crate::far::look::{BreakLock, Look, Renew, Wish};
use crate::far::rights::Prepare;
use crate::far::run::{HookRun, Logs};
use crate::far::stage::{Need, Stage};
use crate::far::swap::Swap;
use crate::far::{Answer, Refusal, ScriptError, Site};
use crate::model::{Command, HostFacts, LockToken, Record, Revision, Rights, RolloutId, Run};

/// Renewing must leave the time for an act on a balancer that relies on it (R3: 10 s together).
const RENEW_LIMIT: Duration = Duration::from_secs(8);
/// For a record: a few small writes, on a disk that may be busy.
const RECORD_LIMIT: Duration = Duration::from_secs(30);
/// For the end, which may remove large folders.
pub(super) const FINISH_LIMIT: Duration = Duration::from_secs(180);
/// How many lines of what a failed script said on standard error are kept.
const COMPLAINT_LINES: usize = 20;

/// One host, for one process of one rollout.
pub(super) struct ShellHost {
    transport: Arc<dyn Transport>,
    site: Site,
}

impl fmt::Debug for ShellHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellHost")
            .field("host", &self.transport.describe())
            .field("root", &self.site.root)
            .finish_non_exhaustive()
    }
}

impl ShellHost {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        root: &str,
        rollout: RolloutId,
        token: LockToken,
    ) -> Self {
        let site = Site {
            root: root.to_owned(),
            r#become: transport.r#become(),
            rollout,
            token,
        };
        Self { transport, site }
    }

    /// Sends a script and reads its answer.
    pub(super) async fn ask(
        &self,
        purpose: &'static str,
        script: Result<Arc<str>, ScriptError>,
        payload: Payload,
        limit: Duration,
    ) -> Result<Answer, HostError> {
        let call = Call {
            purpose,
            script: script.map_err(|error| failed(error.to_string()))?,
            payload,
            limit,
            privileged: false,
        };
        let output = self.transport.run(call).await?;
        Answer::read(output.code, &output.stdout, &output.stderr).map_err(|refusal| match refusal {
            Refusal::Fenced { holder } => HostError::Fenced { holder },
            Refusal::Failed { what, output: said } if said.is_empty() => HostError::Failed {
                what,
                output: last_lines(&output.complaint()),
            },
            Refusal::Failed { what, output } => HostError::Failed { what, output },
            Refusal::Garbled(reason) => HostError::Garbled { purpose, reason },
        })
    }

    /// Where scripts run, and for whom.
    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// A look with that wish about the lock.
    pub(super) fn wish(lock: &LockWish) -> Look<'_> {
        let wish = match lock {
            LockWish::Look => Wish::Look,
            LockWish::Take(owner) => Wish::Take(owner),
            LockWish::TakeOver { owner, seen } => Wish::TakeOver(owner, seen),
        };
        Look { wish }
    }

    async fn look(&self, lock: &LockWish) -> Result<HostFacts, HostError> {
        const PURPOSE: &str = "look at the host";
        let look = Self::wish(lock);
        let answer = self
            .ask(
                PURPOSE,
                look.script(&self.site),
                Payload::None,
                look.limit(),
            )
            .await?;
        Look::read(&self.site, &answer).map_err(|reason| garbled(PURPOSE, reason))
    }

    /// Whether the artifact lies there, checked again, or could be copied from an earlier release.
    async fn is_there(&self, stage: &Stage<'_>) -> Result<bool, HostError> {
        const CHECK: &str = "look what is staged";
        let script = stage.check_script(&self.site);
        let answer = self
            .ask(CHECK, script, Payload::None, stage.check_limit())
            .await?;
        let need = Stage::read_check(&answer).map_err(|reason| garbled(CHECK, reason))?;
        Ok(matches!(need, Need::Have | Need::Copied))
    }

    async fn fetch_file(&self, file: &str, into: &Path) -> Result<u64, HostError> {
        let here =
            |error: std::io::Error| failed(format!("cannot write {}: {error}", into.display()));
        let mut out = tokio::fs::File::create(into).await.map_err(here)?;
        let mut size = 0;
        for number in 0.. {
            let script = Fetch { file, number }.script(&self.site);
            let call = Call {
                purpose: "fetch a file",
                script: script.map_err(|error| failed(error.to_string()))?,
                payload: Payload::None,
                limit: fetch::LIMIT,
                privileged: false,
            };
            let output = self.transport.run(call).await?;
            if output.code != 0 {
                return Err(failed(format!(
                    "cannot read {file}: {}",
                    output.complaint()
                )));
            }
            out.write_all(&output.stdout).await.map_err(here)?;
            size += output.stdout.len() as u64;
            if output.stdout.len() < fetch::PIECE {
                break;
            }
        }
        out.flush().await.map_err(here)?;
        Ok(size)
    }

    async fn put_artifact(&self, order: &StageOrder) -> Result<Staged, HostError> {
        let stage = Stage {
            release: &order.release,
            artifact: &order.artifact,
            candidates: &order.candidates,
            overlay: order.overlay.as_ref(),
        };
        let must_be_sent = order.is_absent && order.candidates.is_empty();
        if !must_be_sent && self.is_there(&stage).await? {
            return Ok(Staged::default());
        }
        let (path, size) = stage.payload().ok_or_else(|| {
            failed(format!(
                "the files of {} are not on this host any more, and the archive that they came from ({}) is not here",
                order.release.dir, order.artifact.from
            ))
        })?;
        let payload = Payload::File {
            path: path.to_owned(),
            size,
        };
        let script = stage.upload_script(&self.site);
        self.ask("stage the release", script, payload, stage.upload_limit())
            .await?;
        Ok(Staged { sent_bytes: size })
    }

    async fn look_ahead(&self, run: &Run, revision: Revision) -> Result<Rights, HostError> {
        let prepare = Prepare { run, revision };
        let Some(script) = prepare.script(&self.site).transpose() else {
            return Ok(Rights::default());
        };
        let purpose = "look at how the service is run";
        let answer = self.ask(purpose, script, Payload::None, prepare.limit());
        answer.await.map(|answer| Prepare::read(&answer))
    }

    async fn switch(&self, order: &SwapOrder) -> Result<Swapped, HostError> {
        let swap = Swap {
            to: match &order.to {
                SwapTo::Release(release) => Some(release),
                SwapTo::Nothing => None,
            },
            leaving: order.leaving.as_ref(),
            entering: &order.entering,
            record: &order.record,
            expect: order
                .expect
                .as_ref()
                .map(|(name, sha)| (name.as_str(), sha)),
        };
        let script = swap.script(&self.site);
        let answer = self
            .ask("swap the release", script, Payload::None, swap.limit())
            .await?;
        Ok(Swapped {
            stop_complaint: swap.read(&answer),
        })
    }

    async fn hook(&self, hook: HookRun<'_>) -> Result<Ran, HostError> {
        const PURPOSE: &str = "run a hook";
        let answer = self
            .ask(
                PURPOSE,
                hook.script(&self.site),
                Payload::None,
                hook.limit(),
            )
            .await?;
        let (code, output) = HookRun::read(&answer).map_err(|reason| garbled(PURPOSE, reason))?;
        Ok(Ran { code, output })
    }

    async fn read_logs(&self, run: &Run, lines: usize) -> Result<Vec<String>, HostError> {
        let logs = Logs { run, lines };
        let script = logs.script(&self.site);
        let answer = self
            .ask("read the logs", script, Payload::None, logs.limit())
            .await?;
        Ok(answer.output())
    }

    /// What is left to be written and removed at the end.
    pub(super) fn finishing(order: &FinishOrder) -> Finish<'_> {
        Finish {
            revisions: order.revisions.as_deref(),
            rollout: order.rollout.as_ref(),
            record: match &order.record {
                RecordEnd::Keep => RecordFate::Keep,
                RecordEnd::Remove => RecordFate::Remove,
                RecordEnd::Put(record) => RecordFate::Put(record),
            },
            prune: &order.prune,
            release_lock: order.release_lock,
        }
    }

    async fn end(&self, order: &FinishOrder) -> Result<(), HostError> {
        let script = Self::finishing(order).script(&self.site);
        self.ask("end the rollout", script, Payload::None, FINISH_LIMIT)
            .await
            .map(drop)
    }
}

impl HostDriver for ShellHost {
    fn inspect<'a>(&'a self, lock: &'a LockWish) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        self.look(lock).boxed()
    }

    fn confirm(&self) -> BoxFuture<'_, Result<(), HostError>> {
        let script = Renew.script(&self.site);
        self.ask("confirm the lock", script, Payload::None, RENEW_LIMIT)
            .map(|answer| answer.map(drop))
            .boxed()
    }

    fn write_record<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), HostError>> {
        let script = WriteRecord { record }.script(&self.site);
        self.ask("write the record", script, Payload::None, RECORD_LIMIT)
            .map(|answer| answer.map(drop))
            .boxed()
    }

    fn stage<'a>(&'a self, order: &'a StageOrder) -> BoxFuture<'a, Result<Staged, HostError>> {
        self.put_artifact(order).boxed()
    }

    fn prepare<'a>(
        &'a self,
        run: &'a Run,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Rights, HostError>> {
        self.look_ahead(run, revision).boxed()
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
        self.hook(HookRun {
            dir,
            command,
            env,
            timeout,
        })
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        run: &'a Run,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, HostError>> {
        self.read_logs(run, lines).boxed()
    }

    fn finish<'a>(&'a self, order: &'a FinishOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.end(order).boxed()
    }

    fn fetch<'a>(&'a self, file: &'a str, into: &'a Path) -> BoxFuture<'a, Result<u64, HostError>> {
        self.fetch_file(file, into).boxed()
    }

    fn break_lock<'a>(&'a self, seen: &'a str) -> BoxFuture<'a, Result<(), HostError>> {
        let script = BreakLock { seen }.script(&self.site);
        self.ask("break the lock", script, Payload::None, RECORD_LIMIT)
            .map(|answer| answer.map(drop))
            .boxed()
    }
}

pub(super) fn failed(what: String) -> HostError {
    HostError::Failed {
        what,
        output: Vec::new(),
    }
}

pub(super) fn garbled(purpose: &'static str, reason: String) -> HostError {
    HostError::Garbled { purpose, reason }
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(COMPLAINT_LINES);
    lines
        .iter()
        .skip(from)
        .map(|&line| line.to_owned())
        .collect()
}
