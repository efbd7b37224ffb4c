//! When hooks run, what they are told, and what their failure means (F12).

use std::collections::BTreeSet;
use std::sync::PoisonError;

use futures::future::join_all;
use tokio::time::Instant;

use super::context::{Context, Stopwatch, rounded};
use super::steps::{RECONNECT, RECONNECT_PAUSE, StepEnd, StepResult, Turn};
use crate::drivers::host::{HostError, Ran};
use crate::event::EventKind;
use crate::model::{Failure, Hook, HookPlace, HookPoint, HostName, RecordStep, ReleaseRef};

/// Of the hosts that a hook concerns, so many write down that it was begun, and that it ended.
const TOLD: usize = 3;

/// The host points at which the playbook has something to run.
pub(super) fn host_points(context: &Context, name: &HostName) -> Vec<HookPoint> {
    let Some(host) = context.host(name) else {
        return Vec::new();
    };
    HookPoint::ALL
        .iter()
        .map(|(point, _)| *point)
        .filter(|point| point.is_of_host())
        .filter(|point| {
            context
                .world
                .recipes
                .hooks(*point, Some((name, &host.release)), &[])
                .is_ok_and(|hooks| !hooks.is_empty())
        })
        .collect()
}

/// Runs the hooks of a host point; the first failure fails the host.
pub(super) async fn at_host(turn: &mut Turn<'_>, point: HookPoint) -> StepResult {
    run_for_host(
        turn.context,
        point,
        turn.name,
        &turn.host.release,
        turn.batch,
    )
    .await
    .map_err(StepEnd::Failed)
}

/// The same where a failure can only warn.
pub(super) async fn at_host_warning(turn: &mut Turn<'_>, point: HookPoint) {
    if let Err(failure) = run_for_host(
        turn.context,
        point,
        turn.name,
        &turn.host.release,
        turn.batch,
    )
    .await
    {
        turn.context.warn(Some(turn.name), failure.line()).await;
    }
}

/// Runs what the playbook has for a failure, for this host; it can only warn.
pub(super) async fn after_failure(turn: &Turn<'_>) {
    let this = BTreeSet::from([turn.name.clone()]);
    let point = HookPoint::OnFailure;
    if let Err(failure) = at_batch(turn.context, point, turn.batch, &this).await {
        turn.context.warn(Some(turn.name), failure.line()).await;
    }
}

async fn run_for_host(
    context: &Context,
    point: HookPoint,
    name: &HostName,
    release: &ReleaseRef,
    batch: usize,
) -> Result<(), Failure> {
    let facts = facts(context, point, Some(batch), &BTreeSet::from([name.clone()]));
    let hooks = context
        .world
        .recipes
        .hooks(point, Some((name, release)), &facts)
        .map_err(Failure::new)?;
    for hook in hooks {
        let host = Some(name);
        match hook.on {
            HookPlace::Local => {
                run(context, &hook, (host, name.as_str(), &[name]), Place::Here).await?;
            }
            HookPlace::Host | HookPlace::Once => {
                run(
                    context,
                    &hook,
                    (host, name.as_str(), &[name]),
                    Place::There {
                        name,
                        dir: &release.dir,
                    },
                )
                .await?;
            }
        }
    }
    Ok(())
}

/// Runs the hooks of a batch or rollout point over `hosts`, in the order of the playbook; the first failure ends it. `batch` is 0 at
/// points of the whole rollout.
pub(super) async fn at_batch(
    context: &Context,
    point: HookPoint,
    batch: usize,
    hosts: &BTreeSet<HostName>,
) -> Result<(), Failure> {
    let facts = facts(context, point, (batch > 0).then_some(batch), hosts);
    let scope = scope_of(context, batch, hosts);
    let told: Vec<&HostName> = hosts.iter().collect();
    for (host, hook) in in_order(context, point, hosts, &facts)? {
        let place = match host.and_then(|name| Some((name, context.host(name)?))) {
            Some((name, host)) => Place::There {
                name,
                dir: &host.release.dir,
            },
            None => Place::Here,
        };
        run(context, &hook, (host, &scope, &told), place).await?;
    }
    Ok(())
}

/// A batch by its place in the whole rollout and its hosts; `-` for the whole rollout.
fn scope_of(context: &Context, batch: usize, hosts: &BTreeSet<HostName>) -> String {
    if batch == 0 {
        return "-".to_owned();
    }
    let mut batches = context.all_batches().iter();
    let place = batches.position(|batch| batch.iter().any(|host| hosts.contains(host)));
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    // A batch that was split, or that only some hosts of went on, is another one.
    let place = place.map_or(0, |place| place + 1);
    format!("batch-{place}({})", names.join(","))
}

/// What a batch or rollout point runs, and where: `None` is this machine.
fn in_order<'a>(
    context: &Context,
    point: HookPoint,
    hosts: &'a BTreeSet<HostName>,
    facts: &[(&str, String)],
) -> Result<Vec<(Option<&'a HostName>, Hook)>, Failure> {
    let recipes = &context.world.recipes;
    let local = recipes.hooks(point, None, facts).map_err(Failure::new)?;
    let mut all: Vec<(Option<&HostName>, Hook)> =
        local.into_iter().map(|hook| (None, hook)).collect();
    for (place, name) in hosts.iter().enumerate() {
        let Some(host) = context.host(name) else {
            continue;
        };
        let hooks = recipes.hooks(point, Some((name, &host.release)), facts);
        let here = hooks.map_err(Failure::new)?.into_iter();
        all.extend(
            here.filter(|hook| place == 0 || hook.on != HookPlace::Once)
                .map(|hook| (Some(name), hook)),
        );
    }
    // A stable sort: hosts keep their order within one hook.
    all.sort_by_key(|(_, hook)| hook.number);
    Ok(all)
}

fn facts(
    context: &Context,
    point: HookPoint,
    batch: Option<usize>,
    hosts: &BTreeSet<HostName>,
) -> Vec<(&'static str, String)> {
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    let mut facts = vec![
        ("COMMAND", context.job.command.clone()),
        ("ROLLOUT", context.job.rollout.to_string()),
        ("REVISION", context.revision().to_string()),
        ("EVENT", point.as_str().to_owned()),
        ("HOSTS", names.join(" ")),
    ];
    if let Some(batch) = batch {
        facts.push(("BATCH", batch.to_string()));
    }
    facts
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Here,
    There { name: &'a HostName, dir: &'a str },
}

/// `scope` tells the hooks of two batches apart; `told` are the hosts that it concerns, some of which remember it.
async fn run(
    context: &Context,
    hook: &Hook,
    (host, scope, told): (Option<&HostName>, &str, &[&HostName]),
    place: Place<'_>,
) -> Result<(), Failure> {
    let at = hook.at.as_str().to_owned();
    let on = match hook.on {
        HookPlace::Local => "local",
        HookPlace::Host => "host",
        HookPlace::Once => "once",
    };
    let here = match (hook.on, host) {
        (HookPlace::Host, Some(host)) => host.as_str(),
        // At a host's own points the host is the scope.
        (HookPlace::Local | HookPlace::Once | HookPlace::Host, _) => scope,
    };
    let key = format!("{}:{at}:{here}", hook.number);
    if context.hooks_before.contains(&key) {
        return Ok(());
    }
    let told = remembering(context, hook, told);
    if let Some(reason) = context.leases.lost_reason() {
        return Err(Failure::new(reason));
    }
    note(context, &key, Some(false));
    if let Err(failure) = remember(context, &told).await {
        // It was not begun.
        note(context, &key, None);
        return Err(failure);
    }
    context
        .say(EventKind::HookStarted {
            at: at.clone(),
            on: on.to_owned(),
            number: hook.number,
            host: host.cloned(),
        })
        .await;
    let watch = Stopwatch::start();
    let ran = carry_out(context, hook, place).await;
    note(context, &key, known_end(&ran));
    if let Err(failure) = remember(context, &told).await {
        context.warn(host, failure.line()).await;
    }
    let (exit, output) = match &ran {
        Ok(ran) => (Some(ran.code), ran.output.clone()),
        Err(reason) => (None, vec![reason.clone()]),
    };
    let seconds = rounded(watch.elapsed());
    let kind = EventKind::HookFinished {
        at: at.clone(),
        on: on.to_owned(),
        number: hook.number,
        host: host.cloned(),
        exit,
        output: output.clone(),
        seconds,
    };
    context.say(kind).await;
    judge(hook, exit, output)
}

/// What is known of a hook that ended: one that failed did not do its work, and is run again with what it belongs to; of one whose end
/// was not seen nobody knows.
fn known_end(ran: &Result<Ran, String>) -> Option<bool> {
    match ran {
        Ok(ran) if ran.code == 0 => Some(true),
        Ok(_) => None,
        Err(_) => Some(false),
    }
}

fn judge(hook: &Hook, exit: Option<i32>, output: Vec<String>) -> Result<(), Failure> {
    let (number, at) = (hook.number, hook.at.as_str());
    let what = match exit {
        Some(0) => return Ok(()),
        Some(code) => format!("hook {number} at {at} ended with exit code {code}"),
        None => format!("hook {number} at {at} could not be run"),
    };
    Err(Failure {
        causes: output,
        ..Failure::new(what)
    })
}

async fn carry_out(context: &Context, hook: &Hook, place: Place<'_>) -> Result<Ran, String> {
    match place {
        Place::Here => context.world.local.run(hook).await,
        Place::There { name, dir } => {
            let Some(ports) = context.ports(name) else {
                return Err(format!("host `{name}` is not connected"));
            };
            let sent = context.leases.now();
            let result = ports
                .driver
                .run_hook(dir, &hook.run, &hook.env, hook.timeout)
                .await;
            context.leases.learn(name, sent, &result);
            result.map_err(|error| error.to_string())
        }
    }
}

/// `None`: as if it had not been begun.
fn note(context: &Context, key: &str, ended: Option<bool>) {
    let mut hooks = context.hooks.lock().unwrap_or_else(PoisonError::into_inner);
    match ended {
        Some(ended) => drop(hooks.insert(key.to_owned(), ended)),
        None => drop(hooks.remove(key)),
    }
}

/// The hosts that write it down. Hooks that only warn may well run twice, and must run where no host answers.
fn remembering(context: &Context, hook: &Hook, told: &[&HostName]) -> Vec<HostName> {
    let only_warns = matches!(hook.at, HookPoint::OnFailure | HookPoint::OnRevert);
    let most = if only_warns { 0 } else { TOLD };
    let told = told.iter().filter(|name| may_be_told(context, name));
    told.take(most).map(|name| (*name).clone()).collect()
}

/// A host that is left for a person keeps its words about that, and nothing else is written over them.
fn may_be_told(context: &Context, name: &HostName) -> bool {
    let host = context.host(name);
    host.is_some_and(|host| host.ledger().step != RecordStep::Stranded)
}

/// Writes to some hosts' records which hooks were begun and ended, so that a later attempt repeats none blindly (F12). One host that
/// remembers is enough.
async fn remember(context: &Context, hosts: &[HostName]) -> Result<(), Failure> {
    let one = |name: &HostName| {
        let name = name.clone();
        async move {
            let (host, ports) = (context.host(&name)?, context.ports(&name)?);
            let step = host.ledger().step;
            let record = context.record(host, step);
            let started = Instant::now();
            loop {
                let sent = context.leases.now();
                let result = ports.driver.write_record(&record).await;
                context.leases.learn(&name, sent, &result);
                let again = matches!(result, Err(HostError::Transport(_)));
                if !again || started.elapsed() >= RECONNECT {
                    return Some(result);
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    };
    let results = join_all(hosts.iter().map(one)).await.into_iter().flatten();
    let results: Vec<Result<(), HostError>> = results.collect();
    let failed = results.iter().find_map(|result| result.as_ref().err());
    match failed {
        Some(error) if results.iter().all(Result::is_err) => Err(Failure::caused(
            "that a hook runs could not be written to any host's record",
            error,
        )),
        Some(_) | None => Ok(()),
    }
}
