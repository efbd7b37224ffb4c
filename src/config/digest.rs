//! Digests: of what reaches a process besides its artifact (F3), and of each key of a playbook.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::Digest as _;

use crate::model::{Container, InvalidName, Sha256, Unit, UnitFiles};

/// What reaches the process on one host besides the artifact. Later kinds of releases add parts; a release without any has the
/// digest of the heading alone, so a host does not look changed when rollgate learns more.
#[derive(Debug, Default)]
pub(crate) struct ConfigParts {
    parts: BTreeMap<String, String>,
}

impl ConfigParts {
    /// Adds what a unit's files say. A unit that is there already says nothing.
    pub(crate) fn add_unit(&mut self, unit: &Unit) {
        let UnitFiles::Rendered { text, drop_in } = &unit.files else {
            return;
        };
        for (part, content) in [("unit", text), ("resources", drop_in)] {
            if let Some(content) = content {
                let name = format!("{part} {}", unit.name);
                self.add(name, content.clone());
            }
        }
    }

    /// Adds a container's settings.
    pub(crate) fn add_container(&mut self, container: &Container) {
        let it = container;
        let settings = (
            it.engine.as_str(),
            &it.name,
            &it.flags,
            &it.env,
            &it.command,
        );
        // Texts alone can always be written.
        self.add(
            "container",
            serde_json::to_string(&settings).unwrap_or_default(),
        );
    }

    /// Adds a part.
    pub(crate) fn add(&mut self, name: impl Into<String>, content: impl Into<String>) {
        self.parts.insert(name.into(), content.into());
    }

    /// The digest of all parts.
    ///
    /// # Errors
    /// Never, in fact: it would mean that a SHA-256 in hexadecimal digits is not one.
    pub(crate) fn digest(&self) -> Result<Sha256, InvalidName> {
        let mut text = String::from("rollgate config 1\n");
        for (name, content) in &self.parts {
            // Lengths in front keep two different sets of parts from having one text.
            // Writing to a string cannot fail.
            let _never = write!(text, "{} {name}\n{} {content}\n", name.len(), content.len());
        }
        Sha256::new(&hex(text.as_bytes()))
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _never = write!(text, "{byte:02x}");
            text
        })
}

/// A digest for each key of a playbook: `service`, `strategy.batch`, `hooks` … Layout and comments do not count.
pub(crate) fn keys(playbook: &toml::Table) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for (name, value) in playbook {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "only tables have keys of their own"
        )]
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    keys.insert(format!("{name}.{key}"), digest_of(value));
                }
            }
            value => {
                keys.insert(name.clone(), digest_of(value));
            }
        }
    }
    keys
}

fn digest_of(value: &toml::Value) -> String {
    // Tables are sorted by key in the TOML crate, so the text is the same whatever the order in the file.
    hex(serde_json::to_string(value).unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(text: &str) -> BTreeMap<String, String> {
        keys(&text.parse().unwrap())
    }

    #[test]
    fn a_key_keeps_its_digest_while_its_value_stays() {
        let one = keys_of("service = \"a\"\n[strategy]\nbatch = [1, \"25%\"]\nsoak = \"1s\"\n");
        let two = keys_of(
            "# moved\nstrategy = { soak = \"2s\", batch = [ 1,\n'25%' ] }\nservice = 'a'\n",
        );
        assert_eq!(
            one.keys().collect::<Vec<_>>(),
            ["service", "strategy.batch", "strategy.soak"]
        );
        assert_eq!(one["service"], two["service"]);
        assert_eq!(one["strategy.batch"], two["strategy.batch"]);
        assert_ne!(one["strategy.soak"], two["strategy.soak"]);
    }

    #[test]
    fn a_release_without_parts_has_a_digest_that_never_changes() {
        // It is on hosts: another value would roll every fleet anew.
        assert_eq!(
            ConfigParts::default().digest().unwrap().as_str(),
            hex(b"rollgate config 1\n")
        );
        let none = crate::model::release::NO_CONFIG;
        assert_eq!(ConfigParts::default().digest().unwrap().as_str(), none);
        insta::assert_snapshot!(ConfigParts::default().digest().unwrap(), @"ed9e62dfb85ca870520ce9a9f215139737eba108db4832c90296d85056c5693f");
    }
}
