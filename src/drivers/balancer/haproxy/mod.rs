//! `HAProxy`'s Runtime API.
//!
//! * [`socket`]: one connection, one line, the whole answer; here, over SSH, or by a script on the balancer's host ([`script`]).
//! * [`parse`]: what `show …` answers, as values; [`state`]: what that means for one server.
//! * [`verdict`]: whether a command that changes something was accepted.
//! * [`driver`]: the two acts of a [`super::LoadBalancer`]; [`commands`]: what is said for them.
//! * [`old`]: requests that old workers still carry after a reload.
//!
//! What `usable` means here is said at [`parse::Snapshot`]. `socket` may be a worker's (`stats socket`) or the master's (`-S`): which it
//! is shows in the first answer. Known limits: stick tables are not looked at; over TCP, or where the processes of old workers may not
//! be looked into, their requests are not counted: name the master's socket there.

mod commands;
mod driver;
mod old;
mod parse;
mod script;
mod socket;
mod state;
mod verdict;

pub(super) use driver::Haproxy;
pub(super) use socket::ssh_words;
