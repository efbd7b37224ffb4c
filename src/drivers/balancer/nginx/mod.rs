//! Open-source nginx: its configuration file is edited, tested and reloaded.
//!
//! * [`lex`]: the file as pieces that together are the file; [`tree`]: its directives; [`upstream`]: the servers of a pool, includes
//!   followed; [`address`]: when two texts are one server.
//! * [`edit`]: the word `down`, put in and taken out, and no other byte touched.
//! * [`script`] with `look.sh` and `apply.sh`: the two scripts that run where nginx runs; [`snapshot`]: what the first one prints.
//! * [`seen`]: what that means for a pool.
//! * [`driver`]: the acts of a [`super::LoadBalancer`]; [`telling`]: the second one.
//!
//! The file is the truth: a reload by somebody else forgets nothing. What was edited and is not proven to be in force leaves a mark
//! beside the file, and its servers are `settling` until it is.

mod address;
mod driver;
mod edit;
mod lex;
mod script;
mod seen;
mod snapshot;
mod telling;
mod tree;
mod upstream;

pub(super) use driver::Nginx;
