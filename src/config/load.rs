//! Both files and the command line, from first to last: read, merge, check, render; go on after every mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::hosts::{self, Wanted};
use super::check::scope::Given;
use super::check::traffic::{self, Taken};
use super::check::{balancers, choose, container, files, policy, pools, ready, release, run};
use super::diagnostic::{Findings, Report};
use super::digest;
use super::field::Field;
use super::merge::{Inventory, merge};
use super::overlay::OverlayRecipe;
use super::read::read;
use super::recipes::{Book, RunRecipe};
use super::schema::{inventory as inventory_schema, playbook as playbook_schema};
use super::secrets::Reveal;
use super::template::Context;
use super::{Loaded, Request};
use crate::config::check::choose::Playbook;
use crate::model::{BalancerSpec, HostName, HostSpec, ImageSpec, ServiceName, Sha256, Version};

/// Stands for the version where none was asked for.
const UNASKED: &str = "0";

/// Reads and checks what was asked.
///
/// # Errors
/// Every mistake of both files and of the command line, at once. Nothing was contacted.
pub fn load(request: &Request) -> Result<Loaded, Findings> {
    let mut report = Report::default();
    let given = Given::new(&request.vars);
    check_vars(request, &mut report);
    let version = version(request, &mut report);
    let inventory = inventory(request, &mut report);
    let playbook: Playbook = read(&request.playbook, playbook_schema::family(), &mut report);
    let loaded = Loading {
        request,
        given: &given,
        inventory: &inventory,
        report: &mut report,
    }
    .check(&playbook, version);
    match loaded {
        Some(loaded) if report.is_clean() => Ok(loaded),
        _ => {
            if report.is_clean() {
                report.add_argument(
                    "the files could not be understood, and no reason is known",
                    "this is a fault of rollgate: report it with both files",
                );
            }
            Err(report.into_findings())
        }
    }
}

fn check_vars(request: &Request, report: &mut Report) {
    for (name, _) in &request.vars {
        let first = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            report.add_argument(
                format!("--var: `{name}` is not a name for a variable"),
                "use letters, digits and `_`, as in --var port=8080",
            );
        }
    }
}

fn version(request: &Request, report: &mut Report) -> Option<Version> {
    let text = request.version.as_deref().unwrap_or(UNASKED);
    Version::new(text)
        .map_err(|error| {
            report.add_argument(
                format!("--version: `{}` is not a version", error.text),
                error.rule,
            );
        })
        .ok()
}

fn inventory(request: &Request, report: &mut Report) -> Inventory {
    if request.inventories.is_empty() {
        report.add_argument(
            "no inventory was given",
            "name one with -i, or with ROLLGATE_INVENTORY",
        );
    }
    let parts = request
        .inventories
        .iter()
        .map(|path| read(path, inventory_schema::family(), report))
        .collect::<Vec<_>>();
    let none = parts.is_empty();
    let mut inventory = merge(parts, report);
    inventory.whole &= !none;
    inventory
}

/// What every check looks at.
struct Loading<'a> {
    request: &'a Request,
    given: &'a Given,
    inventory: &'a Inventory,
    report: &'a mut Report,
}

impl Loading<'_> {
    #[expect(
        clippy::too_many_lines,
        reason = "one check after the other, and the value made of them all"
    )]
    fn check(mut self, playbook: &Playbook, version: Option<Version>) -> Option<Loaded> {
        let (file, shape, whole) = (playbook.file, &playbook.shape, playbook.whole);
        let service = choose::service(playbook, &self.given.context(), self.report);
        // Checks go on with stand-ins, so that one mistake does not hide the others.
        let service_now = service
            .clone()
            .or_else(|| ServiceName::new("service").ok())?;
        let version_now = version.clone().or_else(|| Version::new("0").ok())?;
        let local = self.given.context().with("service", service_now.as_str());
        let global = local.clone().with("version", version_now.as_str());
        let chosen = self.choose(playbook);
        let optional = self.request.source_optional;
        let lax = self.request.without_files;
        let vault = files::secrets(&shape.secrets, file, &local, self.report);
        let mut release = self.unless_lost(whole, &shape.release, |field, report| {
            release::check(field, file, (&global, optional), lax, report)
        });
        let (image, run) = self.run(playbook, &local, release.as_mut());
        let entries = self.unless_lost(whole, &shape.traffic, |field, report| {
            Some(traffic::entries(field, file, report))
        });
        let ready = self.unless_lost(whole, &shape.ready, |field, report| {
            ready::check(field, file, &local, report)
        });
        let zones = choose::zones(
            playbook,
            &local,
            (&chosen.fleet, self.inventory),
            self.report,
        );
        let mut strategy = policy::strategy(&shape.strategy, zones, file, self.report);
        let wanted = Wanted {
            inventory: self.inventory,
            given: self.given,
            service: &service_now,
            root: release.as_ref().map(|release| &release.root),
            traffic: entries.as_deref().unwrap_or_default(),
            http: ready.as_ref().and_then(|ready| ready.http.as_ref()),
        };
        let (fleet, contexts, asked) = self.render_hosts(&chosen, &wanted);
        let balancers = self.balancers(&fleet, &contexts);
        strategy.traffic.pools = pools::of_balancers(asked.pools, &balancers, self.report);
        let book = Book {
            service: service_now,
            version: version_now,
            global,
            hosts: contexts,
            run: run.clone().unwrap_or_else(|| run::stand_in(file)),
            hooks: run::hooks(&shape.hooks, file, self.report),
            overlay: OverlayRecipe {
                vault: Arc::new(vault),
                files: release
                    .as_ref()
                    .map_or_else(Vec::new, |release| release.files.clone()),
                shared: release
                    .as_ref()
                    .map_or_else(Vec::new, |release| release.shared.clone()),
            },
            local_dir: self.report.folder(file).to_owned(),
            reveal: if lax { Reveal::Masked } else { Reveal::Real },
        };
        book.try_all(self.report);
        let helpers = hosts::helpers(&fleet, &balancers, self.inventory, self.given, self.report);
        let (release, ready, _) = (release?, ready?, run?);
        Some(
            Loaded {
                service: service?,
                version: version?,
                selected: chosen.selected,
                helpers,
                balancers,
                strategy,
                drain: policy::drain(&shape.drain),
                warnings: warnings(&ready),
                ready: ready.policy,
                ready_route: ready.route,
                source: release.source,
                kind: release.kind,
                shared: release.shared,
                artifact_name: release.name,
                image,
                keep: release.keep,
                config_digests: config_digests(&fleet, &book)?,
                keys: digest::keys(&self.report.text(file).parse().ok()?),
                recipes: Arc::new(book),
                fleet,
            }
            .with_named_balancers(),
        )
    }

    /// Runs a check, unless its table is absent from a file that was not understood in full.
    fn unless_lost<F, T>(
        &mut self,
        whole: bool,
        field: &Field<F>,
        check: impl FnOnce(&Field<F>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        if field.is_missing() && !whole {
            return None;
        }
        check(field, self.report)
    }

    /// How the service is run; of a container also where its image comes from.
    fn run(
        &mut self,
        playbook: &Playbook,
        local: &Context,
        release: Option<&mut release::Release>,
    ) -> (Option<ImageSpec>, Option<RunRecipe>) {
        let (file, shape) = (playbook.file, &playbook.shape);
        if let Some(checked) = release.and_then(|release| release.container.take()) {
            let run = container::run(&shape.run, checked.recipe, file, self.report);
            return (Some(checked.image), Some(run));
        }
        let kind = shape.release.get().and_then(|table| table.0.kind.get());
        if kind.is_some_and(|kind| kind == "container") {
            // Its mistakes were told, and it needs no [run].
            return (None, None);
        }
        let run = self.unless_lost(playbook.whole, &shape.run, |field, report| {
            run::run(field, file, local, report)
        });
        (None, run)
    }

    fn choose(&mut self, playbook: &Playbook) -> Chosen {
        let given = self.given.context();
        let fleet = choose::fleet(playbook, &given, self.inventory, self.report);
        let limit = self.request.limit.as_deref();
        let selected = choose::selected(limit, &fleet, self.inventory, self.report);
        Chosen {
            fleet: choose::in_order(&fleet, self.inventory),
            selected,
        }
    }

    fn render_hosts(
        &mut self,
        chosen: &Chosen,
        wanted: &Wanted<'_>,
    ) -> (Vec<HostSpec>, BTreeMap<HostName, Context>, Taken) {
        let mut taken = Taken::default();
        let mut fleet = Vec::new();
        let mut contexts = BTreeMap::new();
        for host in &self.inventory.hosts {
            if !chosen.fleet.contains(&host.name) {
                // Not of this rollout, but its mistakes should not wait for one.
                hosts::helper(host, self.inventory, self.given, self.report);
            } else if let Some((spec, context)) = hosts::host(host, wanted, &mut taken, self.report)
            {
                contexts.insert(host.name.clone(), context);
                fleet.push(spec);
            }
        }
        (fleet, contexts, taken)
    }

    fn balancers(
        &mut self,
        fleet: &[HostSpec],
        hosts: &BTreeMap<HostName, Context>,
    ) -> Vec<BalancerSpec> {
        let around = balancers::Around {
            inventory: self.inventory,
            given: self.given,
            fleet,
            hosts,
        };
        let mut specs = Vec::new();
        for balancer in self.inventory.balancers.values() {
            specs.extend(balancers::check(balancer, &around, self.report));
        }
        specs
    }
}

/// The hosts of the playbook, in the inventory's order, and those of them that were chosen.
struct Chosen {
    fleet: Vec<HostName>,
    selected: BTreeSet<HostName>,
}

impl Loaded {
    /// Leaves out balancers of the inventory that no host of the fleet is behind.
    fn with_named_balancers(mut self) -> Self {
        let fleet = &self.fleet;
        let is_named = |balancer: &BalancerSpec| {
            let mut targets = fleet.iter().flat_map(|host| &host.traffic);
            targets.any(|target| target.balancer == balancer.name)
        };
        self.balancers.retain(is_named);
        self
    }
}

fn warnings(ready: &ready::Ready) -> Vec<String> {
    let unproven = "[ready] has no `version`: a host that still runs the release before would pass as the new one";
    match ready.policy.version {
        Some(_) => Vec::new(),
        None => vec![unproven.to_owned()],
    }
}

fn config_digests(fleet: &[HostSpec], book: &Book) -> Option<BTreeMap<HostName, Sha256>> {
    let of_host = |host: &HostSpec| {
        let digest = book.config_parts(&host.name)?.digest().ok()?;
        Some((host.name.clone(), digest))
    };
    fleet.iter().map(of_host).collect()
}
