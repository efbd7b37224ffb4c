//! Load through a balancer, in the background of a test.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::lab::{finish, pause, signal};

/// A running load generator.
pub(crate) struct Load {
    child: Option<Child>,
    outputs: PathBuf,
}

impl Load {
    /// Starts the `load` example at `program`; its outputs lie in `dir`. It ends by itself after two minutes.
    pub(crate) fn start(
        program: &Path,
        target: SocketAddr,
        dir: &Path,
        more: &[&str],
    ) -> io::Result<Self> {
        let outputs = dir.join("logs/load");
        let child = Command::new(program)
            .arg(target.to_string())
            .args(["--for", "120"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(File::create(outputs.with_extension("out"))?)
            .stderr(File::create(outputs.with_extension("err"))?)
            .spawn()?;
        // Every client is to have a connection before anything is done to the fleet.
        pause(Duration::from_millis(300));
        Ok(Self {
            child: Some(child),
            outputs,
        })
    }

    /// Ends it; its summary.
    ///
    /// # Errors
    /// It did not end within 20 s, or printed no summary.
    pub(crate) fn stop(mut self) -> io::Result<Value> {
        let child = self
            .child
            .take()
            .ok_or_else(|| io::Error::other("the load was stopped before"))?;
        signal(&child, Signal::TERM);
        let done = finish(child, &self.outputs, Duration::from_secs(20))?;
        serde_json::from_str(&done.stdout)
            .map_err(|error| io::Error::other(format!("{error}: {}{}", done.stdout, done.stderr)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
