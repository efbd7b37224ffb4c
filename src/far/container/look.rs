//! One look at a host, its lock, and its containers.

use std::sync::Arc;

use super::super::draft::{Kit, Stdin};
use super::super::look::{self, Look};
use super::super::{Answer, ScriptError, Site};
use super::{Berth, CONTAINERS, found_dir};
use crate::model::{Become, Current, Engine, HostFacts, Revision};

/// One look at a host with containers.
#[derive(Debug, Clone, Copy)]
pub struct ContainerLook<'a> {
    /// About the lock.
    pub look: Look<'a>,
    /// Where.
    pub berth: &'a Berth,
    /// Whether a container that rollgate did not start is taken over.
    pub adopt: bool,
}

impl ContainerLook<'_> {
    /// The script.
    ///
    /// # Errors
    /// As [`Look::script`].
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = self.look.draft(site)?;
        self.berth.fill(&mut draft, site, "", ("", ""))?;
        let body = [look::SCRIPT, CONTAINERS, include_str!("look.sh")];
        Ok(draft.finish(Kit::Lock, &body, Stdin::Closed))
    }

    /// The facts in an answer.
    ///
    /// # Errors
    /// A text that says what is missing or odd.
    pub fn read(&self, site: &Site, answer: &Answer) -> Result<HostFacts, String> {
        let mut facts = Look::read(site, answer)?;
        // Images are not kept below the root: whether there is room for one is seen while staging.
        facts.free_kib = None;
        // The one in service is told of twice.
        let mut told = std::collections::BTreeSet::new();
        facts.releases.retain(|name| told.insert(name.clone()));
        let trouble: Vec<&str> = answer
            .all("trouble")
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        if !trouble.is_empty() {
            facts.troubles.push(explain(
                self.berth.engine,
                site.r#become,
                &trouble.join(" "),
            ));
        }
        if let Some(id) = answer.get("stranger") {
            let dir = found_dir(id);
            if is_known(&facts, &dir) {
                facts.current = Current::Link(dir);
            } else if let Some(how) = answer.get("fleeting").filter(|_| self.adopt) {
                facts.troubles.push(self.fleeting(id, how));
            } else if self.adopt {
                facts.current = Current::Link(dir);
            } else {
                facts.troubles.push(self.stranger(id));
            }
        }
        Ok(facts)
    }

    /// Why a container cannot be taken over: it would not stay what it is when it is stopped.
    fn fleeting(&self, id: &str, how: &str) -> String {
        let name = &self.berth.name;
        let id = id.get(..12).unwrap_or(id);
        let (flag, what) = if how == "rm" {
            (
                "--rm",
                "it is removed when it is stopped, so there would be nothing to go back to",
            )
        } else {
            (
                "--restart=always",
                "it would come back beside its successor at the next boot",
            )
        };
        format!(
            "container {id}, called `{name}`, cannot be taken over: it was started with `{flag}`, so {what}; start it anew without that, with `--restart=unless-stopped`, and adopt that one"
        )
    }

    fn stranger(&self, id: &str) -> String {
        let (name, engine) = (&self.berth.name, self.berth.engine.as_str());
        let id = id.get(..12).unwrap_or(id);
        format!(
            "the name `{name}` is taken by container {id}, which rollgate did not start; take it over as what ran before with `--adopt`, or move it away: `{engine} rename {name} {name}-other && {engine} stop {name}-other`"
        )
    }
}

/// Whether a container without marks is what rollgate found, by its own records.
fn is_known(facts: &HostFacts, dir: &str) -> bool {
    let line = facts.revisions.iter();
    let mut line = line.filter(|line| line.revision == Revision::FOUND);
    let record = facts.record.read();
    line.any(|line| line.dir == dir)
        || record.is_some_and(|record| {
            let before = record.before.as_ref();
            before.is_some_and(|before| before.dir == dir)
        })
}

/// What an engine's refusal means, and what to do about it.
pub(crate) fn explain(engine: Engine, how: Become, words: &str) -> String {
    let (engine, low) = (engine.as_str(), words.to_ascii_lowercase());
    if words == "missing" {
        return format!(
            "`{engine}` is not installed there: install it, or write the other `engine`"
        );
    }
    let hint = if low.contains("a password is required") || low.contains("not allowed to execute") {
        format!("let the SSH user run it: `USER ALL=(root) NOPASSWD: /usr/bin/{engine}` in sudoers")
    } else if low.contains("permission denied") && how == Become::None {
        format!(
            "the SSH user may not use {engine}: add it to the group (`usermod -aG {engine} USER`), or set become = \"sudo\""
        )
    } else {
        format!("see that it runs: `systemctl status {engine}` on the host")
    };
    format!("`{engine}` does not answer ({words}); {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_engines_come_with_what_to_do() {
        let says = |how, words: &str| explain(Engine::Docker, how, words);
        let denied = "Got permission denied while trying to connect to the Docker daemon socket";
        assert!(says(Become::None, denied).contains("usermod -aG docker"));
        assert!(says(Become::Sudo, "sudo: a password is required").contains("sudoers"));
        assert!(says(Become::None, "missing").contains("install it"));
        let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.";
        assert!(says(Become::None, down).contains("systemctl status docker"));
    }
}
