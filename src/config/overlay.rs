//! What lies in a release besides its artifact, with its templates.

use crate::config::digest::ConfigParts;
use crate::model::Overlay;

/// What lies in a release besides its artifact.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverlayRecipe {
    /// Paths inside the release that are links into the shared folder.
    pub shared: Vec<String>,
}

impl OverlayRecipe {
    /// Rendered.
    pub(crate) fn render(&self) -> Overlay {
        Overlay {
            shared: self.shared.clone(),
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
}
