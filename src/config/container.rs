//! A container's settings, kept as checked templates and rendered for one host and one release.

use super::check::Text;
use super::check::scope::{RELEASE, ROOT};
use super::diagnostic::Report;
use super::recipes::Misplaced;
use super::template::{self, Context, Fault};
use crate::model::{Container, Engine};

/// Says what is wrong with a value, and what would be right.
pub(crate) type Rule = fn(&str) -> Result<(), &'static str>;

/// One flag of `create` with a templated value.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// Such as `--publish`.
    pub word: &'static str,
    /// What stands before the value, such as a label's name with `=`.
    pub before: String,
    /// The value.
    pub value: Text,
    /// What it must be.
    pub rule: Rule,
}

/// The table of a container.
#[derive(Debug, Clone)]
pub(crate) struct ContainerRecipe {
    /// Who runs it.
    pub engine: Engine,
    /// What it is called in service.
    pub name: Text,
    /// Flags with values that are templates.
    pub flags: Vec<Flag>,
    /// Flags that are the same everywhere.
    pub fixed: Vec<String>,
    /// Lines of the environment file, as they are.
    pub env_lines: Vec<String>,
    /// Further variables, which replace those of the file.
    pub env: Vec<(String, Text)>,
    /// What it runs.
    pub command: Vec<Text>,
}

impl ContainerRecipe {
    /// What can be told without a host.
    pub(crate) fn check(&self, report: &mut Report) {
        self.name.check(&ROOT, report);
        let flags = self.flags.iter().map(|flag| &flag.value);
        let env = self.env.iter().map(|(_, text)| text);
        for text in flags.chain(env).chain(&self.command) {
            text.check(&RELEASE, report);
        }
    }

    /// The settings.
    ///
    /// # Errors
    /// The faults of a template, or of what it was rendered to.
    pub(crate) fn render(&self, context: &Context) -> Result<Container, Misplaced<'_>> {
        let name = rendered(&self.name, context, is_name)?;
        let mut flags = Vec::with_capacity(2 * self.flags.len() + self.fixed.len());
        for flag in &self.flags {
            let value = rendered(&flag.value, context, flag.rule)?;
            flags.push(flag.word.to_owned());
            flags.push(format!("{}{value}", flag.before));
        }
        flags.extend(self.fixed.iter().cloned());
        let is_named = |line: &&String| {
            let name = line.split('=').next().unwrap_or_default();
            self.env.iter().all(|(other, _)| other != name)
        };
        let mut env: Vec<String> = self.env_lines.iter().filter(is_named).cloned().collect();
        for (name, value) in &self.env {
            env.push(format!("{name}={}", rendered(value, context, is_one_line)?));
        }
        let command = self.command.iter();
        let command: Result<Vec<String>, Misplaced<'_>> = command
            .map(|word| rendered(word, context, is_argument))
            .collect();
        Ok(Container {
            engine: self.engine,
            name,
            flags,
            env,
            command: command?,
        })
    }
}

fn rendered<'a>(text: &'a Text, context: &Context, rule: Rule) -> Result<String, Misplaced<'a>> {
    let value = template::render(&text.text, &RELEASE, context).map_err(|faults| (text, faults))?;
    match rule(&value) {
        Ok(()) => Ok(value),
        Err(help) => {
            let fault = Fault {
                // Not the value itself: it may be a secret.
                title: "this does not make a value that can be used here".to_owned(),
                help: help.to_owned(),
                range: None,
            };
            Err((text, vec![fault]))
        }
    }
}

fn holds(right: bool, help: &'static str) -> Result<(), &'static str> {
    right.then_some(()).ok_or(help)
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_control)
}

/// Source: the engines' rule for names, with room for what is added behind it.
pub(crate) fn is_name(text: &str) -> Result<(), &'static str> {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    holds(
        first && text.len() <= 200 && text.bytes().all(fine),
        "a container's name begins with a letter or digit and has letters, digits and `_.-`: write name = \"app\" in [release]",
    )
}

fn is_argument(text: &str) -> Result<(), &'static str> {
    holds(
        !text.contains('\0'),
        "an argument cannot hold a zero byte: take it out of the value",
    )
}

fn is_one_line(text: &str) -> Result<(), &'static str> {
    holds(
        !text.contains(['\n', '\r', '\0']),
        "an environment variable of a container is one line: put longer texts into a file and mount it with `volumes`",
    )
}

/// A value that only must be one.
pub(crate) fn is_value(text: &str) -> Result<(), &'static str> {
    holds(
        is_plain(text),
        "write one line that does not begin with `-`",
    )
}

/// A label's value.
pub(crate) fn is_label(text: &str) -> Result<(), &'static str> {
    holds(
        !text.contains(char::is_control),
        "a label's value is one line",
    )
}

/// `[address:]host:container[/protocol]`; ports may be ranges.
pub(crate) fn is_port(text: &str) -> Result<(), &'static str> {
    const HELP: &str =
        "write \"8080:8080\", \"127.0.0.1:8080:80\" or \"5353:53/udp\": the host's port first";
    let range = |text: &str| {
        let mut ends = text.splitn(2, '-');
        ends.all(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let mut parts = ports.rsplitn(3, ':');
    let (inside, outside) = (parts.next(), parts.next());
    let address = parts.next().is_none_or(|address| {
        let bare = address.trim_matches(['[', ']']);
        bare.parse::<std::net::IpAddr>().is_ok()
    });
    let right = inside.is_some_and(range) && outside.is_some_and(range) && address;
    holds(right && ["tcp", "udp", "sctp"].contains(&protocol), HELP)
}

/// `source:/inside[:options]`.
pub(crate) fn is_volume(text: &str) -> Result<(), &'static str> {
    const HELP: &str = "write \"data:/var/lib/app\" or \"/srv/app:/data:ro\": a volume's name or an absolute path on the host, then an absolute path inside";
    let mut parts = text.splitn(3, ':');
    let (source, inside) = (parts.next(), parts.next());
    let named = |source: &str| {
        source.starts_with('/')
            || (is_plain(source) && !source.starts_with(['.', '~']) && !source.contains('/'))
    };
    holds(
        is_plain(text)
            && source.is_some_and(named)
            && inside.is_some_and(|inside| inside.starts_with('/')),
        HELP,
    )
}

/// A number of bytes as the engines take it.
pub(crate) fn is_memory(text: &str) -> Result<(), &'static str> {
    let digits = text.trim_end_matches(|c: char| "bkmgBKMG".contains(c));
    holds(
        text.len() - digits.len() <= 1 && digits.parse::<u64>().is_ok_and(|bytes| bytes > 0),
        "write \"512m\" or \"2g\"",
    )
}

/// A number of processors.
pub(crate) fn is_cpus(text: &str) -> Result<(), &'static str> {
    let number = text.parse::<f64>();
    holds(
        number.is_ok_and(|cpus| cpus.is_finite() && cpus > 0.0),
        "write \"1.5\" or 2",
    )
}

/// What the engine does when the container ends.
pub(crate) fn is_restart(text: &str) -> Result<(), &'static str> {
    let retries = text.strip_prefix("on-failure:");
    if text == "always" {
        return Err(
            "the release before is kept, stopped, for a revert, and `always` would start it with the next boot: write \"unless-stopped\"",
        );
    }
    holds(
        ["no", "on-failure", "unless-stopped"].contains(&text)
            || retries.is_some_and(|count| count.parse::<u32>().is_ok()),
        "write \"unless-stopped\", \"on-failure\", \"on-failure:5\" or \"no\"",
    )
}

/// A number of times.
pub(crate) fn is_count(text: &str) -> Result<(), &'static str> {
    holds(
        text.parse::<u16>().is_ok_and(|count| count > 0),
        "write a number, 1 or more",
    )
}

/// A label that is not one of our own.
pub(crate) fn is_label_name(text: &str) -> bool {
    is_plain(text) && !text.contains(['=', ' ']) && !text.starts_with("rollgate.")
}

/// A variable's name.
pub(crate) fn is_variable(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.bytes().all(fine)
}

/// The variables of an environment file: `NAME=value` a line; empty lines and comments do not count.
///
/// # Errors
/// The number of the first line that is none.
pub(crate) fn env_lines(text: &str) -> Result<Vec<String>, usize> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let named = line.split_once('=');
        if !named.is_some_and(|(name, _)| is_variable(name)) || line.contains('\0') {
            return Err(number + 1);
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Rule; 11] = [
        is_name,
        is_argument,
        is_one_line,
        is_value,
        is_label,
        is_port,
        is_volume,
        is_memory,
        is_cpus,
        is_restart,
        is_name,
    ];

    #[test]
    fn values_are_what_the_engines_take() {
        for (rule, good, bad) in [
            (
                is_port as Rule,
                &[
                    "8080:80",
                    "127.0.0.1:8080:80",
                    "[::1]:1:2",
                    "53:53/udp",
                    "9000-9010:9000-9010",
                ][..],
                &[
                    "8080",
                    "",
                    "a:b",
                    "8080:80/icmp",
                    "host:80:80",
                    "0:80",
                    "--privileged",
                ][..],
            ),
            (
                is_volume,
                &["data:/d", "/srv/x:/d:ro"],
                &["/srv", "./x:/d", "~/x:/d", "data:d", "-v:/x", "a/b:/d"],
            ),
            (
                is_memory,
                &["512m", "1G", "1048576"],
                &["", "m", "0", "1mb", "-1m"],
            ),
            (
                is_cpus,
                &["1", "0.5"],
                &["", "0", "-1", "inf", "NaN", "two"],
            ),
            (
                is_restart,
                &["no", "on-failure", "on-failure:3", "unless-stopped"],
                &["always", "", "on-failure:x"],
            ),
            (is_name, &["app", "a_b.c-1"], &["", "-a", "a/b", "a b", "ä"]),
        ] {
            for text in good {
                assert_eq!(rule(text), Ok(()), "{text}");
            }
            for text in bad {
                assert!(rule(text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn an_environment_file_is_read_line_by_line() {
        let text = "# first\n\nA=1\n  B = x # y\nC=\n";
        assert_eq!(env_lines(text), Err(4));
        assert_eq!(
            env_lines("A=1\r\n# no\nB_2=a b=c\n"),
            Ok(vec!["A=1".to_owned(), "B_2=a b=c".to_owned()])
        );
        assert_eq!(env_lines("JUST_A_NAME\n"), Err(1));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_rule_panic(text in ".*") {
            for rule in ALL {
                let _any = rule(&text);
            }
            let _any = env_lines(&text);
        }
    }
}
