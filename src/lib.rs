//! rollgate: an agentless, SSH-based fleet rolling deployer.
pub mod config;
pub mod drivers;
pub mod event;
pub mod far;
pub mod model;
