//! Processes of the lab: run one to its end, keep one in the background, wait for something.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process in the background, ended when it is dropped.
pub(crate) struct Daemon {
    name: String,
    child: Child,
}

impl Daemon {
    /// Starts it, with both outputs in `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> io::Result<Self> {
        let log = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("start {name}: {error}")))?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// What it is called in the lab.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, which: rustix::process::Signal) {
        signal(&self.child, which);
    }

    /// Ends it: TERM, and KILL where that did not help within 2 s.
    pub(crate) fn stop(&mut self) {
        signal(&self.child, rustix::process::Signal::TERM);
        let has_ended = wait_until(Duration::from_secs(2), || {
            matches!(self.child.try_wait(), Ok(Some(_)))
        });
        if !has_ended {
            signal(&self.child, rustix::process::Signal::KILL);
            drop(self.child.wait());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// Sends a signal to a child that was not waited for yet.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        // Fails only when it has ended already, and then there is nothing to do.
        rustix::process::kill_process(pid, signal).ok();
    }
}

/// Kills the children of those processes, and tells how many there were.
pub(crate) fn kill_children(parents: &[u32]) -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut killed = 0;
    for process in processes {
        // Source: proc(5): the parent is the second field behind the name, which stands in brackets.
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| {
            let mut fields = rest.split_whitespace();
            fields.nth(1)?.parse::<u32>().ok()
        });
        let pid = process.file_name().to_string_lossy().parse().ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        if let (Some(parent), Some(pid)) = (parent, pid)
            && parents.contains(&parent)
            && rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
        {
            killed += 1;
        }
    }
    killed
}

/// Runs a program to its end and gives its stdout.
///
/// # Errors
/// It is missing, or does not exit 0; its stderr is in the text.
pub(crate) fn output(command: &mut Command) -> io::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("run {name}: {error}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!(
        "{name}: {}: {}",
        done.status,
        stderr.trim()
    )))
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How.
    pub(crate) status: ExitStatus,
    /// After how long.
    pub(crate) took: Duration,
    /// Its stdout.
    pub(crate) stdout: String,
    /// Its stderr.
    pub(crate) stderr: String,
}

/// Runs a program to its end, `limit` at most, with its outputs kept in files called `outputs` and its own ending.
///
/// # Errors
/// It is missing, or did not end in time (and was killed); its stderr so far is in the text.
pub(crate) fn run(command: &mut Command, outputs: &Path, limit: Duration) -> io::Result<Finished> {
    let (out, err) = (outputs.with_extension("out"), outputs.with_extension("err"));
    let child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()?;
    finish(child, outputs, limit)
}

/// Waits for a program whose outputs go where [`run`] puts them.
///
/// # Errors
/// It did not end in time, and was killed.
pub(crate) fn finish(mut child: Child, outputs: &Path, limit: Duration) -> io::Result<Finished> {
    let began = Instant::now();
    let has_ended = wait_until(limit, || !matches!(child.try_wait(), Ok(None)));
    if !has_ended {
        child.kill()?;
    }
    let status = child.wait()?;
    let took = began.elapsed();
    let read = |ending| {
        std::fs::read(outputs.with_extension(ending))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let (stdout, stderr) = (read("out")?, read("err")?);
    if !has_ended {
        return Err(io::Error::other(format!(
            "killed, since it did not end within {limit:?}\nstdout:\n{stdout}\nstderr:\n{stderr}"
        )));
    }
    Ok(Finished {
        status,
        took,
        stdout,
        stderr,
    })
}

/// Asks until the answer is yes, or `limit` has passed; whether it was yes.
pub(crate) fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        pause(Duration::from_millis(10));
    }
}

/// Waits. The lab is synchronous and runs on the real clock, unlike what it tests.
#[expect(
    clippy::disallowed_methods,
    reason = "the lab waits for foreign processes, in real time"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
