//! `[run]` and `[[hooks]]`: from shapes to recipes.

use std::time::Duration;

use crate::config::check::policy::{positive, span};
use crate::config::check::{Text, unit};
use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::{Field, Table};
use crate::config::recipes::{CommandRecipe, HookRecipe, RestartRecipe, RunRecipe};
use crate::config::schema::playbook::{Hook, Run};
use crate::config::template::Context;
use crate::config::units::UnitRecipe;
use crate::config::values::{OneOrMany, Span, Words};
use crate::model::HookPlace;

/// For the service to stop, unless the playbook says otherwise.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// For a hook to end, unless the playbook says otherwise.
const HOOK_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Commands of rollgate that run hooks (F12).
const COMMANDS: [&str; 3] = ["deploy", "undo", "abort"];

/// Checks `[run]`; `context` is that of [`LOCAL`](super::scope::LOCAL).
pub(crate) fn run(
    field: &Field<Table<Run>>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Option<RunRecipe> {
    const HELP: &str =
        "write systemd = \"app.service\", or restart = [..], or start = [..] and stop = [..]";
    if field.is_missing() {
        report.add(
            Place::whole(file),
            "[run] is missing",
            "add [run] with systemd = \"app.service\", or with start, stop, restart",
        );
    }
    let table = field.spanned()?;
    let at = Place::at(file, &table.span());
    let shape = &table.get_ref().0;
    let commands = [&shape.start, &shape.stop, &shape.restart];
    let any_command = commands.iter().any(|command| !command.is_missing());
    if any_command && !shape.systemd.is_missing() {
        report.add(
            at,
            "a service is restarted in one way",
            format!("keep one: {HELP}"),
        );
        return None;
    }
    if shape.systemd.is_missing() && shape.start.is_missing() && shape.restart.is_missing() {
        report.add(at, "[run] does not say how the service is restarted", HELP);
        return None;
    }
    let restart = if any_command {
        unit::refuse(shape, file, report);
        RestartRecipe::Commands {
            start: command(&shape.start, file),
            stop: command(&shape.stop, file),
            restart: command(&shape.restart, file),
        }
    } else {
        let name = Text::of(file, shape.systemd.spanned()?);
        RestartRecipe::Systemd(unit::unit(shape, name, context, report)?)
    };
    Some(RunRecipe {
        restart,
        stop_timeout: span(&shape.stop_timeout, STOP_TIMEOUT),
        logs: command(&shape.logs, file),
    })
}

/// For a service to stop.
pub(crate) fn stop_timeout(field: Option<&Field<Span>>) -> Duration {
    field.map_or(STOP_TIMEOUT, |field| span(field, STOP_TIMEOUT))
}

/// Lets the checks of hooks go on where `[run]` itself is wrong.
pub(crate) fn stand_in(file: FileId) -> RunRecipe {
    RunRecipe {
        restart: RestartRecipe::Systemd(UnitRecipe {
            name: Text {
                at: Place::whole(file),
                text: "app.service".to_owned(),
            },
            user: false,
            text: None,
            limits: Vec::new(),
        }),
        stop_timeout: STOP_TIMEOUT,
        logs: None,
    }
}

/// A command with its templates, where it is there.
pub(crate) fn command(field: &Field<Words>, file: FileId) -> Option<CommandRecipe> {
    let words = field.spanned()?;
    Some(match words.get_ref() {
        Words::Shell(text) => CommandRecipe::Shell(Text::at(file, &words.span(), text)),
        Words::Argv(list) => {
            let elements = list.iter().filter_map(Field::spanned);
            CommandRecipe::Argv(elements.map(|text| Text::of(file, text)).collect())
        }
    })
}

/// Checks `[[hooks]]`.
pub(crate) fn hooks(
    field: &Field<Vec<Field<Table<Hook>>>>,
    file: FileId,
    report: &mut Report,
) -> Vec<HookRecipe> {
    let list = field.get().map_or(&[][..], Vec::as_slice);
    let numbered = list.iter().enumerate();
    numbered
        .filter_map(|(index, table)| {
            let table = table.spanned()?;
            let at = Place::at(file, &table.span());
            hook(index + 1, &table.get_ref().0, &at, report)
        })
        .collect()
}

fn hook(number: usize, shape: &Hook, at: &Place, report: &mut Report) -> Option<HookRecipe> {
    let file = at.file();
    if shape.at.is_missing() {
        report.add(
            at.clone(),
            "`at` is missing",
            "add at = \"before-rollout\", or another point of the rollout",
        );
    }
    if shape.run.is_missing() {
        report.add(
            at.clone(),
            "`run` is missing",
            "add run = [\"./bin/migrate\"]",
        );
    }
    let timeout = positive(
        &shape.timeout,
        HOOK_TIMEOUT,
        (file, "no hook ends in no time"),
        report,
    );
    Some(HookRecipe {
        commands: commands(&shape.commands, file, report),
        number,
        at: shape.at.get()?.0,
        on: shape.on.get().map_or(HookPlace::Local, |place| place.0),
        run: command(&shape.run, file)?,
        timeout,
    })
}

fn commands(field: &Field<OneOrMany>, file: FileId, report: &mut Report) -> Option<Vec<String>> {
    let list = field.spanned()?;
    let items = list.get_ref().items(&list.span());
    if items.is_empty() {
        report.add(
            Place::at(file, &list.span()),
            "a hook under no command never runs",
            "write commands = [\"deploy\"], or take the key out for all",
        );
    }
    for (span, command) in &items {
        if !COMMANDS.contains(command) {
            report.add(
                Place::at(file, span),
                format!("`{command}` is not a command that runs hooks"),
                nearest(command, COMMANDS).map_or_else(
                    || format!("write some of {}", COMMANDS.join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                ),
            );
        }
    }
    Some(
        items
            .into_iter()
            .map(|(_, command)| command.to_owned())
            .collect(),
    )
}
