//! The journal on this machine.
//!
//! One file a rollout, one event a line, append only: `$XDG_STATE_HOME/rollgate/<rollout id>.jsonl`. The trait is
//! [`crate::event::Journal`]; [`open`] gives the one on disk, [`NullJournal`] is for commands that only read.

mod file;
mod memory;
mod read;

use std::path::PathBuf;

pub use file::{default_dir, open, open_in, path_in};
pub use memory::{MemoryJournal, NullJournal};
pub use read::{Contents, Damage, read};

/// Why there is no journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Neither `XDG_STATE_HOME` nor a home folder is known.
    #[error("there is no folder for the journal: {reason}; set XDG_STATE_HOME")]
    NoHome {
        /// In words.
        reason: String,
    },
    /// A file or folder could not be made, opened or read.
    #[error("cannot {what} {path}: {reason}", path = path.display())]
    Io {
        /// What was tried: `open`, `read`, ….
        what: &'static str,
        /// Which one.
        path: PathBuf,
        /// In words.
        reason: String,
    },
}
