//! The end of a lab, also when its process is killed.
//!
//! Applications that were started over SSH are nobody's children, so a shell waits on a pipe from this process. When the pipe
//! closes, because the lab was dropped or because this process is gone, it ends all that belongs to the lab.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// The variable by which processes of a lab are known; its value is the lab's folder.
pub(crate) const MARK: &str = "ROLLGATE_LAB";

const SCRIPT: &str = include_str!("reap.sh");

/// The waiting shell.
pub(crate) struct Reaper {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Reaper {
    /// Starts it, for the lab in `dir`. It stands in a process group of its own, so that Ctrl-C does not reach it.
    pub(crate) fn start(dir: &Path) -> io::Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "reap"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Ends this process too, when the time comes.
    pub(crate) fn watch(&mut self, pid: u32) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{pid}"),
            None => Ok(()),
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.pipe = None;
        drop(self.shell.wait());
    }
}
