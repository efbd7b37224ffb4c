//! Runs scripts in a shell on this machine as `sshd` would run them: in a session of their own, script and payload on standard
//! input, at an end only when every holder of standard output is gone.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rollgate::drivers::transport::{BoxStream, Call, Output, Payload, Transport, TransportError};
use rollgate::model::Become;
use tokio::io::AsyncWriteExt as _;

/// One shell, with the programs it finds.
#[derive(Debug, Clone)]
pub(crate) struct LocalShell {
    /// The shell.
    pub(crate) program: PathBuf,
    /// Its `PATH`; `None`: ours.
    pub(crate) path: Option<PathBuf>,
}

impl LocalShell {
    async fn run_here(&self, call: Call) -> Result<Output, TransportError> {
        let length = call.script.len();
        let mut command = tokio::process::Command::new(&self.program);
        command
            .arg("-c")
            .arg(format!("eval \"$(dd bs=1 count={length} 2>/dev/null)\""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = command.spawn().expect("the shell starts");
        let group = child.id().expect("it runs");
        let mut stdin = child.stdin.take().expect("piped");
        let feed = async move {
            // A script that ends early closes its standard input: that is its business.
            if stdin.write_all(call.script.as_bytes()).await.is_ok()
                && let Payload::File { path, .. } = call.payload
            {
                let mut file = tokio::fs::File::open(path).await.expect("payload");
                tokio::io::copy(&mut file, &mut stdin).await.ok();
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let Ok(output) = tokio::time::timeout(call.limit, both).await else {
            std::process::Command::new("kill")
                .args(["-TERM", "--", &format!("-{group}")])
                .status()
                .expect("kill");
            return Err(TransportError::Timeout {
                purpose: call.purpose.to_owned(),
                limit: call.limit,
            });
        };
        let output = output.expect("output");
        if let Some(signal) = output.status.signal() {
            return Err(TransportError::Killed {
                purpose: call.purpose.to_owned(),
                signal: signal.to_string(),
            });
        }
        Ok(Output {
            code: u32::try_from(output.status.code().unwrap_or(255)).unwrap(),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    fn no_forwarding(target: String) -> TransportError {
        TransportError::Forward {
            target,
            reason: "this is a shell only".to_owned(),
            prohibited: true,
        }
    }
}

impl Transport for LocalShell {
    fn describe(&self) -> String {
        self.program.display().to_string()
    }

    fn r#become(&self) -> Become {
        Become::None
    }

    fn run(&self, call: Call) -> BoxFuture<'_, Result<Output, TransportError>> {
        self.run_here(call).boxed()
    }

    fn open_tcp<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        futures::future::ready(Err(Self::no_forwarding(format!("{address}:{port}")))).boxed()
    }

    fn open_unix<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<BoxStream, TransportError>> {
        futures::future::ready(Err(Self::no_forwarding(path.to_owned()))).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        futures::future::ready(()).boxed()
    }
}
