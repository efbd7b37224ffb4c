//! The command line: arguments in, an exit code out. The only room that knows all the others.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done, or nothing to do |
//! | 1 | not every host runs the release, and none needs a person |
//! | 2 | usage or configuration, found in the files alone; nothing was contacted |
//! | 3 | some host needs a person |
//! | 4 | a lock, or an unfinished rollout, is in the way |
//! | 5 | a look or staging failed; nothing was drained, swapped or restarted |
//! | 6 | the deadline passed; the state is that of 1 |
//! | 130 | interrupted; the state is safe |
//!
//! * [`args`]: what can be typed. * [`deploy`], [`take_up`] (`resume`, `abort`), [`undo`], [`show`] (`plan`, `check`), [`looking`] (`status`,
//!   `history`), [`locking`] (`lock`, `unlock`), [`mod@maintain`] (`drain`, `enable`): the commands. * [`wiring`]: the only place that turns checked
//!   configuration into drivers and sinks. * [`machine`], [`local`], [`people`], [`signals`]: this machine, as the engine sees it.

pub mod args;
mod artifact;
mod ask;
mod containers;
mod deploy;
mod differences;
mod image;
mod local;
mod locking;
mod looking;
mod machine;
mod maintain;
mod people;
mod relay;
mod show;
mod signals;
mod take_up;
mod terminal;
mod undo;
mod wiring;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::engine::ByHand;
use crate::model::ExitStatus;

/// Runs one command and returns the code to end with.
pub async fn run(typed: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let cli = match args::Cli::try_parse_from(typed) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let terminal = match terminal::Terminal::new(&cli.common) {
        Ok(terminal) => terminal,
        Err(reason) => {
            // Standard error may be closed; the exit code says it all the same.
            drop(writeln!(std::io::stderr(), "error: {reason}"));
            return ExitCode::from(ExitStatus::Usage.code());
        }
    };
    let status = match &cli.command {
        args::Verb::Deploy(deploy) if deploy.dry_run => {
            show::dry_run(&cli.common, deploy, &terminal).await
        }
        args::Verb::Deploy(deploy) => deploy::run(&cli.common, deploy, &terminal).await,
        args::Verb::Plan(plan) => show::plan(&cli.common, plan, &terminal).await,
        args::Verb::Check(check) => show::check(&cli.common, check, &terminal).await,
        args::Verb::Status(status) => looking::status(&cli.common, status, &terminal).await,
        args::Verb::History(history) => looking::history(&cli.common, history, &terminal).await,
        args::Verb::Drain(drain) => {
            maintain::run(&cli.common, (drain, ByHand::Drain), &terminal).await
        }
        args::Verb::Enable(enable) => {
            maintain::run(&cli.common, (enable, ByHand::Enable), &terminal).await
        }
        args::Verb::Undo(undo) => undo::run(&cli.common, undo, &terminal).await,
        args::Verb::Lock(lock) => locking::lock(&cli.common, lock, &terminal).await,
        args::Verb::Unlock(unlock) => locking::unlock(&cli.common, unlock, &terminal).await,
        args::Verb::Resume(resume) => take_up::resume(&cli.common, resume, &terminal).await,
        args::Verb::Abort(abort) => take_up::abort(&cli.common, abort, &terminal).await,
    };
    ExitCode::from(status.code())
}

fn usage(error: &clap::Error) -> ExitCode {
    // `--help` and `--version` come as errors too; they are answers, on standard output. A closed pager is no reason to fail.
    drop(error.print());
    ExitCode::from(if error.use_stderr() {
        ExitStatus::Usage.code()
    } else {
        ExitStatus::Done.code()
    })
}
