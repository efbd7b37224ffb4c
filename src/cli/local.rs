//! Hooks on this machine.

use std::process::Stdio;

use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command as Process};

use crate::drivers::host::Ran;
use crate::engine::LocalCommands;
use crate::model::{Command, Hook};

/// How long a process group has between TERM and KILL.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// How many of a hook's last lines are kept.
const LINES: usize = 40;

/// How much of a hook's output is kept while it runs.
const BYTES: usize = 64 << 10;

/// This machine's processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalProcesses;

impl LocalCommands for LocalProcesses {
    fn run<'a>(&'a self, hook: &'a Hook) -> BoxFuture<'a, Result<Ran, String>> {
        Box::pin(run(hook))
    }
}

async fn run(hook: &Hook) -> Result<Ran, String> {
    let mut process = match &hook.run {
        Command::Argv(words) => {
            let (program, arguments) = words.split_first().ok_or("the command is empty")?;
            let mut process = Process::new(program);
            process.args(arguments);
            process
        }
        Command::Shell(text) => {
            let mut process = Process::new("/bin/sh");
            process.arg("-c").arg(text);
            process
        }
    };
    process
        .current_dir(&hook.local_dir)
        .envs(hook.env.iter().map(|(name, value)| (name, value)));
    process
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = process
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", describe(&hook.run)))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let reading = tokio::spawn(async move { futures::join!(tail(out), tail(err)) });
    let ended = tokio::time::timeout(hook.timeout, child.wait()).await;
    let code = match ended {
        Ok(Ok(status)) => exit_code(status),
        Ok(Err(error)) => return Err(format!("cannot wait for {}: {error}", describe(&hook.run))),
        Err(_elapsed) => {
            end(&mut child).await;
            TIMED_OUT
        }
    };
    // A child of the hook that keeps its output open does not keep the rollout waiting.
    let (out, err) = tokio::time::timeout(GRACE, reading)
        .await
        .ok()
        .and_then(Result::ok)
        .unwrap_or_default();
    Ok(Ran {
        code,
        output: lines(&out, &err),
    })
}

/// What `timeout(1)` answers.
const TIMED_OUT: i32 = 124;

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn describe(command: &Command) -> String {
    match command {
        Command::Argv(words) => format!(
            "`{}`",
            words.first().map(String::as_str).unwrap_or_default()
        ),
        Command::Shell(_) => "`sh`".to_owned(),
    }
}

/// TERM to the whole group, and KILL to what is left of it.
async fn end(child: &mut Child) {
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let Some(group) = group else { return };
    // A group that has just ended by itself is as good.
    let _gone = kill_process_group(group, Signal::TERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let _gone = kill_process_group(group, Signal::KILL);
        drop(child.wait().await);
    }
}

async fn tail(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let mut kept = Vec::new();
    let mut piece = [0_u8; 8192];
    while let Ok(count) = stream.read(&mut piece).await {
        if count == 0 {
            break;
        }
        kept.extend(piece.iter().take(count));
        if kept.len() > 2 * BYTES {
            kept.drain(..kept.len() - BYTES);
        }
    }
    kept
}

fn lines(out: &[u8], err: &[u8]) -> Vec<String> {
    let text = [String::from_utf8_lossy(out), String::from_utf8_lossy(err)];
    let all: Vec<String> = text
        .iter()
        .flat_map(|text| text.lines())
        .map(str::to_owned)
        .collect();
    all.iter()
        .skip(all.len().saturating_sub(LINES))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{HookPlace, HookPoint};

    fn hook(run: Command, timeout: Duration) -> Hook {
        Hook {
            number: 1,
            at: HookPoint::BeforeRollout,
            on: HookPlace::Local,
            run,
            timeout,
            env: vec![("ROLLGATE_HOST".into(), "web-01".into())],
            local_dir: std::env::temp_dir(),
        }
    }

    #[tokio::test]
    async fn a_hook_sees_its_environment_and_its_exit_code_comes_back() {
        let ran = run(&hook(
            Command::Shell("echo $ROLLGATE_HOST; echo bad >&2; exit 7".into()),
            Duration::from_secs(5),
        ))
        .await
        .unwrap();
        assert_eq!(
            ran,
            Ran {
                code: 7,
                output: vec!["web-01".into(), "bad".into()]
            }
        );
    }

    #[tokio::test]
    async fn a_hook_that_does_not_end_is_killed_with_its_children() {
        let started = Instant::now();
        let ran = run(&hook(
            Command::Shell("sleep 60 & sleep 60".into()),
            Duration::from_millis(200),
        ))
        .await
        .unwrap();
        assert_eq!(ran.code, TIMED_OUT);
        assert!(started.elapsed() < GRACE);
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = run(&hook(
            Command::Argv(vec!["/nonexistent/x".into()]),
            Duration::from_secs(5),
        ))
        .await
        .unwrap_err();
        assert!(error.contains("/nonexistent/x"), "{error}");
    }
}
