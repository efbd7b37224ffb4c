//! A service that is a unit of systemd, and the unit's files that belong to a release.

use super::{Restart, Run};

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Whether it is one of the SSH user's own manager, which needs no privilege, and not of the system.
    pub user: bool,
    /// Its files.
    pub files: UnitFiles,
}

impl Unit {
    /// A unit of the system whose files are nobody's business here.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            user: false,
            files: UnitFiles::default(),
        }
    }
}

/// The files of a unit that a release brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitFiles {
    /// Those of the playbook.
    Rendered {
        /// The unit itself; `None`: the one that is there.
        text: Option<String>,
        /// A drop-in with limits; `None`: none of rollgate's.
        drop_in: Option<String>,
    },
    /// Those that the host has kept for this revision: the playbook may say something else by now.
    Kept,
}

impl Default for UnitFiles {
    fn default() -> Self {
        Self::Rendered {
            text: None,
            drop_in: None,
        }
    }
}

impl Run {
    /// The unit, where the service is one.
    pub fn unit(&self) -> Option<&Unit> {
        match &self.restart {
            Restart::Systemd(unit) => Some(unit),
            Restart::Commands { .. } | Restart::Container(_) => None,
        }
    }

    /// The same for a revision that is gone back to: its unit gets the files that it had.
    #[must_use]
    pub fn going_back(mut self) -> Self {
        match &mut self.restart {
            Restart::Systemd(unit) => unit.files = UnitFiles::Kept,
            Restart::Commands { .. } | Restart::Container(_) => {}
        }
        self
    }
}
