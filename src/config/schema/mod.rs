//! The shapes of both files, as serde reads them: every value is a [`Field`](super::field::Field), nothing is checked against
//! anything else. The checks are in [`super::check`].

pub(crate) mod container;
pub(crate) mod inventory;
pub(crate) mod later;
pub(crate) mod playbook;
