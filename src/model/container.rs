//! What a container is made of, and where its image comes from.

use std::fmt;
use std::path::PathBuf;

use super::{CredentialNames, Sha256};

/// The domain that is meant where an image's name begins with none.
const HUB: &str = "docker.io";

/// Whose command line runs containers on the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker's.
    Docker,
    /// Podman's.
    Podman,
}

impl Engine {
    /// The command, and the word in the playbook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// A container's settings, rendered for one host and one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Who runs it.
    pub engine: Engine,
    /// What it is called while it is in service; the same for every release.
    pub name: String,
    /// Flags of `create`, but for its name, its marks and its environment.
    pub flags: Vec<String>,
    /// Its environment: `NAME=value`, each on one line.
    pub env: Vec<String>,
    /// What it runs instead of the image's own command.
    pub command: Vec<String>,
}

/// How an image comes to the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Every host pulls it from its registry.
    Host,
    /// It is read here and sent.
    Push,
}

/// The image of a release, not resolved to a digest yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// Who runs it.
    pub engine: Engine,
    /// How it comes to the hosts.
    pub pull: Pull,
    /// Its name; `None` only where `source` is there.
    pub reference: Option<ImageRef>,
    /// An archive here: of `docker save`, or an OCI archive.
    pub source: Option<PathBuf>,
    /// How its registry is asked.
    pub registry: RegistrySpec,
}

/// How a registry is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrySpec {
    /// The environment variables here that hold user name and password.
    pub login: Option<CredentialNames>,
    /// Whether it may be asked without TLS wherever it is.
    pub insecure: bool,
    /// A private CA's file.
    pub ca: Option<PathBuf>,
}

/// An image's name: `registry/path:tag@sha256:digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The registry's domain with its port; `docker.io` where none is named.
    pub registry: String,
    /// The name there.
    pub path: String,
    /// Its tag.
    pub tag: Option<String>,
    /// Its digest, where it is pinned.
    pub digest: Option<Sha256>,
}

impl ImageRef {
    /// Takes a name apart.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let hex = digest.strip_prefix("sha256:").ok_or_else(|| {
                    "a digest is written `@sha256:` and 64 hexadecimal digits".to_owned()
                })?;
                (
                    name,
                    Some(Sha256::new(hex).map_err(|error| error.to_string())?),
                )
            }
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first.to_ascii_lowercase(), rest)
            }
            Some(_) | None => (HUB.to_owned(), name),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag is made of letters, digits and `._-`, 128 at most".to_owned());
        }
        if !path.split('/').all(is_part) || !is_domain(&registry) {
            return Err(
                "a name is made of small letters, digits and `._-`, in parts with `/` between them"
                    .to_owned(),
            );
        }
        let path = if registry == HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            registry,
            path,
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// Registry and path: what stands before a tag or a digest.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// The same image by its digest.
    pub fn at(&self, digest: &Sha256) -> String {
        format!("{}@sha256:{digest}", self.repository())
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

fn is_tag(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !text.is_empty() && text.len() <= 128 && !text.starts_with(['.', '-']) && text.bytes().all(fine)
}

fn is_part(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    !text.is_empty() && text.bytes().all(fine) && !text.starts_with(['.', '-', '_'])
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (text, "5000"),
    };
    let fine = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    let is_port = port.parse::<u16>().is_ok();
    is_port && !host.is_empty() && host.bytes().all(fine) && !host.starts_with(['-', '.'])
}

/// A user name and a password; nothing prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_images_are_taken_apart() {
        let hex = "a".repeat(64);
        for (text, whole) in [
            ("nginx:1.27", "docker.io/library/nginx:1.27".to_owned()),
            ("acme/app:2", "docker.io/acme/app:2".to_owned()),
            ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1".to_owned()),
            ("localhost/a:1", "localhost/a:1".to_owned()),
            (
                &format!("reg.example/a@sha256:{hex}"),
                format!("reg.example/a@sha256:{hex}"),
            ),
            (
                &format!("reg.example:5000/a:1@sha256:{hex}"),
                format!("reg.example:5000/a:1@sha256:{hex}"),
            ),
            ("reg.example:5000/a", "reg.example:5000/a".to_owned()),
        ] {
            assert_eq!(ImageRef::parse(text).unwrap().to_string(), whole, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ":1",
            "a:",
            "A:1",
            "reg.example/",
            "a b:1",
            "-a:1",
            "a@sha256:12",
            "a@md5:12",
            "a:../x",
            "reg.example//a:1",
        ] {
            assert!(ImageRef::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _any = ImageRef::parse(&text);
        }

        #[test]
        fn what_was_read_is_read_again(text in "[a-z.:/@]{1,30}") {
            if let Ok(image) = ImageRef::parse(&text) {
                prop_assert_eq!(ImageRef::parse(&image.to_string()), Ok(image));
            }
        }
    }
}
