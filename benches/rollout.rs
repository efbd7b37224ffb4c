//! How long a rollout takes, beside a tuned shell script that does the same work: `cargo bench`.
//!
//! A 20 MB artifact, an application that warms up in 300 ms, load through HAProxy; 8 hosts in batches of 2, and 24 in batches of 6. Both
//! take turns, each run on a fresh lab. It reports and judges nothing: the machine's other work would be judged too.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the results are for people"
)]

#[path = "../tests/support/lab/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests use the rest of this module"
)]
mod lab;
#[path = "../tests/support/load.rs"]
mod load;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, Options, pause};
use load::Load;
use serde_json::Value;

const ROUNDS: usize = 3;
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// A run that takes longer is killed.
const LIMIT: Duration = Duration::from_secs(120);

/// What one run cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    /// CPU of the client and all that it started.
    cpu: f64,
    /// The most memory of the client and all that it started at a time, shared pages counted once; in MB.
    memory: f64,
    failed: u64,
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        eprintln!("skipped: the benchmark runs under `cargo bench` only");
        return ExitCode::SUCCESS;
    }
    match compare(8, 2).and_then(|()| compare(24, 6)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(hosts: usize, batch: usize) -> io::Result<()> {
    let examples = build_examples()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(measure(hosts, batch, &examples, rollgate)?);
        theirs.push(measure(hosts, batch, &examples, script)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("{hosts} hosts in batches of {batch}, median of {ROUNDS}:");
    for (name, cost) in [("rollgate", ours), ("script", theirs)] {
        println!(
            "  {name:<9} {:6.2} s  {:5.2} s CPU  {:5.0} MB  {} failed requests",
            cost.seconds, cost.cpu, cost.memory, cost.failed
        );
    }
    println!("  rollgate / script: {:.2}", ours.seconds / theirs.seconds);
    Ok(())
}

fn rollgate(lab: &Lab, _batch: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollgate"));
    command
        .args(["deploy", "playbook.toml", "--version", "2.0"])
        .args(["-i", "inventory.toml", "--output", "json"])
        .current_dir(lab.dir())
        .env("HOME", lab.dir().join("home"))
        .env("XDG_STATE_HOME", lab.dir().join("state"));
    command
}

fn script(lab: &Lab, batch: usize) -> Command {
    let mut command = Command::new(Path::new(ROOT).join("benches/script.sh"));
    command.arg(lab.dir()).arg("2.0").arg(batch.to_string());
    command
}

/// Runs one of them on a fresh lab under load.
fn measure(
    hosts: usize,
    batch: usize,
    examples: &Path,
    tool: fn(&Lab, usize) -> Command,
) -> io::Result<Cost> {
    let dir = tempfile::Builder::new()
        .prefix("rollgate-bench-")
        .tempdir_in("/tmp")?;
    let lab = Lab::start(Options {
        dir: dir.path().to_owned(),
        app: examples.join("app"),
        hosts,
        balancers: 1,
        warmup_ms: 300,
        size_mb: 20,
    })?;
    lab.make("2.0", &[])?;
    lab.write_env()?;
    let playbook = lab
        .playbook()
        .set("strategy", "batch", batch.to_string())
        .set("strategy", "max_unavailable", batch.to_string())
        .set("strategy", "soak", "\"0s\"")
        .set("ready", "deadline", "\"20s\"");
    fs::write(lab.dir().join("playbook.toml"), playbook.to_string())?;
    let load = Load::start(&examples.join("load"), front(&lab)?, lab.dir(), &[])?;
    let mut cost = run(&mut tool(&lab, batch), &lab.dir().join("logs/tool"))?;
    let summary = load.stop()?;
    cost.failed = summary
        .get("failed")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX);
    let versions = lab.versions();
    if versions.iter().all(|version| version == "2.0") && lab.out_of_traffic()?.is_empty() {
        return Ok(cost);
    }
    Err(io::Error::other(format!("the fleet serves {versions:?}")))
}

fn front(lab: &Lab) -> io::Result<std::net::SocketAddr> {
    let first = lab.balancers.first();
    first
        .map(|balancer| balancer.front)
        .ok_or_else(|| io::Error::other("the lab has no balancer"))
}

fn run(command: &mut Command, outputs: &Path) -> io::Result<Cost> {
    let stderr = outputs.with_extension("err");
    let cpu_before = cpu_of_children()?;
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(fs::File::create(outputs.with_extension("out"))?)
        .stderr(fs::File::create(&stderr)?)
        .spawn()?;
    let mut memory: f64 = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > LIMIT {
            child.kill()?;
        }
        memory = memory.max(memory_of_tree(child.id()));
        pause(Duration::from_millis(20));
    };
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        let said = fs::read_to_string(stderr)?;
        return Err(io::Error::other(format!("{command:?}: {status}\n{said}")));
    }
    Ok(Cost {
        seconds,
        cpu: cpu_of_children()? - cpu_before,
        memory,
        failed: 0,
    })
}

/// Seconds of CPU of all children that this process has waited for, and theirs. Source: proc(5), fields 16 and 17 of `stat`.
fn cpu_of_children() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
    let ticks: f64 = fields
        .split(' ')
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / 100.0)
}

/// MB of a process and its descendants, shared pages counted in proportion.
fn memory_of_tree(pid: u32) -> f64 {
    let own = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let own: f64 = own
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0.0);
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below: f64 = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .map(memory_of_tree)
        .sum();
    own / 1000.0 + below
}

fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut middle = costs.get(costs.len() / 2).copied().unwrap_or_default();
    // A lost request counts wherever it was lost.
    middle.failed = costs.iter().map(|cost| cost.failed).sum();
    middle
}

/// The optimised examples: where they lie.
fn build_examples() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--example",
            "app",
            "--example",
            "load",
        ])
        .current_dir(ROOT)
        .status()?;
    if !done.success() {
        return Err(io::Error::other(format!("cargo build: {done}")));
    }
    let examples = Path::new(env!("CARGO_BIN_EXE_rollgate")).with_file_name("examples");
    Ok(examples)
}
