//! What several tests need.

pub(crate) mod local_shell;
