//! The built `rollgate` on a fleet of real parts: what its users see, and what is really so afterwards.

mod archive;
mod bad_release;
mod balancers;
mod by_api;
mod by_command;
mod by_hand;
mod check;
mod exclusion;
mod files;
mod good_release;
mod hooks;
mod looking;
mod mixed;
mod nginx;
mod policy;
mod refusal;
mod resume;
mod undo;

use serde_json::Value;

/// Whether an event has that name: for waiting until it comes.
fn is(name: &'static str) -> impl FnMut(usize, &Value) -> bool {
    move |_, event| event["event"] == name
}
