//! The loopback lab by itself, for `demo.sh` and for people: real `sshd`s, real HAProxy, the example application.
//!
//! `lab DIR --hosts 6` builds it in DIR, makes the releases 2.0, 3.0-bad and 4.0, writes `DIR/lab.env` with what a shell script needs
//! to know, and stays in the foreground until SIGINT, SIGTERM or SIGHUP. Then everything is ended, and DIR stays for its owner to remove.

#[path = "../../tests/support/lab/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests use the rest of this module"
)]
mod lab;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use lab::{Lab, Options};

/// A fleet on loopback: sshd, HAProxy and an application to deploy.
#[derive(Parser)]
#[command(name = "lab")]
struct Args {
    /// Where everything lies; made when missing.
    dir: PathBuf,
    /// Hosts.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    hosts: u16,
    /// Balancers in front of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4))]
    balancers: u16,
    /// How long a started application answers 503, in milliseconds.
    #[arg(long, default_value_t = 300)]
    warmup_ms: u64,
    /// The least size of an artifact, in MB.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=500))]
    size_mb: u64,
}

#[expect(clippy::print_stderr, reason = "a program's last word to its user")]
fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before the first process is started, so that no signal finds the lab unguarded.
    let stop = {
        let _guard = runtime.enter();
        [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ]
    };
    fs::create_dir_all(&args.dir)?;
    let lab = Lab::start(Options {
        dir: args.dir.canonicalize()?,
        app: app()?,
        hosts: args.hosts.into(),
        balancers: args.balancers.into(),
        warmup_ms: args.warmup_ms,
        size_mb: args.size_mb,
    })?;
    lab.make("2.0", &["--behaviour", "good"])?;
    lab.make("3.0-bad", &["--behaviour", "not-ready"])?;
    lab.make("4.0", &["--behaviour", "good"])?;
    lab.write_env()?;
    let [mut term, mut int, mut hup] = stop;
    runtime.block_on(async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {}
        }
    });
    Ok(())
}

/// The `app` example, built beside this one.
fn app() -> io::Result<PathBuf> {
    let app = std::env::current_exe()?.with_file_name("app");
    if app.exists() {
        return Ok(app);
    }
    Err(io::Error::other(format!(
        "{} is missing; run `cargo build --examples`",
        app.display()
    )))
}
