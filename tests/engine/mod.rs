//! The engine on a fleet in memory, with a stopped clock: what no real part can be made to do on demand.

mod courses;
mod exclusion;
mod faults;
mod others;
mod resume;
mod review;
mod second_look;
mod third_look;
mod traffic;
