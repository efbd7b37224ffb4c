//! The readiness question. The answer is a value; whether it counts is decided in [`crate::cycle`].

mod answer;
mod fallback;
mod http;
mod target;

pub(in crate::drivers) use target::Target;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::drivers::transport::Transport;
use crate::model::{ProbeAnswer, VersionCheck};

/// What is asked, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOptions {
    /// `http://` or `https://`, as seen from the host unless `direct`.
    pub url: String,
    /// From this machine, and not through the host's `sshd`.
    pub direct: bool,
    /// The only authorities that an `https://` server's certificate may come from, PEM; `None`: those of this machine.
    pub ca: Option<PathBuf>,
    /// How the version is read; `None`: it is not.
    pub version: Option<VersionCheck>,
}

/// Why a URL cannot be asked at all. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The URL is none, or not one for a probe.
    #[error("`{url}` cannot be probed: {reason}")]
    Url {
        /// As written.
        url: String,
        /// In words.
        reason: String,
    },
    /// Certificates cannot be checked.
    #[error("certificates of `{url}` cannot be checked: {reason}")]
    Tls {
        /// As written.
        url: String,
        /// In words, with the file where there is one.
        reason: String,
    },
    /// The header or the JSON pointer of the version check cannot be one.
    #[error("`{text}` cannot name a version: {reason}")]
    Version {
        /// As written.
        text: String,
        /// In words.
        reason: &'static str,
    },
    /// The probe should go through a host, and no connection to one was given.
    #[error("`{url}` is asked through the host's sshd, and there is no connection to the host")]
    NoTransport {
        /// As written.
        url: String,
    },
}

/// Asks one host's readiness URL.
pub trait Probe: Send + Sync + fmt::Debug {
    /// What it asks, for people.
    fn url(&self) -> &str;
    /// Asks once, within `timeout`. A failure to get an answer is an answer without a status.
    fn ask(&self, timeout: Duration) -> BoxFuture<'_, ProbeAnswer>;
}

/// A probe for `options`, through `transport` unless `direct`. Reads the `ca` file; contacts nothing.
///
/// # Errors
/// [`ProbeError`] when the URL, the CA file or the version check cannot be used.
pub fn open(
    options: ProbeOptions,
    transport: Option<Arc<dyn Transport>>,
) -> Result<Arc<dyn Probe>, ProbeError> {
    Ok(Arc::new(http::HttpProbe::new(options, transport)?))
}
