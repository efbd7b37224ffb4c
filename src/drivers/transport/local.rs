//! This machine as a host: the same scripts through a local shell, without SSH.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, Command};

use super::collect::{Collected, Ending};
use super::payload::{Fed, Source, feed};
use super::script::Framed;
use super::{BoxStream, Call, Output, Transport, TransportError};
use crate::model::Become;

/// How long a command that was told to end may take before it is left alone.
const GRACE: Duration = Duration::from_secs(1);

/// How long connecting to a local socket may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Runs scripts with a local shell and opens local sockets.
///
/// For balancers that are reached without a host, and for tests of scripts in several shells. `privileged` is ignored: scripts run as
/// whoever runs rollgate.
#[derive(Debug, Clone)]
pub struct LocalTransport {
    shell: Vec<String>,
}

impl Default for LocalTransport {
    fn default() -> Self {
        Self::new(&["/bin/sh"])
    }
}

impl LocalTransport {
    /// A transport with this shell: a program and its leading arguments, such as `["busybox", "sh"]`.
    pub fn new(shell: &[&str]) -> Self {
        Self {
            shell: shell.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    fn spawn(&self, framed: &Framed) -> Result<Child, TransportError> {
        let (program, arguments) =
            self.shell
                .split_first()
                .ok_or_else(|| TransportError::Local {
                    reason: "no local shell is named".to_owned(),
                })?;
        Command::new(program)
            .args(arguments)
            .args(framed.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that children end with it.
            .process_group(0)
            .spawn()
            .map_err(|error| TransportError::Local {
                reason: format!("cannot start `{program}`: {error}"),
            })
    }

    async fn run_call(&self, call: Call) -> Result<Output, TransportError> {
        let framed = Framed::new(&call)?;
        let source = Source::open(&call.payload).await?;
        let mut child = self.spawn(&framed)?;
        let stdin = child.stdin.take();
        let mut collected = Collected::default();
        let group = Group::of(&child);
        let ended = {
            let reading = read_all(&mut child, &mut collected);
            let feeding = feed_all(stdin, framed.text(), source);
            tokio::time::timeout(call.limit, async {
                tokio::select! {
                    status = reading => Ok(status),
                    error = feeding => Err(error),
                }
            })
            .await
        };
        match ended {
            Ok(Ok(status)) => {
                let ending = status.map_or_else(|error| Ending::Gone(error.to_string()), ending_of);
                collected.conclude(call.purpose, framed.marker(), ending)
            }
            Ok(Err(error)) => {
                group.end(child).await;
                Err(error)
            }
            Err(_elapsed) => {
                group.end(child).await;
                Err(TransportError::Timeout {
                    purpose: call.purpose.to_owned(),
                    limit: call.limit,
                })
            }
        }
    }
}

/// The process group of a command.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn terminate(&self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::TERM)
        {
            tracing::debug!(%error, "cannot end a local command");
        }
    }

    /// Sends TERM and waits a moment; a command that stays is waited for in the background, so that it leaves no zombie.
    async fn end(&self, mut child: Child) {
        self.terminate();
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            tokio::spawn(async move { child.wait().await });
        }
    }
}

/// Feeds the command and then waits for ever: the end of the input is not the end of the command. Returns only when the payload is bad.
async fn feed_all(
    stdin: Option<ChildStdin>,
    text: &[u8],
    mut source: Option<Source>,
) -> TransportError {
    if let Some(mut stdin) = stdin {
        match feed(&mut stdin, text, source.as_mut()).await {
            Ok(Fed::Whole | Fed::Stopped) => drop(stdin),
            Err(error) => return error,
        }
    }
    std::future::pending().await
}

/// Reads both outputs to their end, as `sshd` does, and then waits for the command.
async fn read_all(child: &mut Child, collected: &mut Collected) -> io::Result<ExitStatus> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let group = Group::of(child);
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            count = read_some(&mut stdout, &mut out) => {
                if !collected.push_stdout(out.get(..count?).unwrap_or_default()) {
                    group.terminate();
                }
            }
            count = read_some(&mut stderr, &mut err) => {
                collected.push_stderr(err.get(..count?).unwrap_or_default());
            }
        }
    }
    child.wait().await
}

/// Reads from a pipe; forgets it at its end; waits for ever when it is gone.
async fn read_some<R: AsyncRead + Unpin>(
    pipe: &mut Option<R>,
    into: &mut [u8],
) -> io::Result<usize> {
    let Some(open) = pipe else {
        return std::future::pending().await;
    };
    let count = open.read(into).await?;
    if count == 0 {
        *pipe = None;
    }
    Ok(count)
}

fn ending_of(status: ExitStatus) -> Ending {
    if let Some(code) = status.code().and_then(|code| u32::try_from(code).ok()) {
        return Ending::Code(code);
    }
    let number = status.signal().unwrap_or_default();
    Ending::Signal(match number {
        1 => "HUP".to_owned(),
        2 => "INT".to_owned(),
        3 => "QUIT".to_owned(),
        6 => "ABRT".to_owned(),
        9 => "KILL".to_owned(),
        11 => "SEGV".to_owned(),
        13 => "PIPE".to_owned(),
        15 => "TERM".to_owned(),
        other => other.to_string(),
    })
}

async fn connect<S>(
    target: String,
    connecting: impl Future<Output = io::Result<S>>,
) -> Result<BoxStream, TransportError>
where
    S: AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let refuse = |reason: String| TransportError::Forward {
        target,
        reason,
        prohibited: false,
    };
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(_elapsed) => Err(refuse(format!("no answer within {CONNECT:?}"))),
    }
}

impl Transport for LocalTransport {
    fn describe(&self) -> String {
        "this machine".to_owned()
    }

    fn r#become(&self) -> Become {
        Become::None
    }

    fn run(&self, call: Call) -> BoxFuture<'_, Result<Output, TransportError>> {
        Box::pin(self.run_call(call))
    }

    fn open_tcp<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        Box::pin(connect(
            format!("{address}:{port}"),
            TcpStream::connect((address, port)),
        ))
    }

    fn open_unix<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        Box::pin(connect(path.to_owned(), UnixStream::connect(path)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
