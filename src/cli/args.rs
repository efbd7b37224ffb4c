//! What can be typed. Types only, no behaviour.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Rolls a release over a fleet of hosts, a batch at a time, behind its load balancers; what fails is taken back.
#[derive(Debug, Parser)]
#[command(
    name = "rollgate",
    version,
    max_term_width = 100,
    propagate_version = false
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Verb,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Inventory file; may be given several times, later ones win [default: inventory.toml]
    #[arg(
        short,
        long = "inventory",
        global = true,
        value_name = "FILE",
        env = "ROLLGATE_INVENTORY"
    )]
    pub inventory: Vec<PathBuf>,
    /// How to say what happens [default: human on a terminal, plain elsewhere]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
    /// More about what is done; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// No colours; the variable `NO_COLOR` does the same
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// How results and progress are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For a person at a terminal: live progress
    Human,
    /// For logs: a line for each event
    Plain,
    /// For scripts: one JSON event a line
    Json,
    /// For GitHub's CI (not supported yet)
    Github,
    /// For GitLab's CI (not supported yet)
    Gitlab,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take the fleet to a release
    #[command(disable_version_flag = true)]
    Deploy(Deploy),
    /// Show what `deploy` would do; touches nothing
    #[command(disable_version_flag = true)]
    Plan(Plan),
    /// Look for everything that would be in the way of a rollout; touches nothing
    Check(Check),
    /// Show how every host stands; touches nothing
    Status(Status),
    /// Show the revisions of the fleet; touches nothing
    History(History),
    /// Go on with a rollout that was cut off, from this machine or any other
    Resume(Resume),
    /// Take hosts out of traffic by hand, and wait until nothing is in flight there
    Drain(Maintain),
    /// Put hosts back into traffic by hand, once they are ready
    Enable(Maintain),
    /// Go back to an earlier revision, with the same batches and gates
    Undo(Undo),
    /// Freeze the fleet by hand: nothing changes its hosts until `unlock`
    Lock(Lock),
    /// Break a lock, after showing whose it is
    Unlock(Unlock),
    /// Take back everything that a rollout which was cut off has changed
    Abort(Abort),
}

/// Which service, for commands that ask the hosts the rest.
#[derive(Debug, Clone, Args)]
pub struct Service {
    /// The playbook: what is rolled, and how
    #[arg(value_name = "PLAYBOOK")]
    pub playbook: PathBuf,
    /// A variable for templates, above those of the inventory
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = key_value)]
    pub vars: Vec<(String, String)>,
}

/// `rollgate check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// Only these hosts of the playbook
    #[arg(long, value_name = "SELECTOR")]
    pub limit: Option<String>,
}

/// `rollgate status`.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// Show it again every two seconds, until interrupted
    #[arg(long, conflicts_with = "wait")]
    pub watch: bool,
    /// Wait until no rollout is under way, and end with the last one's exit code
    #[arg(long)]
    pub wait: bool,
    /// For how long to wait; 6 when that passed
    #[arg(long, requires = "wait", value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
}

/// `rollgate history`.
#[derive(Debug, Clone, Args)]
pub struct History {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
}

/// `rollgate drain` and `rollgate enable`.
#[derive(Debug, Clone, Args)]
pub struct Maintain {
    /// Which hosts: names, ranges, globs, groups, label=value, `&` to narrow, `!` to take away
    #[arg(value_name = "SELECTOR")]
    pub hosts: String,
    /// The playbook: which service, behind which balancers
    #[arg(short, long, value_name = "PLAYBOOK")]
    pub playbook: PathBuf,
    /// A variable for templates, above those of the inventory
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = key_value)]
    pub vars: Vec<(String, String)>,
    /// Also when a pool is left without a usable server
    #[arg(long)]
    pub allow_downtime: bool,
    /// Queue behind another run's lock for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub lock_wait: std::time::Duration,
}

/// `rollgate undo`.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag of the command line each, independent of one another"
)]
pub struct Undo {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// To which revision [default: the newest earlier one that ended a rollout well]
    #[arg(long, value_name = "N")]
    pub to_revision: Option<u64>,
    /// Only these hosts of the playbook
    #[arg(long, value_name = "SELECTOR")]
    pub limit: Option<String>,
    /// Show the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also when a pool is left without a usable server
    #[arg(long)]
    pub allow_downtime: bool,
    /// Take over the lock, and what an unfinished rollout left behind
    #[arg(long)]
    pub take_over: bool,
    /// For the whole rollout, instead of `strategy.deadline`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Approve every pause of `pause = "manual"` in advance
    #[arg(long)]
    pub approve: bool,
    /// Queue behind another run's lock for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub lock_wait: std::time::Duration,
}

/// `rollgate lock`.
#[derive(Debug, Clone, Args)]
pub struct Lock {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// Why, for whoever finds the lock
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
    /// Only these hosts of the playbook
    #[arg(long, value_name = "SELECTOR")]
    pub limit: Option<String>,
    /// Queue behind another run's lock for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub lock_wait: std::time::Duration,
}

/// `rollgate unlock`.
#[derive(Debug, Clone, Args)]
pub struct Unlock {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// Only these hosts of the playbook
    #[arg(long, value_name = "SELECTOR")]
    pub limit: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `rollgate resume`.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag of the command line each, independent of one another"
)]
pub struct Resume {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// Also from a process on another machine that may still live
    #[arg(long)]
    pub take_over: bool,
    /// Go on with a playbook that changed since the rollout began
    #[arg(long)]
    pub accept_changes: bool,
    /// The hook that may have run did run: it is not run again
    #[arg(long, conflicts_with = "hook_again")]
    pub hook_done: bool,
    /// The hook that may have run is run again
    #[arg(long)]
    pub hook_again: bool,
    /// For the rest of the rollout, instead of `strategy.deadline`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Approve every pause of `pause = "manual"` in advance
    #[arg(long)]
    pub approve: bool,
    /// Queue behind another run's lock for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub lock_wait: std::time::Duration,
}

/// `rollgate abort`.
#[derive(Debug, Clone, Args)]
pub struct Abort {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// Also from a process on another machine that may still live
    #[arg(long)]
    pub take_over: bool,
    /// Queue behind another run's lock for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub lock_wait: std::time::Duration,
}

/// What says which release, and which hosts.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag of the command line each, independent of one another"
)]
pub struct Subject {
    /// The playbook: what is rolled, and how
    #[arg(value_name = "PLAYBOOK")]
    pub playbook: PathBuf,
    /// The version to roll out
    #[arg(long, value_name = "VERSION")]
    pub version: String,
    /// Only these hosts of the playbook: names, ranges, globs, groups, label=value, `&` to narrow, `!` to take away
    #[arg(long, value_name = "SELECTOR")]
    pub limit: Option<String>,
    /// A variable for templates, above those of the inventory
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = key_value)]
    pub vars: Vec<(String, String)>,
    /// Also hosts that run the release already
    #[arg(long)]
    pub force: bool,
    /// Also a release that was taken back before
    #[arg(long)]
    pub again: bool,
    /// Also when this version is known with another artifact
    #[arg(long)]
    pub replace_artifact: bool,
    /// Also when a pool is left without a usable server
    #[arg(long)]
    pub allow_downtime: bool,
    /// Take over the lock, and what an unfinished rollout left behind
    #[arg(long)]
    pub take_over: bool,
    /// Take over containers of the service's name that rollgate did not start, as what ran before
    #[arg(long)]
    pub adopt: bool,
}

/// `rollgate deploy`.
#[derive(Debug, Clone, Args)]
pub struct Deploy {
    /// Which release and hosts.
    #[command(flatten)]
    pub subject: Subject,
    /// Show the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For the whole rollout, instead of `strategy.deadline`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Approve every pause of `pause = "manual"` in advance
    #[arg(long)]
    pub approve: bool,
    /// Queue behind another run's lock for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub lock_wait: std::time::Duration,
}

/// `rollgate plan`.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Which release and hosts.
    #[command(flatten)]
    pub subject: Subject,
    /// Also show what changes in the files of each host, with secrets masked
    #[arg(long)]
    pub diff: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::parse_duration(text)
}
