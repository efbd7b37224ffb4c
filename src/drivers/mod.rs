//! What touches the world. Drivers do; they decide nothing.
//!
//! Each family shows a trait, its options, its error and one `open` function; concrete drivers are private modules.
//!
//! * [`transport`]: one connection to one host: scripts, uploads, forwarded sockets.
//! * [`host`]: everything that rollgate does on a host, as one trait over the transport and the scripts of [`crate::far`].
//! * [`balancer`]: what is told to and read from load balancers.
//! * [`probe`]: the readiness question.
//! * `http`: one HTTP request over a stream of our own, for probes and the APIs of balancers.
//! * [`archive`]: archives on this machine, checked and packed anew for hosts.
//! * [`store`]: the journal on this machine.
//!
//! Rules that all drivers keep: every wait has a limit; an error says what was being done and to whom, and whether trying again can
//! help; an unknown outcome is told apart from a failure; nothing secret is in a command line, an error or a `Debug` text.
//!
//! To write a new driver: a private module beside its siblings, an arm in the family's `open`, a row in the family's contract suite
//! under `tests/`, and its keys in `config/schema.rs`, `config/check.rs` and `docs/`.

pub mod archive;
pub mod balancer;
pub mod host;
mod http;
pub mod image;
pub mod probe;
pub mod store;
pub mod transport;
