//! What the tests, the benchmark and the `lab` example share.

pub(crate) mod cli;
pub(crate) mod lab;
pub(crate) mod load;
