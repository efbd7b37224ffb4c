//! The user's own commands, for balancers that rollgate does not know.
//!
//! * [`place`]: where commands run, and what becomes of a script that is sent there; also for [`super::health`].
//! * [`clocks`]: since when each server has been out or in, as far as this process knows.
//! * [`read`]: what commands print, as values.
//! * [`driver`]: the two acts of a [`super::LoadBalancer`].
//!
//! A pool holds the servers that the playbook names and no others: nobody told rollgate of more. Nothing is written down: after a crash a
//! server that is out begins to settle anew.

mod clocks;
mod driver;
mod place;
mod read;

pub(super) use clocks::{Clocks, Server};
pub(super) use driver::Commands;
pub(super) use place::{Place, Why};
pub(super) use read::{in_flight, state};
