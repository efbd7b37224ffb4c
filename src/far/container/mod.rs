//! Releases that are containers: the engine's command line in place of folders, the link and the service.
//!
//! Locks, records and history are those of every release. What differs: the container that is called as the playbook says, and bears
//! rollgate's marks, is what `current` is elsewhere; containers with the marks of a release are its folder.
//!
//! * [`look`]: which containers there are. [`stage`]: the image and a container that is not started yet.
//! * [`swap`]: one container stops, another one starts. [`end`]: logs, and pruning at the end.
//!
//! Docker and Podman are told the same but for the few words in [`Words`].

pub mod end;
pub mod look;
pub mod stage;
pub mod swap;

use super::draft::Privileged;
use super::{Draft, ScriptError, Site};
use crate::model::{Command, Engine};

/// What a container is called that was there before rollgate, in the place of a folder.
const FOUND: &str = "container:";
const CONTAINERS: &str = include_str!("containers.sh");

/// Where containers of a service are, on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Berth {
    /// Whose command line.
    pub engine: Engine,
    /// What the container in service is called.
    pub name: String,
    /// The service.
    pub service: String,
    /// Where its images are pulled from, registry and path; empty where they are sent.
    pub repository: String,
}

/// What the engines say differently.
struct Words {
    /// The template that prints where the engine keeps its data.
    data: &'static str,
}

fn words(engine: Engine) -> Words {
    match engine {
        Engine::Docker => Words {
            data: "{{.DockerRootDir}}",
        },
        Engine::Podman => Words {
            data: "{{.Store.GraphRoot}}",
        },
    }
}

/// The id of a container that was there before rollgate, if `dir` is one.
pub fn found_id(dir: &str) -> Option<&str> {
    dir.strip_prefix(FOUND)
}

/// What stands for the folder of a container that was there before rollgate.
pub fn found_dir(id: &str) -> String {
    format!("{FOUND}{id}")
}

/// What an image of a service is called on hosts: rollgate's own name for it, by its digest.
pub fn image_tag(service: &str, sha256: &str) -> String {
    let fine = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = service.chars().map(fine).collect();
    format!("localhost/rollgate/{}:{sha256}", name.trim_matches('-'))
}

impl Berth {
    /// The name of one image on hosts.
    pub fn tag(&self, sha256: &str) -> String {
        image_tag(&self.service, sha256)
    }

    /// The variables that every script about containers has. `found` and `before` are ids of containers without our marks.
    fn fill(
        &self,
        draft: &mut Draft,
        site: &Site,
        sha256: &str,
        (found, before): (&str, &str),
    ) -> Result<(), ScriptError> {
        draft.value("ENGINE", self.engine.as_str())?;
        draft.value("NAME", &self.name)?;
        draft.value("FOUND", checked_id(found)?)?;
        draft.value("BEFORE", checked_id(before)?)?;
        draft.value("TAG", &self.tag(sha256))?;
        draft.value("REPOSITORY", &self.repository)?;
        draft.value("DATA", words(self.engine).data)?;
        let command = Command::Argv(vec![self.engine.as_str().to_owned()]);
        let command = site.words(&command, Privileged::Yes);
        draft.command("engine", "", &command)?;
        draft.command("engine_limited", "limited \"$ROOT\" \"$span\" ", &command)
    }
}

/// Ids stand unquoted in scripts.
fn checked_id(text: &str) -> Result<&str, ScriptError> {
    if text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text)
    } else {
        Err(ScriptError::Name {
            text: text.to_owned(),
            wanted: "a container's id",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_called_what_every_engine_takes() {
        let berth = |service: &str| Berth {
            engine: Engine::Docker,
            name: "app".to_owned(),
            service: service.to_owned(),
            repository: String::new(),
        };
        assert_eq!(
            berth("Pay_ments.API").tag("ab"),
            "localhost/rollgate/pay-ments-api:ab"
        );
        assert_eq!(berth("a@b:").tag("ab"), "localhost/rollgate/a-b:ab");
    }

    #[test]
    fn only_ids_stand_for_containers_that_were_found() {
        assert_eq!(found_id(&found_dir("ab12")), Some("ab12"));
        assert_eq!(found_id("/opt/app"), None);
        assert!(checked_id("ab; rm").is_err());
        assert!(checked_id("").is_ok());
    }
}
