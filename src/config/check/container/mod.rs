//! `[release]` of kind `container`: its image here, its settings in [`settings`].

mod settings;

use std::path::PathBuf;

use toml::Spanned;

use crate::config::check::scope::{ARTIFACT, LOCAL};
use crate::config::check::{Text, run, unit};
use crate::config::container::ContainerRecipe;
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::{Field, Table};
use crate::config::paths;
use crate::config::recipes::{RestartRecipe, RunRecipe};
use crate::config::schema::container::Registry;
use crate::config::schema::playbook::{Release as Shape, Run};
use crate::config::template::Context;
use crate::model::{CredentialNames, ImageRef, ImageSpec, Pull, RegistrySpec};

/// The checked table.
pub(crate) struct Checked {
    /// Where the image comes from.
    pub image: ImageSpec,
    /// The settings.
    pub recipe: ContainerRecipe,
}

/// One check of the table.
struct Check<'a> {
    file: FileId,
    at: &'a Place,
    context: &'a Context,
    /// Whether files here may be missing.
    optional: bool,
    report: &'a mut Report,
}

/// Checks the table.
pub(crate) fn check(
    shape: &Shape,
    (file, at): (FileId, &Place),
    (context, optional): (&Context, bool),
    report: &mut Report,
) -> Option<Checked> {
    let mut check = Check {
        file,
        at,
        context,
        optional,
        report,
    };
    check.no_folder(shape);
    let image = check.image(shape);
    let recipe = check.recipe(shape);
    Some(Checked {
        image: image?,
        recipe: recipe?,
    })
}

/// Reports a key of containers in a release of another kind.
pub(crate) fn refuse_keys(shape: &Shape, at: &Place, report: &mut Report) {
    let keys = [
        ("engine", shape.engine.is_missing()),
        ("image", shape.image.is_missing()),
        ("pull", shape.pull.is_missing()),
        ("registry", shape.registry.is_missing()),
        ("ports", shape.ports.is_missing()),
        ("env", shape.env.is_missing()),
        ("env_file", shape.env_file.is_missing()),
        ("volumes", shape.volumes.is_missing()),
        ("network", shape.network.is_missing()),
        ("user", shape.user.is_missing()),
        ("command", shape.command.is_missing()),
        ("memory", shape.memory.is_missing()),
        ("cpus", shape.cpus.is_missing()),
        ("restart", shape.restart.is_missing()),
        ("labels", shape.labels.is_missing()),
        ("healthcheck", shape.healthcheck.is_missing()),
    ];
    if let Some((key, _)) = keys.iter().find(|(_, missing)| !missing) {
        report.add(
            at.clone(),
            format!("`{key}` belongs to releases of kind \"container\""),
            "write kind = \"container\", or take the key out",
        );
    }
}

/// `[run]` beside a container: only for how long it may take to stop.
pub(crate) fn run(
    field: &Field<Table<Run>>,
    recipe: ContainerRecipe,
    file: FileId,
    report: &mut Report,
) -> RunRecipe {
    if let Some(table) = field.spanned() {
        let shape = &table.get_ref().0;
        let others = [&shape.start, &shape.stop, &shape.restart, &shape.logs];
        if !shape.systemd.is_missing() || others.iter().any(|other| !other.is_missing()) {
            report.add(
                Place::at(file, &table.span()),
                "a container is started and stopped by its engine",
                "keep `stop_timeout` alone in [run], or take the table out",
            );
        }
        unit::refuse(shape, file, report);
    }
    RunRecipe {
        restart: RestartRecipe::Container(Box::new(recipe)),
        stop_timeout: run::stop_timeout(field.get().map(|table| &table.0.stop_timeout)),
        logs: None,
    }
}

impl Check<'_> {
    fn add(&mut self, at: Place, title: impl Into<String>, help: impl Into<String>) {
        self.report.add(at, title, help);
    }

    /// What lies in the folder of a release, of which a container has none.
    fn no_folder(&mut self, shape: &Shape) {
        if let Some(shared) = shape.shared.spanned() {
            self.add(
                Place::at(self.file, &shared.span()),
                "`shared` belongs to releases of kind \"binary\" and \"archive\"",
                "write volumes = [\"data:/var/lib/app\"] for what outlives a container, or take the key out",
            );
        }
        if let Some(files) = shape.files.spanned() {
            self.add(
                Place::at(self.file, &files.span()),
                "files beside a container are not supported yet",
                "write `env` or `env_file`, or mount what lies on the hosts with `volumes`, and take [[release.files]] out",
            );
        }
    }

    fn image(&mut self, shape: &Shape) -> Option<ImageSpec> {
        if shape.engine.is_missing() {
            self.add(
                self.at.clone(),
                "`engine` is missing",
                "add engine = \"docker\" or engine = \"podman\"",
            );
        }
        let source = self.source(shape);
        let pull = shape.pull.get().map(|word| word.0);
        let pull = pull.unwrap_or(if shape.source.is_missing() {
            Pull::Host
        } else {
            Pull::Push
        });
        if pull == Pull::Host && !shape.source.is_missing() {
            self.add(
                self.at.clone(),
                "with pull = \"host\" the hosts get the image from its registry, and not from `source`",
                "write pull = \"push\", or take `source` out",
            );
        }
        if shape.image.is_missing() && shape.source.is_missing() {
            self.add(
                self.at.clone(),
                "`image` is missing",
                "add image = \"registry.example.com/app:{{ version }}\"",
            );
        }
        let reference = match shape.image.spanned() {
            Some(image) => Some(self.reference(image)?),
            None => None,
        };
        let registry = self.registry(&shape.registry)?;
        if reference.is_none() && source.is_none() {
            return None;
        }
        Some(ImageSpec {
            engine: shape.engine.get()?.0,
            pull,
            reference,
            source,
            registry,
        })
    }

    fn reference(&mut self, image: &Spanned<String>) -> Option<ImageRef> {
        let text = Text::of(self.file, image);
        let name = text.render(&ARTIFACT, self.context, "", self.report)?;
        let parsed = match ImageRef::parse(&name) {
            Ok(parsed) => parsed,
            Err(help) => {
                self.add(text.at, format!("`{name}` is not an image's name"), help);
                return None;
            }
        };
        if parsed.digest.is_none() {
            let title = match parsed.tag.as_deref() {
                None => "this image has no tag, which means `latest`",
                Some("latest") => "the tag `latest` names another image every time",
                Some(_) => return Some(parsed),
            };
            self.add(
                text.at,
                title,
                "name a version, as in \"registry.example.com/app:{{ version }}\", or pin a digest with @sha256:…",
            );
            return None;
        }
        Some(parsed)
    }

    fn source(&mut self, shape: &Shape) -> Option<PathBuf> {
        let text = Text::of(self.file, shape.source.spanned()?);
        let path = self.local(&text)?;
        match std::fs::metadata(&path) {
            Ok(seen) if seen.is_file() => Some(path),
            Err(_missing) if self.optional => Some(path),
            Ok(_) => {
                let title = format!("{} is not a plain file", path.display());
                let help =
                    "name an archive made by `docker save`, `podman save`, or an OCI archive";
                self.add(text.at, title, help);
                None
            }
            Err(error) => {
                let title = format!("{} cannot be read: {error}", path.display());
                let help =
                    "write it with `docker save -o FILE IMAGE`; the path is relative to this file";
                self.add(text.at, title, help);
                None
            }
        }
    }

    fn local(&mut self, text: &Text) -> Option<PathBuf> {
        let name = text.render(&ARTIFACT, self.context, "", self.report)?;
        let resolved = paths::resolve(&name, self.report.folder(self.file));
        resolved
            .map_err(|help| {
                let title = format!("`{name}` is not a path that can be used");
                self.add(text.at.clone(), title, help);
            })
            .ok()
    }

    fn registry(&mut self, field: &Field<Table<Registry>>) -> Option<RegistrySpec> {
        let Some(table) = field.spanned() else {
            return Some(RegistrySpec::default());
        };
        let shape = &table.get_ref().0;
        let login = match (shape.username_env.get(), shape.password_env.get()) {
            (Some(user), Some(password)) => Some(CredentialNames {
                username_env: user.clone(),
                password_env: password.clone(),
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                self.add(
                    Place::at(self.file, &table.span()),
                    "a login is a user name and a password",
                    "write registry = { username_env = \"REGISTRY_USER\", password_env = \"REGISTRY_PASSWORD\" }: the names of environment variables here",
                );
                return None;
            }
        };
        let ca = match shape.ca.spanned() {
            Some(ca) => {
                let text = Text::of(self.file, ca);
                text.check(&LOCAL, self.report);
                Some(self.local(&text)?)
            }
            None => None,
        };
        Some(RegistrySpec {
            login,
            insecure: shape.insecure.get().is_some_and(|flag| *flag),
            ca,
        })
    }
}
