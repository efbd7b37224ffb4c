//! `kind = "health"`.

use std::time::Duration;

use super::Draft;
use super::servers::{self, Server};
use crate::config::check::Text;
use crate::config::check::policy::positive;
use crate::config::check::scope::BALANCER_SERVER;
use crate::config::diagnostic::{Place, Report};
use crate::config::recipes::CommandRecipe;
use crate::model::{BalancerKind, HealthServer, HealthSpec, HealthSwitch};

/// How often a balancer finds a host unfit before it takes it out, and how long it waits in between, unless the inventory says
/// otherwise. Source: HAProxy's `fall 3` and `inter 2s`.
const CHECKS: u32 = 3;
const INTERVAL: Duration = Duration::from_secs(2);

const HOW: &str = "write file = \"/run/app/out\", which is there while the host is out, or drain, enable and state as commands that are run on the host";

enum Recipe {
    File(Text),
    Commands {
        drain: CommandRecipe,
        enable: CommandRecipe,
        state: CommandRecipe,
    },
}

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    let shape = draft.shape;
    if let Some(via) = shape.via.spanned() {
        report.add(
            Place::at(draft.file, &via.span()),
            "a balancer of kind `health` has no `via`",
            "each host is reached over its own connection: take it out",
        );
    }
    let switch = switch(draft, report);
    let in_flight = servers::command(&shape.in_flight, draft, report);
    let checks = checks(draft, report);
    let interval = positive(
        &shape.interval,
        INTERVAL,
        (draft.file, "no balancer checks all the time"),
        report,
    );
    let switch = switch?;
    let rendered = servers::of(draft);
    let rendered = rendered
        .iter()
        .map(|server| one(server, &switch, in_flight.as_ref(), report));
    // All of them first, so that every mistake is told.
    let rendered: Vec<Option<HealthServer>> = rendered.collect();
    Some(BalancerKind::Health(HealthSpec {
        servers: rendered.into_iter().collect::<Option<_>>()?,
        notice: interval.saturating_mul(checks),
    }))
}

fn checks(draft: &Draft<'_>, report: &mut Report) -> u32 {
    let Some(checks) = draft.shape.checks.spanned() else {
        return CHECKS;
    };
    if *checks.get_ref() == 0 {
        report.add(
            Place::at(draft.file, &checks.span()),
            "no balancer notices without a check",
            "write how many failed checks it wants before it takes a host out, such as 3",
        );
    }
    *checks.get_ref()
}

fn switch(draft: &Draft<'_>, report: &mut Report) -> Option<Recipe> {
    let shape = draft.shape;
    let commands = [&shape.drain, &shape.enable, &shape.state];
    let any_command = commands.iter().any(|command| !command.is_missing());
    if any_command && let Some(file) = shape.file.spanned() {
        report.add(
            Place::at(draft.file, &file.span()),
            "a host is made to look unfit in one way",
            format!("keep one: {HOW}"),
        );
        return None;
    }
    if any_command {
        let drain = r#""curl -fsS -X POST localhost:8080/out""#;
        let enable = r#""curl -fsS -X DELETE localhost:8080/out""#;
        let state = r#"["/usr/local/bin/app-state"], which prints ready or drain"#;
        let drain = servers::required((&shape.drain, "drain", drain), draft, report);
        let enable = servers::required((&shape.enable, "enable", enable), draft, report);
        let state = servers::required((&shape.state, "state", state), draft, report);
        return Some(Recipe::Commands {
            drain: drain?,
            enable: enable?,
            state: state?,
        });
    }
    if shape.file.is_missing() {
        report.add(
            draft.at.clone(),
            "nothing says how a host is made to look unfit",
            HOW,
        );
    }
    let file = Text::of(draft.file, shape.file.spanned()?);
    file.check(&BALANCER_SERVER, report);
    Some(Recipe::File(file))
}

fn one(
    server: &Server<'_>,
    switch: &Recipe,
    in_flight: Option<&CommandRecipe>,
    report: &mut Report,
) -> Option<HealthServer> {
    let in_flight = server.optional(in_flight, report);
    let switch = match switch {
        Recipe::File(text) => file(server, text, report).map(HealthSwitch::File),
        Recipe::Commands {
            drain,
            enable,
            state,
        } => {
            let drain = server.command(drain, report);
            let enable = server.command(enable, report);
            let state = server.command(state, report);
            Some(HealthSwitch::Commands {
                drain: drain?,
                enable: enable?,
                state: state?,
            })
        }
    };
    Some(HealthServer {
        pool: server.target.pool.clone(),
        server: server.target.server.clone(),
        host: server.host.clone(),
        switch: switch?,
        in_flight: in_flight.ok()?,
    })
}

fn file(server: &Server<'_>, text: &Text, report: &mut Report) -> Option<String> {
    let path = server.text(text, report)?;
    let climbs = path.split('/').any(|part| part == "..");
    if path.starts_with('/') && !path.ends_with('/') && !climbs && !path.contains(char::is_control)
    {
        return Some(path);
    }
    report.add(
        text.at.clone(),
        format!("`{path}` is not a file's path"),
        format!(
            "write an absolute path on the host, without `..`, such as \"/run/app/out\" (for {})",
            server.host
        ),
    );
    None
}
