//! The image to a host, and a container made of it that is not started yet.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sha2::Digest as _;

use super::super::draft::{Kit, Stdin, folder_name};
use super::super::{Draft, ScriptError, Site};
use super::{Berth, CONTAINERS};
use crate::model::{Artifact, Container, Engine, ReleaseRef};

/// What must stay free besides the image.
const SPARE_KIB: u64 = 10_240;
/// What the slowest line worth waiting for carries in a second.
const LINE_BYTES_PER_SECOND: u64 = 100_000;
/// For what is pulled, and for the container.
const CHECK_LIMIT: Duration = Duration::from_secs(1500);
/// For the engine to unpack what came.
const LOAD_LIMIT: Duration = Duration::from_secs(600);

/// How a host pulls.
#[derive(Debug, Clone, Copy)]
pub struct PullFrom<'a> {
    /// The login file's text; empty: the host's own logins count.
    pub auth: &'a str,
    /// Whether the registry is asked without TLS.
    pub insecure: bool,
}

/// A container on its way to one host.
#[derive(Debug, Clone, Copy)]
pub struct ContainerStage<'a> {
    /// Which release it is.
    pub release: &'a ReleaseRef,
    /// Its image.
    pub artifact: &'a Artifact,
    /// What else the image may be called there once it is there: its ids.
    pub ids: &'a [String],
    /// Its settings.
    pub settings: &'a Container,
    /// Where.
    pub berth: &'a Berth,
    /// How the host pulls; `None`: the image is sent.
    pub pull: Option<PullFrom<'a>>,
}

impl ContainerStage<'_> {
    /// How long the look may take, a pull included.
    pub fn check_limit(&self) -> Duration {
        CHECK_LIMIT
    }

    /// How long the sending may take.
    pub fn load_limit(&self) -> Duration {
        LOAD_LIMIT + Duration::from_secs(self.artifact.size / LINE_BYTES_PER_SECOND)
    }

    /// The look, which pulls and makes the container where it can.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a name or a text that no script may be made of.
    pub fn check_script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = self.draft(site)?;
        let from = self.pull;
        draft.value("PULL", if from.is_some() { "yes" } else { "" })?;
        draft.value("AUTH", from.map_or("", |from| from.auth))?;
        let need = self.artifact.size.div_ceil(1024).saturating_add(SPARE_KIB);
        draft.value("NEED", &need.to_string())?;
        draft.words("pull", &self.pull_words(site))?;
        let body = [
            CONTAINERS,
            include_str!("stage.sh"),
            include_str!("stage_check.sh"),
        ];
        Ok(draft.finish(Kit::Command, &body, Stdin::Closed))
    }

    /// The sending: the image's bytes follow on standard input.
    ///
    /// # Errors
    /// As [`ContainerStage::check_script`].
    pub fn load_script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let body = [
            CONTAINERS,
            include_str!("stage.sh"),
            include_str!("stage_load.sh"),
        ];
        Ok(self
            .draft(site)?
            .finish(Kit::Command, &body, Stdin::Payload))
    }

    /// What the container is made from.
    fn image(&self) -> String {
        match self.pull {
            Some(_) => format!("{}@sha256:{}", self.berth.repository, self.artifact.sha256),
            None => self.berth.tag(self.artifact.sha256.as_str()),
        }
    }

    fn draft(&self, site: &Site) -> Result<Draft, ScriptError> {
        let mut draft = Draft::new(site)?;
        let sha256 = self.artifact.sha256.as_str();
        self.berth.fill(&mut draft, site, sha256, ("", ""))?;
        draft.value("RELEASE", self.folder()?)?;
        draft.value("ASIDE", &self.aside())?;
        draft.value("SPEC", &self.spec())?;
        draft.value("SHA", sha256)?;
        draft.value("NETWORK", self.network())?;
        draft.value("IMAGE", &self.image())?;
        draft.value("IDS", &self.ids.join(" "))?;
        let mut environment = self.settings.env.join("\n");
        if !environment.is_empty() {
            environment.push('\n');
        }
        draft.value("ENVIRONMENT", &environment)?;
        draft.words("create", &self.create_words(site)?)?;
        Ok(draft)
    }

    fn folder(&self) -> Result<&str, ScriptError> {
        folder_name(self.release.dir.rsplit('/').next().unwrap_or_default())
    }

    /// The network that the container joins.
    fn network(&self) -> &str {
        let mut words = self.settings.flags.iter();
        words
            .find(|word| *word == "--network")
            .and_then(|_| words.next())
            .map_or("", String::as_str)
    }

    /// What the container is called while another one is in service.
    fn aside(&self) -> String {
        format!("{}-{}", self.berth.name, self.release.revision)
    }

    /// A digest of everything that the container is made of.
    fn spec(&self) -> String {
        let Container {
            engine: _,
            name,
            flags,
            env,
            command,
        } = self.settings;
        let mut hasher = sha2::Sha256::new();
        let fixed = [self.artifact.sha256.as_str(), name.as_str()];
        let words = [flags, env, command];
        let words = words
            .iter()
            .flat_map(|list| list.iter().map(String::as_str).chain(["\0"]));
        for word in fixed.into_iter().chain(words) {
            hasher.update(word.as_bytes());
            hasher.update([0]);
        }
        hasher
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                let _never = write!(text, "{byte:02x}");
                text
            })
    }

    fn create_words(&self, site: &Site) -> Result<Vec<String>, ScriptError> {
        let marks = [
            ("root", site.root()?.to_owned()),
            ("service", self.berth.service.clone()),
            ("release", self.folder()?.to_owned()),
            ("revision", self.release.revision.to_string()),
            ("name", self.berth.name.clone()),
            ("image", self.artifact.sha256.to_string()),
            ("spec", self.spec()),
            ("rollout", site.rollout.to_string()),
        ];
        let mut words = vec!["create".to_owned(), "--name".to_owned(), self.aside()];
        for (key, value) in marks {
            words.push("--label".to_owned());
            words.push(format!("rollgate.{key}={value}"));
        }
        words.push("--env-file".to_owned());
        words.push(format!("{}/env", private(site)?));
        words.extend(self.settings.flags.iter().cloned());
        words.push(self.image());
        words.extend(self.settings.command.iter().cloned());
        Ok(words)
    }

    fn pull_words(&self, site: &Site) -> Vec<String> {
        let Some(from) = self.pull else {
            return Vec::new();
        };
        let folder = private(site).unwrap_or_default();
        let has_login = !from.auth.is_empty();
        let mut words = Vec::new();
        match self.berth.engine {
            Engine::Docker => {
                if has_login {
                    words.extend(["--config".to_owned(), folder]);
                }
                words.push("pull".to_owned());
            }
            Engine::Podman => {
                words.push("pull".to_owned());
                if has_login {
                    words.extend(["--authfile".to_owned(), format!("{folder}/config.json")]);
                }
                if from.insecure {
                    words.push("--tls-verify=false".to_owned());
                }
            }
        }
        words.push("--quiet".to_owned());
        words.push(self.image());
        words
    }
}

/// The folder that the script keeps to itself.
fn private(site: &Site) -> Result<String, ScriptError> {
    let root = site.root()?;
    Ok(format!(
        "{root}/.rollgate/create.{}.{}",
        site.rollout, site.token
    ))
}
