//! The built `rollgate` on hosts with systemd as PID 1, in containers. Where there can be none these tests say so, and pass.

mod containers;
mod engines;
mod systemd;
