//! What depends on the release, kept as checked templates until the engine asks: [`Recipes`] of the model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::check::Text;
use super::check::scope::{RELEASE, ROLLOUT};
use super::command;
use super::container::ContainerRecipe;
use super::diagnostic::Report;
use super::digest::ConfigParts;
use super::overlay::{self, OverlayRecipe};
use super::secrets::Reveal;
use super::template::{self, Context, Fault, Scope};
use super::units::UnitRecipe;
use crate::model::{
    Command, Hook, HookPlace, HookPoint, HostName, Overlay, Recipes, ReleaseRef, Restart, Revision,
    Run, ServiceName, Version,
};

/// What `{{ version }}` is for a release that rollgate found and that never told its version.
const FOUND: &str = "found";

/// A command with its templates.
#[derive(Debug, Clone)]
pub(crate) enum CommandRecipe {
    /// Program and arguments.
    Argv(Vec<Text>),
    /// For `sh -c`.
    Shell(Text),
}

/// How a service is restarted.
#[derive(Debug, Clone)]
pub(crate) enum RestartRecipe {
    /// By systemd.
    Systemd(UnitRecipe),
    /// The user's commands.
    Commands {
        /// Starts it.
        start: Option<CommandRecipe>,
        /// Stops it.
        stop: Option<CommandRecipe>,
        /// Does both.
        restart: Option<CommandRecipe>,
    },
    /// It is a container.
    Container(Box<ContainerRecipe>),
}

/// `[run]`.
#[derive(Debug, Clone)]
pub(crate) struct RunRecipe {
    /// How the service is restarted.
    pub restart: RestartRecipe,
    /// For it to stop.
    pub stop_timeout: Duration,
    /// Prints its last log lines.
    pub logs: Option<CommandRecipe>,
}

/// One of `[[hooks]]`.
#[derive(Debug, Clone)]
pub(crate) struct HookRecipe {
    /// Its place in the playbook, from 1.
    pub number: usize,
    /// When.
    pub at: HookPoint,
    /// Where.
    pub on: HookPlace,
    /// What.
    pub run: CommandRecipe,
    /// For it to end.
    pub timeout: Duration,
    /// Under which commands of rollgate; `None`: all.
    pub commands: Option<Vec<String>>,
}

impl HookRecipe {
    /// Whether it runs for a host, so that templates may name one.
    fn has_host(&self) -> bool {
        self.at.is_of_host() || self.on != HookPlace::Local
    }
}

/// A fault with the text it is in.
pub(crate) type Misplaced<'a> = (&'a Text, Vec<Fault>);

impl CommandRecipe {
    /// Checks what can be told without values.
    pub(crate) fn check(&self, scope: &Scope, report: &mut Report) {
        match self {
            Self::Shell(text) => text.check(scope, report),
            Self::Argv(words) => words.iter().for_each(|word| word.check(scope, report)),
        }
    }

    /// The command with its values.
    ///
    /// # Errors
    /// Everything that is wrong with the first bad text of it.
    pub(crate) fn render(
        &self,
        scope: &Scope,
        context: &Context,
    ) -> Result<Command, Misplaced<'_>> {
        match self {
            Self::Shell(text) => command::render(&text.text, scope, context)
                .map(Command::Shell)
                .map_err(|faults| (text, faults)),
            Self::Argv(words) => {
                let words = words.iter().enumerate();
                let words: Result<Vec<String>, Misplaced<'_>> = words
                    .map(|(index, word)| argument(index, word, scope, context))
                    .collect();
                words.map(Command::Argv)
            }
        }
    }
}

fn argument<'a>(
    index: usize,
    word: &'a Text,
    scope: &Scope,
    context: &Context,
) -> Result<String, Misplaced<'a>> {
    let text = template::render(&word.text, scope, context).map_err(|faults| (word, faults))?;
    let fault = |title: &str, help: &str| {
        let fault = Fault {
            title: title.to_owned(),
            help: help.to_owned(),
            range: None,
        };
        Err((word, vec![fault]))
    };
    if text.contains('\0') {
        return fault(
            "an argument cannot hold a zero byte",
            "take it out of the value",
        );
    }
    if index == 0 && text.is_empty() {
        return fault(
            "the program's name is empty",
            "give the value that stands here a text",
        );
    }
    Ok(text)
}

/// Everything that is rendered late.
#[derive(Debug)]
pub(crate) struct Book {
    /// What is rolled out.
    pub service: ServiceName,
    /// To which version.
    pub version: Version,
    /// For hooks that belong to no host.
    pub global: Context,
    /// Each host's names: host, address, service, root, vars, env.
    pub hosts: BTreeMap<HostName, Context>,
    /// `[run]`.
    pub run: RunRecipe,
    /// What lies in a release besides its artifact.
    pub overlay: OverlayRecipe,
    /// Whether secrets are needed.
    pub reveal: Reveal,
    /// `[[hooks]]`.
    pub hooks: Vec<HookRecipe>,
    /// Where local hooks run: the playbook's folder.
    pub local_dir: PathBuf,
}

impl Book {
    /// Renders everything once for every host with stand-ins for the release, so that nothing fails later.
    pub(crate) fn try_all(&self, report: &mut Report) {
        self.check_names(report);
        let release = self.stand_in();
        for (host, context) in &self.hosts {
            let who = format!(" (for {host})");
            let context = for_release(context, &release);
            if let Err((text, faults)) = render_run(&self.run, &context) {
                text.report_faults(faults, &who, report);
            }
            if let Err((text, faults)) = self.overlay.render(&context, self.reveal) {
                text.report_faults(faults, &who, report);
            }
            for hook in self.hooks.iter().filter(|hook| hook.has_host()) {
                if let Err((text, faults)) = hook.run.render(&RELEASE, &context) {
                    text.report_faults(faults, &who, report);
                }
            }
        }
        for hook in self.hooks.iter().filter(|hook| !hook.has_host()) {
            if let Err((text, faults)) = hook.run.render(&ROLLOUT, &self.global) {
                text.report_faults(faults, "", report);
            }
        }
    }

    /// What can be told without a host: the fleet may be empty because of another mistake.
    fn check_names(&self, report: &mut Report) {
        let mut of_host: Vec<&CommandRecipe> = self.run.logs.iter().collect();
        match &self.run.restart {
            RestartRecipe::Systemd(unit) => unit.check(report),
            RestartRecipe::Container(container) => container.check(report),
            RestartRecipe::Commands {
                start,
                stop,
                restart,
            } => of_host.extend([start, stop, restart].into_iter().flatten()),
        }
        self.overlay.check_names(report);
        for command in of_host {
            command.check(&RELEASE, report);
        }
        for hook in &self.hooks {
            let scope = if hook.has_host() { &RELEASE } else { &ROLLOUT };
            hook.run.check(scope, report);
        }
    }

    /// What the playbook makes the process get on a host besides its artifact, rendered with a number and a folder that are the same
    /// for every release: a host does not look changed because a number would (F3). `None` where a template fails, which
    /// [`Book::try_all`] has told.
    pub(crate) fn config_parts(&self, host: &HostName) -> Option<ConfigParts> {
        let mut parts = ConfigParts::default();
        let release = self.stand_in();
        let context = self.context(host, &release).ok()?;
        match render_run(&self.run, &context).ok()?.restart {
            Restart::Systemd(unit) => parts.add_unit(&unit),
            Restart::Container(container) => parts.add_container(&container),
            Restart::Commands { .. } => {}
        }
        let overlay = self.overlay.render(&context, self.reveal).ok()?;
        overlay::add_parts(&overlay, &mut parts);
        Some(parts)
    }

    fn stand_in(&self) -> ReleaseRef {
        ReleaseRef {
            revision: Revision(1),
            version: Some(self.version.clone()),
            dir: "/opt/releases/1".to_owned(),
        }
    }

    fn context(&self, host: &HostName, release: &ReleaseRef) -> Result<Context, String> {
        let context = self
            .hosts
            .get(host)
            .ok_or_else(|| format!("{host} is not a host of this playbook"))?;
        Ok(for_release(context, release))
    }

    fn files(
        &self,
        host: &HostName,
        release: &ReleaseRef,
        reveal: Reveal,
    ) -> Result<Overlay, String> {
        let context = self.context(host, release)?;
        let overlay = self.overlay.render(&context, reveal);
        overlay.map_err(|fault| format!("[[release.files]]: {}", in_words(fault)))
    }

    fn env(
        &self,
        host: Option<(&HostName, &ReleaseRef)>,
        facts: &[(&str, String)],
    ) -> Vec<(String, String)> {
        let version = host.map_or(self.version.as_str(), |(_, release)| version_of(release));
        let mut env = vec![
            ("SERVICE", self.service.to_string()),
            ("VERSION", version.to_owned()),
        ];
        if let Some((host, release)) = host {
            env.push(("REVISION", release.revision.to_string()));
            env.push(("HOST", host.to_string()));
        }
        // The caller knows better: what it says replaces what is said here.
        env.retain(|(name, _)| facts.iter().all(|(fact, _)| fact != name));
        env.extend(facts.iter().map(|(name, value)| (*name, value.clone())));
        env.into_iter()
            .map(|(name, value)| (format!("ROLLGATE_{name}"), value))
            .collect()
    }
}

fn version_of(release: &ReleaseRef) -> &str {
    release.version.as_ref().map_or(FOUND, Version::as_str)
}

fn for_release(context: &Context, release: &ReleaseRef) -> Context {
    context
        .clone()
        .with("version", version_of(release))
        .with("revision", release.revision.0)
        .with("release_dir", release.dir.as_str())
}

fn render_run<'a>(recipe: &'a RunRecipe, context: &Context) -> Result<Run, Misplaced<'a>> {
    let optional = |command: &'a Option<CommandRecipe>| {
        command
            .as_ref()
            .map(|command| command.render(&RELEASE, context))
            .transpose()
    };
    let restart = match &recipe.restart {
        RestartRecipe::Systemd(unit) => Restart::Systemd(unit.render(context)?),
        RestartRecipe::Container(container) => {
            Restart::Container(Box::new(container.render(context)?))
        }
        RestartRecipe::Commands {
            start,
            stop,
            restart,
        } => Restart::Commands {
            start: optional(start)?,
            stop: optional(stop)?,
            restart: optional(restart)?,
        },
    };
    Ok(Run {
        restart,
        stop_timeout: recipe.stop_timeout,
        logs: optional(&recipe.logs)?,
    })
}

fn in_words((_, faults): Misplaced<'_>) -> String {
    let faults: Vec<String> = faults.into_iter().map(|fault| fault.title).collect();
    faults.join("; ")
}

impl Recipes for Book {
    fn run(&self, host: &HostName, release: &ReleaseRef) -> Result<Run, String> {
        render_run(&self.run, &self.context(host, release)?)
            .map_err(|fault| format!("how the service is run: {}", in_words(fault)))
    }

    fn overlay(&self, host: &HostName, release: &ReleaseRef) -> Result<Overlay, String> {
        self.files(host, release, self.reveal)
    }

    fn masked_overlay(&self, host: &HostName, release: &ReleaseRef) -> Result<Overlay, String> {
        self.files(host, release, Reveal::Masked)
    }

    /// At points of a rollout or batch, `None` gives the hooks on `local`, and a host those on `host` and `once`. A fact
    /// `COMMAND` (taken to be `deploy` where absent) leaves out hooks that are limited to other commands.
    fn hooks(
        &self,
        at: HookPoint,
        host: Option<(&HostName, &ReleaseRef)>,
        facts: &[(&str, String)],
    ) -> Result<Vec<Hook>, String> {
        let command = facts.iter().find(|(name, _)| *name == "COMMAND");
        let command = command.map_or("deploy", |(_, command)| command.as_str());
        let (scope, context) = match host {
            Some((host, release)) => (&RELEASE, self.context(host, release)?),
            None if at.is_of_host() => return Err(format!("{} belongs to a host", at.as_str())),
            None => (&ROLLOUT, self.global.clone()),
        };
        let due = self.hooks.iter().filter(|hook| {
            let limited = hook.commands.as_ref();
            hook.at == at
                && hook.has_host() == host.is_some()
                && limited.is_none_or(|names| names.iter().any(|name| name == command))
        });
        due.map(|hook| {
            let run = hook.run.render(scope, &context);
            Ok(Hook {
                number: hook.number,
                at,
                on: hook.on,
                run: run.map_err(|fault| format!("hook {}: {}", hook.number, in_words(fault)))?,
                timeout: hook.timeout,
                env: self.env(host, facts),
                local_dir: self.local_dir.clone(),
            })
        })
        .collect()
    }
}
