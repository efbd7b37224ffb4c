//! The artifact into its folder: a look whether it must be sent at all, then the upload.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::draft::{Kit, Stdin, folder_name};
use super::{Answer, Draft, ScriptError, Site};
use crate::model::{Artifact, Become, Form, Overlay, ReleaseRef};

/// The list of its files that a release made of an archive carries.
pub const LIST: &str = ".rollgate-files";

/// What must stay free besides the artifact: for records, and for folders' own blocks.
const SPARE_KIB: u64 = 1024;
/// What the slowest host worth waiting for reads and hashes in a second.
const DISK_BYTES_PER_SECOND: u64 = 5_000_000;
/// What the slowest line worth waiting for carries in a second.
const LINE_BYTES_PER_SECOND: u64 = 100_000;

/// An artifact on its way to one host.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Where it goes: `<root>/releases/<name>`.
    pub release: &'a ReleaseRef,
    /// What it is.
    pub artifact: &'a Artifact,
    /// Folders there that may hold the same bytes: absolute, or names under `releases/`.
    pub candidates: &'a [String],
    /// What else lies in the release; `None`: whatever does, so that it cannot be made anew.
    pub overlay: Option<&'a Overlay>,
}

/// What the look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It lies there, checked again.
    Have,
    /// It was copied from an earlier release, checked.
    Copied,
    /// It must be sent.
    Upload,
}

impl Stage<'_> {
    /// How long the look may take: it may hash every candidate, and copy one.
    pub fn check_limit(&self) -> Duration {
        let passes = 3 + u64::try_from(self.candidates.len()).unwrap_or(u64::MAX);
        let bytes = self.artifact.size.saturating_mul(passes);
        Duration::from_secs(60 + bytes / DISK_BYTES_PER_SECOND)
    }

    /// How long the upload may take.
    pub fn upload_limit(&self) -> Duration {
        Duration::from_secs(120 + self.artifact.size / LINE_BYTES_PER_SECOND)
    }

    /// The local file that is sent, and its length; `None` where there is none.
    pub fn payload(&self) -> Option<(&Path, u64)> {
        match &self.artifact.form {
            Form::File => Some((&self.artifact.path, self.artifact.size)),
            Form::Tree(pack) => pack.as_ref().map(|pack| (pack.path.as_path(), pack.size)),
        }
    }

    /// The look, which also removes what an earlier run left half made.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a folder or a name that no script may be made of.
    pub fn check_script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = self.draft(site)?;
        let releases = format!("{}/releases", site.root()?);
        let mut folders = Vec::with_capacity(self.candidates.len());
        for candidate in self.candidates {
            if candidate.starts_with('/') {
                folders.push(candidate.clone());
            } else {
                folders.push(format!("{releases}/{}", folder_name(candidate)?));
            }
        }
        draft.words("candidates", &folders)?;
        let body = self.body(include_str!("stage_check.sh"));
        Ok(draft.finish(Kit::Act, &body, Stdin::Closed))
    }

    /// What the look found.
    ///
    /// # Errors
    /// A text that says what is missing or odd.
    pub fn read_check(answer: &Answer) -> Result<Need, String> {
        match answer.need("stage")? {
            "have" => Ok(Need::Have),
            "copied" => Ok(Need::Copied),
            "need" => Ok(Need::Upload),
            other => Err(format!("its `stage` is `{other}`")),
        }
    }

    /// The upload: the artifact's bytes follow on standard input.
    ///
    /// # Errors
    /// As [`Stage::check_script`].
    pub fn upload_script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let body = self.body(include_str!("stage_upload.sh"));
        Ok(self.draft(site)?.finish(Kit::Act, &body, Stdin::Payload))
    }

    /// The parts of both scripts, the last one with its `main`.
    fn body(&self, last: &'static str) -> [&'static str; 4] {
        let form = match self.artifact.form {
            Form::File => include_str!("stage_file.sh"),
            Form::Tree(_) => include_str!("stage_tree.sh"),
        };
        [
            include_str!("stage.sh"),
            form,
            include_str!("overlay.sh"),
            last,
        ]
    }

    fn draft(&self, site: &Site) -> Result<Draft, ScriptError> {
        let mut draft = Draft::new(site)?;
        let prefix = format!("{}/releases/", site.root()?);
        let wrong = || ScriptError::Name {
            text: self.release.dir.clone(),
            wanted: "a folder under `releases/` of this root",
        };
        folder_name(self.release.dir.strip_prefix(&prefix).ok_or_else(wrong)?)?;
        draft.value("DIR", &self.release.dir)?;
        match &self.artifact.form {
            Form::File => draft.value("NAME", folder_name(&self.artifact.name)?)?,
            Form::Tree(pack) => {
                let manifest = pack.as_ref().map_or("", |pack| pack.manifest.as_str());
                draft.value("LIST", LIST)?;
                draft.value("MANIFEST", manifest)?;
            }
        }
        self.overlay(site, &mut draft)?;
        draft.value("SHA", self.artifact.sha256.as_str())?;
        draft.value("SIZE", &self.artifact.size.to_string())?;
        let need = self.artifact.size.div_ceil(1024).saturating_add(SPARE_KIB);
        draft.value("NEED", &need.to_string())?;
        Ok(draft)
    }

    fn overlay(&self, site: &Site, draft: &mut Draft) -> Result<(), ScriptError> {
        let shared = self.overlay.map_or(&[][..], |overlay| &overlay.shared);
        let mut words = Vec::with_capacity(shared.len() * 2);
        for path in shared {
            words.push(inside(path)?.to_owned());
            words.push(shared_target(path));
        }
        let raised = match site.r#become {
            Become::Sudo => "sudo",
            Become::Doas => "doas",
            Become::None | Become::SudoAll => "",
        };
        draft.value("RAISED", raised)?;
        draft.value("OVERLAY", if self.overlay.is_some() { "yes" } else { "" })?;
        draft.words("shared", &words)?;
        let files = self.overlay.map_or(&[][..], |overlay| &overlay.files);
        let mut words = Vec::with_capacity(files.len() * 5);
        for file in files {
            words.push(Zeroizing::new(inside(&file.path)?.to_owned()));
            words.push(Zeroizing::new(format!("{:o}", file.mode)));
            words.push(Zeroizing::new(file.owner.clone().unwrap_or_default()));
            words.push(Zeroizing::new(file.sha256.to_string()));
            words.push(Zeroizing::new(file.text.expose().to_owned()));
        }
        draft.words(
            "files",
            &words.iter().map(|word| word.as_str()).collect::<Vec<_>>(),
        )
    }
}

/// Checks a path inside a release.
fn inside(path: &str) -> Result<&str, ScriptError> {
    let fine = !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.chars().any(char::is_control);
    if fine {
        Ok(path)
    } else {
        Err(ScriptError::Name {
            text: path.to_owned(),
            wanted: "a path inside a release",
        })
    }
}

/// From where a link lies in `<root>/releases/<name>` to its place in `<root>/shared`.
fn shared_target(path: &str) -> String {
    let up = "../".repeat(2 + path.matches('/').count());
    format!("{up}shared/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LockToken, Revision, RolloutId, Sha256};

    #[test]
    fn a_folder_outside_of_releases_is_never_staged_into() {
        let site = Site {
            root: "/opt/app".to_owned(),
            r#become: Become::None,
            rollout: RolloutId::new("r-1").unwrap(),
            token: LockToken::new("ab").unwrap(),
        };
        let artifact = Artifact {
            path: "/dev/null".into(),
            name: "app".to_owned(),
            sha256: Sha256::new(&"0".repeat(64)).unwrap(),
            size: 0,
            from: String::new(),
            form: Form::File,
        };
        for (dir, fine) in [
            ("/opt/app/releases/1-a", true),
            ("/opt/app/releases/", false),
            ("/opt/app/releases/../x", false),
            ("/opt/app/releases/a/b", false),
            ("/srv/found", false),
        ] {
            let release = ReleaseRef {
                revision: Revision(1),
                version: None,
                dir: dir.to_owned(),
            };
            let stage = Stage {
                release: &release,
                artifact: &artifact,
                candidates: &[],
                overlay: None,
            };
            assert_eq!(stage.upload_script(&site).is_ok(), fine, "{dir}");
        }
    }
}
