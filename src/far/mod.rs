//! What runs on the far side: the text of every script that is sent to a host, and the reading of its answer.
//!
//! Pure: it makes texts and reads texts. [`crate::drivers::host`] sends them. The scripts are POSIX `sh` files beside this one, put
//! together by [`Draft`]: variables first (all values quoted), then functions, then one call, all in one pair of braces. A text that
//! was cut anywhere is a syntax error, and does nothing.
//!
//! * [`look`]: everything that one look tells, and the lock: taken, taken over, renewed, broken.
//! * [`stage`]: the artifact into its folder.
//! * [`swap`]: the link and the service.
//! * [`mod@unit`]: the files and the state of a unit of systemd.
//! * [`rights`]: what a host has to allow. [`run`]: hooks and logs. [`fetch`]: a file from there to here.
//! * [`errands`]: commands of a balancer's, and files that make a host look unfit, for many servers at once.
//! * [`finish`]: the record, the history, pruning, the end of the lock.
//! * [`container`]: the same for releases that are containers: their engine's command line in place of folders and links.
//! * [`answer`]: lines of `key<TAB>value`, and what an exit code means.
//! * [`record`]: the texts that a host keeps.
//!
//! Three rules of the scripts themselves. Each act is preceded by the fence (R3). A script that changes something first leaves its
//! mark in `.rollgate/running/`, then looks at the fence: so a successor sees the mark, or the script sees the successor. And every file
//! is written whole beside its place, flushed and renamed.
//!
//! To add a script: a `.sh` file with a `main`, a type with `script` and `read` here, rows in `tests/far.rs` for both shells.

pub mod answer;
pub mod container;
pub mod draft;
pub mod errands;
pub mod fetch;
pub mod finish;
pub mod look;
pub mod record;
pub mod rights;
pub mod run;
pub mod stage;
pub mod swap;
pub mod unit;

pub use answer::{Answer, Refusal};
pub use draft::{Draft, ScriptError, Site};
