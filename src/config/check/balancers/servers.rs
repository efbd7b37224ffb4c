//! What kinds that speak of each server by itself have in common: which servers there are, and their commands.

use super::Draft;
use crate::config::check::Text;
use crate::config::check::run;
use crate::config::check::scope::BALANCER_SERVER;
use crate::config::diagnostic::Report;
use crate::config::field::Field;
use crate::config::recipes::CommandRecipe;
use crate::config::template::Context;
use crate::config::values::Words;
use crate::model::{Command, HostName, TrafficTarget};

/// One server of this balancer that the playbook names.
pub(super) struct Server<'a> {
    pub(super) target: &'a TrafficTarget,
    pub(super) host: &'a HostName,
    context: Context,
}

/// All of them.
pub(super) fn of<'a>(draft: &Draft<'a>) -> Vec<Server<'a>> {
    let mut servers = Vec::new();
    for host in draft.fleet {
        let Some(context) = draft.hosts.get(&host.name) else {
            continue;
        };
        for target in &host.traffic {
            if target.balancer == *draft.name {
                let context = context.clone();
                servers.push(Server {
                    target,
                    host: &host.name,
                    context: context
                        .with("pool", target.pool.as_str())
                        .with("server", target.server.as_str()),
                });
            }
        }
    }
    servers
}

impl Server<'_> {
    fn who(&self) -> String {
        format!(" (for {})", self.host)
    }

    /// A text for this server.
    pub(super) fn text(&self, text: &Text, report: &mut Report) -> Option<String> {
        text.render(&BALANCER_SERVER, &self.context, &self.who(), report)
    }

    /// A command for this server.
    pub(super) fn command(&self, recipe: &CommandRecipe, report: &mut Report) -> Option<Command> {
        recipe
            .render(&BALANCER_SERVER, &self.context)
            .map_err(|(text, faults)| text.report_faults(faults, &self.who(), report))
            .ok()
    }

    /// An optional command for this server; `Err` where it is there and wrong.
    pub(super) fn optional(
        &self,
        recipe: Option<&CommandRecipe>,
        report: &mut Report,
    ) -> Result<Option<Command>, ()> {
        match recipe {
            None => Ok(None),
            Some(recipe) => self.command(recipe, report).map(Some).ok_or(()),
        }
    }
}

/// A command that may be absent. What can be told without a server is told even where the playbook names none.
pub(super) fn command(
    field: &Field<Words>,
    draft: &Draft<'_>,
    report: &mut Report,
) -> Option<CommandRecipe> {
    let recipe = run::command(field, draft.file)?;
    recipe.check(&BALANCER_SERVER, report);
    Some(recipe)
}

/// A command that must be there.
pub(super) fn required(
    (field, key, example): (&Field<Words>, &str, &str),
    draft: &Draft<'_>,
    report: &mut Report,
) -> Option<CommandRecipe> {
    if field.is_missing() {
        report.add(
            draft.at.clone(),
            format!("`{key}` is missing"),
            format!("add {key} = {example}"),
        );
    }
    command(field, draft, report)
}
