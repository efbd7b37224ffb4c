//! The load generator: keep-alive clients that notice every request that is lost.
//!
//! It sends GETs, POSTs and slow requests through a balancer, looks for the end of an idle connection before it uses it again (as
//! HTTP libraries do), and counts apart what can go wrong, since only some of it can be a deploy's fault. It ends after `--for`, or on
//! SIGINT or SIGTERM, and prints a JSON summary on stdout and a line for people on stderr. Only loopback is a target.

mod client;
mod tally;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use client::Client;
use tally::Tally;

/// Sends requests and counts what becomes of them.
#[derive(Parser)]
#[command(name = "load")]
struct Args {
    /// The balancer's address; loopback only.
    target: SocketAddr,
    /// Keep-alive clients at a time.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Requests a second, of all clients together.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// Of 100 requests, this many are POSTs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100))]
    posts: u32,
    /// Of 100 requests, this many are slow.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    slow: u32,
    /// How long a slow request takes, in milliseconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slow_ms: u32,
    /// Seconds until it ends by itself; ten minutes at most.
    #[arg(long = "for", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Also tells on stderr which versions answered when.
    #[arg(long)]
    timeline: bool,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("load: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    if !args.target.ip().is_loopback() {
        return Err(format!("{} is not a loopback address", args.target).into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let wants_timeline = args.timeline;
    let tally = runtime.block_on(generate(Arc::new(args)))?;
    if wants_timeline {
        complain(&tally.timeline());
    }
    complain(&tally.line());
    print(&serde_json::to_string(&tally.summary())?);
    Ok(())
}

async fn generate(args: Arc<Args>) -> Result<Tally, Box<dyn std::error::Error>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    let tally = Arc::new(Mutex::new(Tally::new(Instant::now())));
    let mut clients = JoinSet::new();
    for number in 0..args.clients {
        clients.spawn(send(
            number,
            Arc::clone(&args),
            Arc::clone(&tally),
            stopped.clone(),
        ));
    }
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = sleep(Duration::from_secs(args.seconds)) => {}
    }
    stop.send(true)?;
    // Requests in flight end and are counted; each has its own limit.
    while clients.join_next().await.is_some() {}
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.end();
    Ok(tally.clone())
}

/// One client: a request each time its turn comes, until it is stopped.
async fn send(
    number: u32,
    args: Arc<Args>,
    tally: Arc<Mutex<Tally>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut client = Client::new(args.target);
    let turn = Duration::from_secs(1) * args.clients / args.rate;
    let first = Instant::now() + turn * number / args.clients;
    let mut turns = interval_at(first, turn);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Strides that are prime to 100 spread the kinds of requests evenly.
    for count in number.wrapping_mul(37).. {
        tokio::select! {
            biased;
            _ = stopped.changed() => return,
            _ = turns.tick() => {}
        }
        let is_post = (count * 61) % 100 < args.posts;
        let is_slow = (count * 29 + 13) % 100 < args.slow;
        let request = client::request(args.target, is_post, is_slow.then_some(args.slow_ms));
        let began = Instant::now();
        let end = client.ask(&request).await;
        tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(began, Instant::now(), end);
    }
}

#[expect(clippy::print_stderr, reason = "the line for people")]
fn complain(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "the result of the program")]
fn print(line: &str) {
    println!("{line}");
}
