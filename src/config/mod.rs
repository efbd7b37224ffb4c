//! What was asked: inventory and playbook, read, checked, and turned into the words of [`crate::model`].
//!
//! [`load()`] is the door, [`Loaded`] what comes out, [`Findings`] what comes out instead: every mistake at once. On the way:
//!
//! 1. `read`: a file becomes a shape (`schema`) by way of `field`, which notes mistakes and goes on; small values are `values`, `sizes` and `words`.
//! 2. `merge` and `groups`: several inventories become one; `ranges` and `selector` are their small languages.
//! 3. `check`: shapes become words of the model, a file for each table; `template` and `command` render, strictly.
//! 4. `recipes`: what depends on the release, tried for every host and kept until the engine asks.
//!
//! Nothing here contacts a host. A key that a later version will know is in `schema::later`, and is an error until then.

mod check;
mod command;
mod container;
mod diagnostic;
mod digest;
mod field;
mod groups;
mod load;
mod merge;
mod overlay;
mod paths;
mod ranges;
mod read;
mod recipes;
mod schema;
mod secrets;
mod selector;
mod sizes;
mod template;
mod units;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub use diagnostic::Findings;
pub use load::load;
pub(crate) use values::parse_duration;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{
    BalancerSpec, DrainPolicy, HostName, HostSpec, ImageSpec, ReadyPolicy, Recipes, ReleaseKind,
    ServiceName, Sha256, Strategy, Version,
};

/// What the command line says about the files.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `-i`, in order; later ones win.
    pub inventories: Vec<PathBuf>,
    /// The playbook.
    pub playbook: PathBuf,
    /// `--version`, unchecked; `None` for commands that ask the hosts what it is, and must not depend on it.
    pub version: Option<String>,
    /// Whether the source may be missing here, since hosts may have it already.
    pub source_optional: bool,
    /// Whether `[[release.files]]` and secrets are left alone, since the command neither sends nor compares them.
    pub without_files: bool,
    /// `--limit`, unchecked.
    pub limit: Option<String>,
    /// `--var k=v`, in order.
    pub vars: Vec<(String, String)>,
}

/// How the readiness URL is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyRoute {
    /// From this machine, and not through the host's `sshd`.
    pub direct: bool,
    /// A private CA, PEM.
    pub ca: Option<PathBuf>,
}

/// Both files, checked and rendered: nothing behind this sees a raw string.
pub struct Loaded {
    /// What is rolled out.
    pub service: ServiceName,
    /// To which version; `0` where none was asked for.
    pub version: Version,
    /// The playbook's whole fleet, in the order of the inventory.
    pub fleet: Vec<HostSpec>,
    /// Those of them that `--limit` chose.
    pub selected: BTreeSet<HostName>,
    /// Inventory hosts outside the fleet that connections lead through (`via`, `jump`).
    pub helpers: Vec<HostSpec>,
    /// The balancers that the playbook names.
    pub balancers: Vec<BalancerSpec>,
    /// `[strategy]`.
    pub strategy: Strategy,
    /// `[drain]`.
    pub drain: DrainPolicy,
    /// `[ready]`, but for the URL, which belongs to each host.
    pub ready: ReadyPolicy,
    /// How the URL is reached.
    pub ready_route: ReadyRoute,
    /// The local artifact; it exists and is a file, unless it was optional.
    pub source: PathBuf,
    /// What it is.
    pub kind: ReleaseKind,
    /// What the binary is called inside a release's folder.
    pub artifact_name: String,
    /// Paths inside a release that are links into the shared folder.
    pub shared: Vec<String>,
    /// Where a container's image comes from; `None` for releases of other kinds.
    pub image: Option<ImageSpec>,
    /// Revisions kept on each host; at least 2.
    pub keep: usize,
    /// The digest of what reaches the process besides the artifact, for each host (F3).
    pub config_digests: BTreeMap<HostName, Sha256>,
    /// A digest for each key of the playbook, for the host's record.
    pub keys: BTreeMap<String, String>,
    /// What depends on the release.
    pub recipes: Arc<dyn Recipes>,
    /// Things worth saying that are no errors.
    pub warnings: Vec<String>,
}
