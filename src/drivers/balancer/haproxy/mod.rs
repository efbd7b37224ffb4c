//! `HAProxy`'s Runtime API.
//!
//! * [`socket`]: one connection, one line, the whole answer; here, over SSH, or by a script on the balancer's host ([`script`]).
//! * [`parse`]: what `show …` answers, as values; [`state`]: what that means for one server.
//! * [`verdict`]: whether a command that changes something was accepted.
//! * [`driver`]: the two acts of a [`super::LoadBalancer`].
//!
//! What `usable` means here is said at [`parse::Snapshot`]. Known limits: requests that an old worker still carries after a reload are
//! not counted (its socket is not ours to ask), and stick tables and `agent-check` are not looked at.

mod driver;
mod parse;
mod script;
mod socket;
mod state;
mod verdict;

pub(super) use driver::Haproxy;
pub(super) use socket::ssh_words;
