//! A "host" that is this machine: scripts run in a local shell, and forwarding can be switched off.

use std::fmt;
use std::process::Stdio;
use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use rollgate::drivers::transport::{BoxStream, Call, Output, Transport, TransportError};
use rollgate::model::Become;
use tokio::net::{TcpStream, UnixStream};

/// What the host's `sshd` does about forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarding {
    On,
    /// As OpenSSH refuses TCP when it is off.
    Prohibited,
    /// As OpenSSH refuses a unix socket, whatever the reason.
    OpenFailed,
}

/// The host.
pub(crate) struct ShellHost {
    pub(crate) forwarding: Forwarding,
    pub(crate) r#become: Become,
    /// The words that start the shell, before `-c SCRIPT`.
    pub(crate) shell: Vec<String>,
    /// `PATH` of scripts; `None`: as here.
    pub(crate) path: Option<String>,
    /// Purposes of the scripts that ran.
    pub(crate) ran: Mutex<Vec<&'static str>>,
    /// Connections asked for.
    pub(crate) opened: Mutex<Vec<String>>,
}

impl ShellHost {
    pub(crate) fn new(forwarding: Forwarding) -> Self {
        Self {
            forwarding,
            r#become: Become::None,
            shell: vec!["sh".to_owned()],
            path: None,
            ran: Mutex::new(Vec::new()),
            opened: Mutex::new(Vec::new()),
        }
    }

    fn refuse(&self, target: &str) -> Option<TransportError> {
        self.opened.lock().unwrap().push(target.to_owned());
        let (prohibited, reason) = match self.forwarding {
            Forwarding::On => return None,
            Forwarding::Prohibited => (true, "administratively prohibited"),
            Forwarding::OpenFailed => (false, "open failed"),
        };
        Some(forward(target, reason, prohibited))
    }
}

fn forward(target: &str, reason: &str, prohibited: bool) -> TransportError {
    TransportError::Forward {
        target: target.to_owned(),
        reason: reason.to_owned(),
        prohibited,
    }
}

impl fmt::Debug for ShellHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShellHost")
    }
}

impl Transport for ShellHost {
    fn describe(&self) -> String {
        "me@127.0.0.1:2222".to_owned()
    }

    fn r#become(&self) -> Become {
        self.r#become
    }

    fn run(&self, call: Call) -> BoxFuture<'_, Result<Output, TransportError>> {
        async move {
            self.ran.lock().unwrap().push(call.purpose);
            let (program, words) = self.shell.split_first().unwrap();
            let mut command = tokio::process::Command::new(program);
            command.args(words).arg("-c").arg(call.script.as_ref());
            command.stdin(Stdio::null()).kill_on_drop(true);
            if let Some(path) = &self.path {
                command.env("PATH", path);
            }
            let output = command.output().await.unwrap();
            Ok(Output {
                code: output.status.code().unwrap_or(255).try_into().unwrap(),
                stdout: output.stdout,
                stderr: output.stderr,
            })
        }
        .boxed()
    }

    fn open_tcp<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        async move {
            let target = format!("{address}:{port}");
            if let Some(error) = self.refuse(&target) {
                return Err(error);
            }
            match TcpStream::connect((address, port)).await {
                Ok(stream) => Ok(Box::new(stream) as BoxStream),
                Err(_) => Err(forward(&target, "Connection refused", false)),
            }
        }
        .boxed()
    }

    fn open_unix<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        async move {
            if let Some(error) = self.refuse(path) {
                return Err(error);
            }
            match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream) as BoxStream),
                Err(_) => Err(forward(path, "open failed", false)),
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// A folder with links to these programs only.
pub(crate) fn tools(programs: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, target) in programs {
        std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
    }
    dir
}
