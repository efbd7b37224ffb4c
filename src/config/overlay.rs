//! What lies in a release besides its artifact, with its templates.

use std::sync::Arc;

use super::check::Text;
use super::check::scope::FILE;
use super::digest::{self, ConfigParts};
use super::secrets::{Reveal, Vault};
use super::template::{self, Context, Fault};
use crate::model::{FileText, Overlay, ReleaseFile, Sha256};

/// One file with its template.
#[derive(Debug, Clone)]
pub(crate) struct FileRecipe {
    /// Where it lies in the release.
    pub path: String,
    /// What is in it.
    pub text: Text,
    /// Its permission bits.
    pub mode: u32,
    /// `user`, `user:group` or `:group`; absent: the SSH user.
    pub owner: Option<String>,
    /// Whether it names a secret.
    pub secret: bool,
}

/// What lies in a release besides its artifact.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverlayRecipe {
    /// Paths inside the release that are links into the shared folder.
    pub shared: Vec<String>,
    /// Files.
    pub files: Vec<FileRecipe>,
    /// What their templates may ask for.
    pub vault: Arc<Vault>,
}

impl OverlayRecipe {
    /// Rendered.
    ///
    /// # Errors
    /// The first file that cannot be, with what is wrong.
    pub(crate) fn render(
        &self,
        context: &Context,
        reveal: Reveal,
    ) -> Result<Overlay, (&Text, Vec<Fault>)> {
        let files = self.files.iter();
        let files = files.map(|file| self.file(file, context, reveal));
        Ok(Overlay {
            shared: self.shared.clone(),
            files: files.collect::<Result<_, _>>()?,
        })
    }

    fn file<'a>(
        &self,
        file: &'a FileRecipe,
        context: &Context,
        reveal: Reveal,
    ) -> Result<ReleaseFile, (&'a Text, Vec<Fault>)> {
        let vault = Arc::clone(&self.vault);
        let environment = template::file_environment(move |name| vault.get(name, reveal));
        let text = template::render_with(&environment, &file.text.text, &FILE, context)
            .map_err(|faults| (&file.text, faults))?;
        let wrong = |title: String| {
            let fault = Fault {
                title,
                help: "take it out of the value".to_owned(),
                range: None,
            };
            (&file.text, vec![fault])
        };
        if text.contains('\0') {
            return Err(wrong("a file cannot hold a zero byte".to_owned()));
        }
        Ok(ReleaseFile {
            path: file.path.clone(),
            mode: file.mode,
            owner: file.owner.clone(),
            sha256: Sha256::new(&digest::hex(text.as_bytes()))
                .map_err(|error| wrong(error.to_string()))?,
            text: FileText::new(text),
            secret: file.secret,
        })
    }

    /// Checks what can be told without values.
    pub(crate) fn check_names(&self, report: &mut super::diagnostic::Report) {
        for file in &self.files {
            file.text.check(&FILE, report);
        }
    }
}

/// Adds what reaches the process of it to the parts of its digest (F3).
pub(crate) fn add_parts(overlay: &Overlay, parts: &mut ConfigParts) {
    if !overlay.shared.is_empty() {
        let mut shared = overlay.shared.clone();
        shared.sort();
        parts.add("shared", shared.join("\n"));
    }
    for file in &overlay.files {
        let owner = file.owner.as_deref().unwrap_or_default();
        let content = format!("{:o} {owner} {}", file.mode, file.sha256);
        parts.add(format!("file {}", file.path), content);
    }
}
