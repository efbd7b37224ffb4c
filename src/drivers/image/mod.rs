//! Images of containers, as far as they are looked at here: a tag's digest at its registry, and archives to be sent.

mod archive;
mod registry;
mod tar;

pub use archive::{Packed, pack, save};
pub use registry::{auth_file, digest_of_tag, is_loopback};
