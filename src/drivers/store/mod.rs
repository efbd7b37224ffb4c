//! The journal on this machine.
