//! What the tests, the benchmark and the `lab` example share.

pub(crate) mod cli;
#[allow(
    dead_code,
    reason = "the `lab` example and the benchmark use the rest of this module"
)]
pub(crate) mod lab;
pub(crate) mod load;
