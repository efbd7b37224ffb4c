//! What is typed is not shown while the display stands.
//!
//! The terminal's driver echoes `^C` and line feeds past everybody: the display would be redrawn one line too low, and lines doubled.
//! Signals work as before.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};

/// Holds the echo of standard error's terminal off; it comes back when this is dropped.
#[derive(Debug)]
pub(in crate::report) struct NoEcho(());

impl NoEcho {
    /// Turns the echo off. `None` where it is off already, is not ours to change, or there is no terminal.
    pub(super) fn on_stderr() -> Option<Self> {
        is_foreground().then_some(())?;
        let mut modes = tcgetattr(io::stderr()).ok()?;
        if !modes.local_modes.contains(LocalModes::ECHO) {
            return None;
        }
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stderr(), OptionalActions::Now, &modes).ok()?;
        Some(Self(()))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        if !is_foreground() {
            // The shell that put us into the background has set the terminal as it wants it.
            return;
        }
        if let Ok(mut modes) = tcgetattr(io::stderr()) {
            modes.local_modes.insert(LocalModes::ECHO);
            // A terminal that is gone needs no echo.
            tcsetattr(io::stderr(), OptionalActions::Now, &modes).ok();
        }
    }
}

/// A process in the background that changes the terminal is stopped by SIGTTOU, in the middle of a rollout.
/// Source: POSIX.1-2017, XBD 11.1.4.
fn is_foreground() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group == rustix::process::getpgrp())
}
