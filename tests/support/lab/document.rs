//! The inventory and the playbook of a lab, as values that a test changes before it writes them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::fs;
use std::io;

use super::range::{APP, SSH};
use super::{Lab, SERVICE, fleet, fleet_lab};

/// A TOML file in the making: sections of keys, and text that follows them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    // The top, an empty name, sorts first, where TOML wants it.
    sections: BTreeMap<String, Vec<(String, String)>>,
    tail: String,
}

impl Document {
    /// Sets a key of a section to a value written in TOML; the section `""` is the top. What was there is replaced.
    #[must_use]
    pub(crate) fn set(mut self, section: &str, key: &str, value: impl Into<String>) -> Self {
        let keys = self.section(section);
        keys.retain(|(name, _)| name != key);
        keys.push((key.to_owned(), value.into()));
        self
    }

    /// Takes a key away.
    #[must_use]
    pub(crate) fn without(mut self, section: &str, key: &str) -> Self {
        self.section(section).retain(|(name, _)| name != key);
        self
    }

    /// Adds TOML text at the end.
    #[must_use]
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.tail.push_str(text);
        self.tail.push('\n');
        self
    }

    fn section(&mut self, name: &str) -> &mut Vec<(String, String)> {
        self.sections.entry(name.to_owned()).or_default()
    }
}

impl Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, keys) in &self.sections {
            if !name.is_empty() {
                writeln!(f, "\n[{name}]")?;
            }
            for (key, value) in keys {
                writeln!(f, "{key} = {value}")?;
            }
        }
        writeln!(f, "\n{}", self.tail)
    }
}

/// A TOML string.
pub(crate) fn quoted(text: impl Display) -> String {
    format!("\"{text}\"")
}

/// Starts the application of a host detached, with its process id in a file. The file is there when the command ends.
pub(crate) fn start_script(home: &impl Display, app: &impl Display) -> String {
    format!(
        "cd {home} || exit 1\n\
         setsid ./srv/current/app serve --listen {app} >>app.log 2>&1 </dev/null &\n\
         echo $! >app.pid\n"
    )
}

/// Ends it with SIGTERM, and waits. A process whose `exe` cannot be followed is gone, or a zombie.
fn stop_script(home: &impl Display) -> String {
    format!(
        "cd {home} || exit 1\n\
         [ -s app.pid ] || exit 0\n\
         read -r pid <app.pid\n\
         [ -e /proc/$pid/exe ] && kill $pid\n\
         n=0\n\
         while [ -e /proc/$pid/exe ]; do\n  \
           n=$((n + 1))\n  \
           [ $n -lt 150 ] || kill -9 $pid\n  \
           sleep 0.02\n\
         done\n\
         rm -f app.pid\n"
    )
}

pub(crate) fn multiline(text: &str) -> String {
    format!("'''\n{text}'''")
}

/// What a shell script needs to know of a lab, as assignments.
fn environment(lab: &Lab) -> String {
    let dir = lab.dir().display();
    let mut text = format!("INVENTORY='{dir}/inventory.toml'\nPLAYBOOK='{dir}/playbook.toml'\n");
    for (number, balancer) in lab.balancers.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ok = writeln!(
            text,
            "FRONT_{number}='{}'\nSTATS_{number}='{}'\nSOCKET_{number}='{}'",
            balancer.front,
            balancer.stats,
            balancer.socket.display()
        );
    }
    let hosts: Vec<String> = lab
        .hosts
        .iter()
        .map(|host| format!("{}={}", host.name, host.app))
        .collect();
    let _ok = writeln!(text, "HOSTS='{}'", hosts.join(" "));
    text
}

impl Lab {
    /// Writes `lab.env` in one piece, so that whoever waits for it finds it whole.
    pub(crate) fn write_env(&self) -> io::Result<()> {
        let unfinished = self.dir().join(".lab.env");
        fs::write(&unfinished, environment(self))?;
        fs::rename(unfinished, self.dir().join("lab.env"))
    }

    /// The inventory of the whole lab.
    pub(crate) fn inventory(&self) -> Document {
        let dir = self.dir().display();
        let total = self.hosts.len();
        let width = super::width(total);
        let range = format!("hosts.\"web-[{:0width$}:{total:0width$}]\"", 1);
        let (ssh, address, app) = match &self.fleet {
            Some(fleet) => (22, fleet.template(), fleet::APP),
            None => (SSH, self.range.template(), APP),
        };
        let mut document = Document::default()
            .set("ssh", "user", quoted(&self.user))
            .set("ssh", "port", ssh.to_string())
            .set("ssh", "identity_files", format!("[\"{dir}/keys/client\"]"))
            .set("ssh", "known_hosts", format!("[\"{dir}/known_hosts\"]"))
            .set("ssh", "ssh_config", "false")
            .set("ssh", "connect_timeout", quoted("5s"))
            .set(&range, "address", quoted(address))
            .set(&range, "vars", format!("{{ port = {app} }}"))
            .set("groups.web", "hosts", "[\"web-*\"]");
        for balancer in &self.balancers {
            let section = format!("balancers.{}", balancer.name);
            let socket = format!("unix://{}", balancer.socket.display());
            document = document.set(&section, "kind", quoted("haproxy")).set(
                &section,
                "socket",
                quoted(socket),
            );
        }
        document
    }

    /// A playbook for it, with timings for tests.
    pub(crate) fn playbook(&self) -> Document {
        let home = format!("{}/hosts/{{{{ host }}}}", self.dir().display());
        let app = "{{ address }}:{{ vars.port }}";
        let mut document = Document::default()
            .set("", "service", quoted(SERVICE))
            .set("", "hosts", quoted("web"))
            .set("release", "kind", quoted("binary"))
            .set("release", "source", quoted("artifacts/{{ version }}/app"))
            .set("release", "root", quoted(format!("{home}/srv")))
            .set("run", "start", multiline(&start_script(&home, &app)))
            .set("run", "stop", multiline(&stop_script(&home)))
            .set("run", "stop_timeout", quoted("10s"))
            .set("run", "logs", quoted(format!("tail -n 20 {home}/app.log")))
            .set("strategy", "batch", "2")
            .set("strategy", "max_unavailable", "2")
            .set("strategy", "soak", quoted("200ms"))
            .set("strategy", "deadline", quoted("60s"))
            .set("drain", "timeout", quoted("5s"))
            .set(
                "ready",
                "http",
                quoted(format!("http://{app}/health/ready")),
            )
            .set("ready", "version", "{ header = \"x-version\" }")
            .set("ready", "period", quoted("50ms"))
            .set("ready", "timeout", quoted("1s"))
            .set("ready", "deadline", quoted("4s"));
        for balancer in &self.balancers {
            let entry = format!(
                "[[traffic]]\nbalancer = \"{}\"\npool = \"{SERVICE}\"",
                balancer.name
            );
            document = document.and(&entry);
        }
        match &self.fleet {
            Some(_) => fleet_lab::on_hosts(document),
            None => document,
        }
    }
}
