//! The shapes of tables that only a container has.

use serde::Deserialize;

use crate::config::field::Field;
use crate::config::values::{Label, Span, Words};

/// `release.registry`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Registry {
    /// The environment variable with the user name.
    pub username_env: Field<String>,
    /// The environment variable with the password.
    pub password_env: Field<String>,
    /// Whether it may be asked without TLS wherever it is.
    pub insecure: Field<bool>,
    /// A private CA's file; a template.
    pub ca: Field<String>,
}

/// `release.healthcheck`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Healthcheck {
    /// What is run inside of the container; absent with `disable`.
    pub command: Field<Words>,
    /// Whether the image's own check is switched off.
    pub disable: Field<bool>,
    /// Between two checks.
    pub interval: Field<Span>,
    /// Of one check.
    pub timeout: Field<Span>,
    /// For the container to start.
    pub start_period: Field<Span>,
    /// Failures in a row that make it unhealthy.
    pub retries: Field<Label>,
}
