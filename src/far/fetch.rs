//! A file of a host, read piece by piece: an artifact that only hosts have any more.

use std::sync::Arc;
use std::time::Duration;

use super::draft::{Kit, Stdin};
use super::{Draft, ScriptError, Site};

/// How much is read in one call: what is printed is kept in memory until the call ends.
pub const PIECE: usize = 8 * 1024 * 1024;

/// For one piece over a slow line.
pub const LIMIT: Duration = Duration::from_secs(120);

/// One piece of a file. It is printed as it is, so there is no answer of lines unless the script fails.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// The file, absolute.
    pub file: &'a str,
    /// Which piece, from 0.
    pub number: u64,
}

impl Fetch<'_> {
    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root or a name that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        draft.value("FILE", self.file)?;
        draft.value("NUMBER", &self.number.to_string())?;
        draft.value("SIZE", &PIECE.to_string())?;
        Ok(draft.finish(Kit::Base, &[include_str!("fetch.sh")], Stdin::Closed))
    }
}
