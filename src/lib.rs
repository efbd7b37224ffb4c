//! rollgate: an agentless, SSH-based fleet rolling deployer.
//CLI pub mod cli;
pub mod config;
pub mod cycle;
pub mod drivers;
pub mod engine;
pub mod event;
pub mod model;
pub mod plan;
