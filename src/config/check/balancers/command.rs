//! `kind = "command"`.

use std::time::Duration;

use super::Draft;
use super::servers::{self, Server};
use crate::config::check::policy::span;
use crate::config::diagnostic::Report;
use crate::config::recipes::CommandRecipe;
use crate::model::{BalancerKind, CommandSpec, ServerCommands};

/// How long to wait where nobody counts requests, unless the inventory says otherwise.
const SETTLE: Duration = Duration::from_secs(5);

struct Recipes {
    drain: CommandRecipe,
    enable: CommandRecipe,
    state: CommandRecipe,
    in_flight: Option<CommandRecipe>,
}

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    const DRAIN: &str = r#"["/usr/local/bin/lb", "drain", "{{ pool }}", "{{ server }}"]"#;
    const ENABLE: &str = r#"["/usr/local/bin/lb", "enable", "{{ pool }}", "{{ server }}"]"#;
    const STATE: &str = r#"["/usr/local/bin/lb", "state", "{{ pool }}", "{{ server }}"], which prints ready, drain, maint or down"#;
    let shape = draft.shape;
    let drain = servers::required((&shape.drain, "drain", DRAIN), draft, report);
    let enable = servers::required((&shape.enable, "enable", ENABLE), draft, report);
    let state = servers::required((&shape.state, "state", STATE), draft, report);
    let in_flight = servers::command(&shape.in_flight, draft, report);
    let settle = if shape.in_flight.is_missing() {
        SETTLE
    } else {
        Duration::ZERO
    };
    let recipes = Recipes {
        drain: drain?,
        enable: enable?,
        state: state?,
        in_flight,
    };
    let rendered = servers::of(draft);
    let rendered = rendered
        .iter()
        .map(|server| commands(server, &recipes, report));
    // All of them first, so that every mistake is told.
    let rendered: Vec<Option<ServerCommands>> = rendered.collect();
    let folder = report.folder(draft.file);
    let here = shape.via.is_missing();
    Some(BalancerKind::Command(CommandSpec {
        servers: rendered.into_iter().collect::<Option<_>>()?,
        settle: span(&shape.settle, settle),
        dir: here.then(|| folder.to_string_lossy().into_owned()),
    }))
}

fn commands(server: &Server<'_>, recipes: &Recipes, report: &mut Report) -> Option<ServerCommands> {
    let drain = server.command(&recipes.drain, report);
    let enable = server.command(&recipes.enable, report);
    let state = server.command(&recipes.state, report);
    let in_flight = server.optional(recipes.in_flight.as_ref(), report);
    Some(ServerCommands {
        pool: server.target.pool.clone(),
        server: server.target.server.clone(),
        drain: drain?,
        enable: enable?,
        state: state?,
        in_flight: in_flight.ok()?,
    })
}
