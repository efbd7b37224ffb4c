//! The settings of a container: ports, environment, volumes, limits, labels, its own check.

use toml::Spanned;

use super::Check;
use crate::config::check::Text;
use crate::config::container::{self, ContainerRecipe, Flag, Rule};
use crate::config::diagnostic::Place;
use crate::config::field::{Entries, Field, Table};
use crate::config::schema::container::Healthcheck;
use crate::config::schema::playbook::Release as Shape;
use crate::config::values::{Label, Span, Words};

/// What a container is called, and what it does when it ends, unless the playbook says otherwise.
const NAME: &str = "{{ service }}";
const RESTART: &str = "unless-stopped";

impl Check<'_> {
    pub(super) fn recipe(&mut self, shape: &Shape) -> Option<ContainerRecipe> {
        let text = |text: &Spanned<String>| Text::of(self.file, text);
        let fallback = |default: &str| Text {
            at: self.at.clone(),
            text: default.to_owned(),
        };
        let name = shape.name.spanned().map_or_else(|| fallback(NAME), text);
        let restart = shape.restart.spanned();
        let restart = restart.map_or_else(|| fallback(RESTART), text);
        let flag = |word, value, rule: Rule| Flag {
            word,
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
                word: "--label",
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
                word: "--health-cmd",
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
            word: "--health-retries",
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
