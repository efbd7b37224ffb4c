//! `[release]` of kind `container`.

use std::path::PathBuf;

use toml::Spanned;

use crate::config::check::scope::{ARTIFACT, LOCAL};
use crate::config::check::{Text, run};
use crate::config::container::{self, ContainerRecipe, Flag, Rule};
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::{Entries, Field, Table};
use crate::config::paths;
use crate::config::recipes::{RestartRecipe, RunRecipe};
use crate::config::schema::container::{Healthcheck, Registry};
use crate::config::schema::playbook::{Release as Shape, Run};
use crate::config::template::Context;
use crate::config::values::{Label, Span, Words};
use crate::model::{CredentialNames, ImageRef, ImageSpec, Pull, RegistrySpec};

/// What a container is called, and what it does when it ends, unless the playbook says otherwise.
const NAME: &str = "{{ service }}";
const RESTART: &str = "unless-stopped";

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
    let image = check.image(shape);
    let recipe = check.recipe(shape);
    Some(Checked {
        image: image?,
        recipe: recipe?,
    })
}

/// Keys that make no sense for other kinds.
pub(crate) fn foreign(shape: &Shape) -> Option<&'static str> {
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
    keys.iter()
        .find(|(_, missing)| !missing)
        .map(|(key, _)| *key)
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

    fn recipe(&mut self, shape: &Shape) -> Option<ContainerRecipe> {
        let text = |text: &Spanned<String>| Text::of(self.file, text);
        let fallback = |default: &str| Text {
            at: self.at.clone(),
            text: default.to_owned(),
        };
        let name = shape.name.spanned().map_or_else(|| fallback(NAME), text);
        let restart = shape.restart.spanned();
        let restart = restart.map_or_else(|| fallback(RESTART), text);
        let flag = |flag, value, rule: Rule| Flag {
            flag,
            before: String::new(),
            value,
            rule,
        };
        let mut flags = vec![flag("--restart", restart, container::is_restart)];
        for port in shape.ports.get().into_iter().flatten() {
            let port = self
                .label(port)
                .map(|port| flag("--publish", port, container::is_port));
            flags.extend(port);
        }
        for volume in shape.volumes.get().into_iter().flatten() {
            let volume = volume.spanned().map(text);
            flags.extend(volume.map(|value| flag("--volume", value, container::is_volume)));
        }
        let network = shape.network.spanned().map(text);
        flags.extend(network.map(|value| flag("--network", value, container::is_value)));
        for (name, field, rule) in [
            ("--user", &shape.user, container::is_value as Rule),
            ("--memory", &shape.memory, container::is_memory),
            ("--cpus", &shape.cpus, container::is_cpus),
        ] {
            flags.extend(self.label(field).map(|value| flag(name, value, rule)));
        }
        self.labels(&shape.labels, &mut flags);
        let fixed = self.health(&shape.healthcheck, &mut flags);
        Some(ContainerRecipe {
            engine: shape.engine.get()?.0,
            name,
            flags,
            fixed,
            env_lines: self.env_file(&shape.env_file)?,
            env: self.env(&shape.env),
            command: self.command(&shape.command)?,
        })
    }

    fn label(&self, field: &Field<Label>) -> Option<Text> {
        let label = field.spanned()?;
        Some(Text::at(self.file, &label.span(), &label.get_ref().0))
    }

    fn labels(&mut self, field: &Field<Entries<Field<Label>>>, flags: &mut Vec<Flag>) {
        for (name, value) in field.get().map_or(&[][..], |entries| &entries.0) {
            if !container::is_label_name(name.get_ref()) {
                self.add(
                    Place::at(self.file, &name.span()),
                    format!("`{}` is not a label of yours", name.get_ref()),
                    "use a name such as \"com.example.team\"; labels that begin with `rollgate.` are rollgate's own",
                );
            }
            flags.extend(self.label(value).map(|value| Flag {
                flag: "--label",
                before: format!("{}=", name.get_ref()),
                value,
                rule: container::is_label,
            }));
        }
    }

    fn env(&mut self, field: &Field<Entries<Field<Label>>>) -> Vec<(String, Text)> {
        let mut env = Vec::new();
        for (name, value) in field.get().map_or(&[][..], |entries| &entries.0) {
            if !container::is_variable(name.get_ref()) {
                self.add(
                    Place::at(self.file, &name.span()),
                    format!("`{}` is not a name for a variable", name.get_ref()),
                    "use letters, digits and `_`",
                );
            }
            env.extend(
                self.label(value)
                    .map(|value| (name.get_ref().clone(), value)),
            );
        }
        env
    }

    fn env_file(&mut self, field: &Field<String>) -> Option<Vec<String>> {
        let Some(file) = field.spanned() else {
            return Some(Vec::new());
        };
        let text = Text::of(self.file, file);
        let path = self.local(&text)?;
        let content = match std::fs::read_to_string(&path) {
            Ok(content) => content,
            Err(_missing) if self.optional => return Some(Vec::new()),
            Err(error) => {
                let title = format!("{} cannot be read: {error}", path.display());
                let help =
                    "`env_file` is a file here, relative to this one; its lines are NAME=value";
                self.add(text.at, title, help);
                return None;
            }
        };
        let lines = container::env_lines(&content);
        lines
            .map_err(|number| {
                self.add(
                    text.at,
                    format!("line {number} of {} is no variable", path.display()),
                    "write NAME=value, one a line; comments begin with `#`",
                );
            })
            .ok()
    }

    fn command(&mut self, field: &Field<Words>) -> Option<Vec<Text>> {
        let Some(words) = field.spanned() else {
            return Some(Vec::new());
        };
        match words.get_ref() {
            Words::Argv(list) => {
                let elements = list.iter().filter_map(Field::spanned);
                Some(elements.map(|text| Text::of(self.file, text)).collect())
            }
            Words::Shell(_) => {
                self.add(
                    Place::at(self.file, &words.span()),
                    "what a container runs is read by no shell",
                    "write an array: command = [\"serve\", \"--port\", \"8080\"], or [\"sh\", \"-c\", \"…\"] where the image has a shell",
                );
                None
            }
        }
    }

    fn health(&mut self, field: &Field<Table<Healthcheck>>, flags: &mut Vec<Flag>) -> Vec<String> {
        let Some(table) = field.spanned() else {
            return Vec::new();
        };
        let shape = &table.get_ref().0;
        if shape.disable.get().is_some_and(|flag| *flag) {
            return vec!["--no-healthcheck".to_owned()];
        }
        match shape
            .command
            .spanned()
            .map(|words| (words.get_ref(), words.span()))
        {
            Some((Words::Shell(text), span)) => flags.push(Flag {
                flag: "--health-cmd",
                before: String::new(),
                value: Text::at(self.file, &span, text),
                rule: container::is_value,
            }),
            Some((Words::Argv(_), span)) => self.add(
                Place::at(self.file, &span),
                "the engines give this command to the container's shell",
                "write a string: command = \"curl -f http://127.0.0.1:8080/health\"",
            ),
            None => {}
        }
        flags.extend(self.label(&shape.retries).map(|value| Flag {
            flag: "--health-retries",
            before: String::new(),
            value,
            rule: container::is_count,
        }));
        let spans: [(&str, &Field<Span>); 3] = [
            ("--health-interval", &shape.interval),
            ("--health-timeout", &shape.timeout),
            ("--health-start-period", &shape.start_period),
        ];
        let given = spans
            .iter()
            .filter_map(|(flag, span)| Some((flag, span.get()?)));
        given
            .flat_map(|(flag, span)| [(*flag).to_owned(), format!("{}ms", span.0.as_millis())])
            .collect()
    }
}
