//! The built `rollgate`, run on a lab as its users run it, and what it said.

use std::fs;
use std::io::{self, BufRead, BufReader, Lines};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::lab::document::Document;
use super::lab::fleet::{Engine, Kind};
use super::lab::{Finished, Lab, Options, run, signal};
use super::load::Load;

/// No command of a test takes longer.
const LIMIT: Duration = Duration::from_secs(60);

static RUNS: AtomicU32 = AtomicU32::new(0);

/// A `rollgate` that runs, and whose further events can be read.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Sends it a signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Stops reading what it says, for good, and waits for its exit code.
    pub(crate) fn close_and_wait(mut self) -> i32 {
        let nobody = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        let mut nobody = nobody;
        let empty = nobody.stdout.take().unwrap();
        drop(std::mem::replace(
            &mut self.lines,
            BufReader::new(empty).lines(),
        ));
        nobody.wait().unwrap();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Waits for its end: its exit code (-1 when a signal ended it), and the events that were still to come.
    pub(crate) fn wait(mut self) -> (i32, Vec<Value>) {
        let mut events = Vec::new();
        while let Some(Ok(line)) = self.lines.next() {
            events.extend(serde_json::from_str(&line));
        }
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), events)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A lab in a folder of its own that goes with it.
pub(crate) struct TestLab {
    // Dropped in this order: nothing runs any more when the folder goes.
    lab: Lab,
    _dir: TempDir,
}

impl Deref for TestLab {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        &self.lab
    }
}

/// What a run of `rollgate` said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// How long it took.
    pub(crate) took: Duration,
    /// Its stdout.
    pub(crate) stdout: String,
    /// Its stderr.
    pub(crate) stderr: String,
}

impl TestLab {
    /// Hosts that serve 1.0 behind one balancer; release 2.0 is there to be deployed.
    pub(crate) fn start(hosts: usize) -> Self {
        Self::with_balancers(hosts, 1)
    }

    /// The same behind several.
    pub(crate) fn with_balancers(hosts: usize, balancers: usize) -> Self {
        let (dir, options) = options(hosts, balancers);
        let lab = Lab::start(options).unwrap();
        lab.make("2.0", &[]).unwrap();
        Self { lab, _dir: dir }
    }

    /// The same on hosts with systemd, as `deploy` and with sudo; `None`, with a printed reason, where there can be none.
    pub(crate) fn on_hosts(kind: Kind, hosts: usize) -> Option<Self> {
        let engine = match Engine::up() {
            Ok(engine) => engine,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return None;
            }
        };
        let (dir, options) = options(hosts, 1);
        let lab = Lab::on_hosts(options, &engine, kind).unwrap();
        lab.make("2.0", &[]).unwrap();
        Some(Self { lab, _dir: dir })
    }

    /// The lab, to change it.
    pub(crate) fn lab_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }

    /// Load through the first balancer.
    pub(crate) fn load(&self) -> Load {
        self.load_with(&[])
    }

    /// The same with further arguments of the load generator.
    pub(crate) fn load_with(&self, more: &[&str]) -> Load {
        Load::start(&example("load"), self.balancers[0].front, self.dir(), more).unwrap()
    }

    /// The same through another address.
    pub(crate) fn load_at(&self, front: std::net::SocketAddr) -> Load {
        self.load_at_with(front, &[])
    }

    /// The same with further arguments of the load generator.
    pub(crate) fn load_at_with(&self, front: std::net::SocketAddr, more: &[&str]) -> Load {
        Load::start(&example("load"), front, self.dir(), more).unwrap()
    }

    /// `rollgate deploy` of that playbook, with JSON events.
    pub(crate) fn deploy(&self, playbook: &Document, version: &str) -> Said {
        self.deploy_with(playbook, version, &[])
    }

    /// The same with further arguments.
    pub(crate) fn deploy_with(&self, playbook: &Document, version: &str, more: &[&str]) -> Said {
        self.on_playbook("deploy", playbook, version, more)
    }

    /// `rollgate plan` of that playbook, with its JSON document.
    pub(crate) fn plan(&self, playbook: &Document, version: &str) -> Said {
        self.on_playbook("plan", playbook, version, &[])
    }

    fn on_playbook(
        &self,
        command: &str,
        playbook: &Document,
        version: &str,
        more: &[&str],
    ) -> Said {
        let file = self.playbook_file(playbook);
        let mut arguments = vec![command, &file, "--version", version, "--output", "json"];
        arguments.extend(more);
        self.rollgate(&arguments)
    }

    /// `rollgate` with those arguments and the lab's inventory.
    pub(crate) fn rollgate(&self, arguments: &[&str]) -> Said {
        self.rollgate_from("state", arguments)
    }

    /// The same with another state folder, as on another machine.
    pub(crate) fn rollgate_from(&self, state: &str, arguments: &[&str]) -> Said {
        self.finish(&mut self.command(state, arguments))
    }

    /// Runs such a command to its end.
    pub(crate) fn finish(&self, command: &mut Command) -> Said {
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let outputs = self.dir().join(format!("logs/run-{number}"));
        Said::from(run(command, &outputs, LIMIT).unwrap())
    }

    /// Starts a deploy of the playbook in `test.toml`, and reads its events until `enough` says so (given how many came, and the last
    /// one). `None` when it ended before that.
    pub(crate) fn deploy_until(
        &self,
        playbook: &Document,
        version: &str,
        enough: impl FnMut(usize, &Value) -> bool,
    ) -> Option<Running> {
        let file = self.playbook_file(playbook);
        let arguments = ["deploy", &file, "--version", version, "--output", "json"];
        self.read_until(&arguments, enough)
    }

    /// The same with any arguments.
    pub(crate) fn read_until(
        &self,
        arguments: &[&str],
        mut enough: impl FnMut(usize, &Value) -> bool,
    ) -> Option<Running> {
        let mut child = self
            .command("state", arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut count = 0;
        while let Some(Ok(line)) = lines.next() {
            count += 1;
            if enough(count, &serde_json::from_str(&line).unwrap()) {
                return Some(Running { child, lines });
            }
        }
        child.wait().unwrap();
        None
    }

    /// Writes the playbook and tells where it lies.
    pub(crate) fn playbook_file(&self, playbook: &Document) -> String {
        let file = self.dir().join("test.toml");
        fs::write(&file, playbook.to_string()).unwrap();
        file.display().to_string()
    }

    /// `rollgate` with those arguments and the lab's inventory, not started yet.
    pub(crate) fn command(&self, state: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollgate"));
        command
            .args(arguments)
            .arg("-i")
            .arg(self.inventory_path())
            .current_dir(self.dir())
            .env("HOME", self.dir().join("home"))
            .env("XDG_STATE_HOME", self.dir().join(state))
            .env("NO_COLOR", "1");
        for name in [
            "SSH_AUTH_SOCK",
            "ROLLGATE_INVENTORY",
            "GITHUB_ACTIONS",
            "GITLAB_CI",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Writes another inventory in place of the lab's own.
    pub(crate) fn write_inventory(&self, inventory: &Document) {
        fs::write(self.inventory_path(), inventory.to_string()).unwrap();
    }

    /// Asserts that every host serves `version` and is in traffic in every balancer.
    #[track_caller]
    pub(crate) fn assert_all_on(&self, version: &str, said: &Said) {
        assert_eq!(
            self.versions(),
            vec![version; self.hosts.len()],
            "what the hosts serve; {said}"
        );
        assert_eq!(
            self.out_of_traffic().unwrap(),
            Vec::<String>::new(),
            "out of traffic; {said}"
        );
        self.assert_no_locks(said);
    }

    /// Asserts that no host holds a lock of a run that has ended.
    #[track_caller]
    pub(crate) fn assert_no_locks(&self, said: &Said) {
        for host in &self.hosts {
            let records = Lab::records(host);
            let is_held = records.iter().any(|name| name == "lock")
                && fs::read_dir(host.home.join("srv/.rollgate/lock"))
                    .is_ok_and(|mut entries| entries.next().is_some());
            assert!(!is_held, "{} holds a lock: {records:?}; {said}", host.name);
        }
    }

    /// Asserts that nothing was touched: nothing drained, swapped, staged or left behind.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, said: &Said) {
        self.assert_all_on(super::lab::FIRST, said);
        for host in &self.hosts {
            assert_eq!(
                Lab::releases(host),
                ["20260101120000"],
                "releases on {}; {said}",
                host.name
            );
        }
    }
}

impl From<Finished> for Said {
    fn from(done: Finished) -> Self {
        Self {
            code: done.status.code().unwrap_or(-1),
            took: done.took,
            stdout: done.stdout,
            stderr: done.stderr,
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.took, self.stdout, self.stderr
        )
    }
}

impl Said {
    /// Asserts the exit code; all that was said is in the message.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// The events of `--output json`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| match serde_json::from_str(line) {
                Ok(event) => event,
                Err(error) => panic!("{error} in {line:?}; {self}"),
            })
            .collect()
    }

    /// The one document of `plan --output json`.
    #[track_caller]
    pub(crate) fn document(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(error) => panic!("{error}; {self}"),
        }
    }

    /// The events of that name.
    #[track_caller]
    pub(crate) fn named(&self, name: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == name);
        events
    }

    /// `rollout.finished`, which must be the last event.
    #[track_caller]
    pub(crate) fn finished(&self) -> Value {
        match self.events().pop() {
            Some(last) if last["event"] == "rollout.finished" => last,
            _ => panic!("rollout.finished is not the last event; {self}"),
        }
    }
}

fn options(hosts: usize, balancers: usize) -> (TempDir, Options) {
    let dir = tempfile::Builder::new()
        .prefix("rollgate-lab-")
        .tempdir()
        .unwrap();
    let options = Options {
        dir: dir.path().to_owned(),
        app: example("app"),
        hosts,
        balancers,
        warmup_ms: 100,
        size_mb: 0,
    };
    (dir, options)
}

/// A built example: beside the built `rollgate`, where cargo puts it; built now, where only the tests were built.
fn example(name: &str) -> PathBuf {
    let rollgate = Path::new(env!("CARGO_BIN_EXE_rollgate"));
    let program = rollgate.with_file_name("examples").join(name);
    if !program.exists() {
        build(name).unwrap();
    }
    program
}

fn build(name: &str) -> io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["build", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if done.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "cargo build --example {name}: {done}"
    )))
}
