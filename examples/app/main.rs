//! The example application: the small HTTP server that the demonstration, the tests and the benchmark deploy.
//!
//! An artifact is this program with one line appended, which says its version and how it behaves (see [`trailer`]), so that two
//! releases differ in their bytes like real ones do. `app make` writes such an artifact, `<artifact> serve` runs it.
//!
//! It is what an application should be for rolling deploys: it answers 503 until it is warm, names its version in every answer,
//! and on SIGTERM closes its listener, ends the requests that it has, and exits. Its misbehaviours are asked for by name.

mod serve;
mod state;
mod trailer;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use trailer::{Behaviour, Trailer};

/// A small HTTP server to deploy.
#[derive(Parser)]
#[command(name = "app")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP/1.1 until SIGTERM.
    Serve {
        /// Where to listen; loopback, or a private network's address.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Write an artifact: this program with its version and behaviour appended.
    Make {
        /// The file to write, mode 0755.
        out: PathBuf,
        /// The version that it is.
        #[arg(long)]
        version: String,
        /// How it behaves.
        #[arg(long, value_enum, default_value = "good")]
        behaviour: Behaviour,
        /// For `liar`: the version that it claims to be.
        #[arg(long, default_value = "0.0")]
        claims: String,
        /// How long it answers 503 after its start, in milliseconds.
        #[arg(long, default_value_t = 0)]
        warmup_ms: u64,
        /// For `flap`: how long it is ready, and then is not for as long again, in milliseconds.
        #[arg(long, default_value_t = 500)]
        flap_ms: u64,
        /// Filled up with noise that does not compress, until the file has this many MB.
        #[arg(long, default_value_t = 0)]
        size_mb: u64,
    },
}

/// Whether nobody from elsewhere reaches that address.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

#[expect(clippy::print_stderr, reason = "a program's last word to its log")]
fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("app: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Serve { listen } => {
            if !is_local(listen.ip()) {
                return Err(
                    format!("{listen} is neither of loopback nor of a private network").into(),
                );
            }
            let trailer = Trailer::of_this_program()?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(serve::serve(listen, trailer))
        }
        Command::Make {
            out,
            version,
            behaviour,
            claims,
            warmup_ms,
            flap_ms,
            size_mb,
        } => {
            let trailer = Trailer {
                version,
                behaviour,
                claims,
                warmup_ms,
                flap_ms,
            };
            Ok(trailer.write_artifact(&out, size_mb)?)
        }
    }
}
