//! The way to a host: each stop's connection runs through the one before.

use std::sync::Arc;
use std::time::Duration;

use russh::Disconnect;

use super::connect::{Live, connect};
use super::connector::Connector;
use super::exec::warm_up;
use super::route::Hop;
use crate::drivers::transport::TransportError;

/// How long a polite end may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Connects to every stop in turn; the last one is the host.
///
/// Each host has its own connections to its jump hosts: on a shared one, a single channel that nobody reads would stop all hosts.
///
/// # Errors
/// Why the first stop that failed did so; its address says which one.
pub(super) async fn connect_through(
    hops: &[Hop],
    connector: &Connector,
) -> Result<Arc<Live>, TransportError> {
    let mut reached: Option<Arc<Live>> = None;
    for (index, hop) in hops.iter().enumerate() {
        let is_jump = index.saturating_add(1) < hops.len();
        let permits = connector.handshake(is_jump.then(|| hop.address())).await;
        let live = Arc::new(connect(hop, reached.take(), connector).await?);
        drop(permits);
        if is_jump {
            // OpenSSH sends without delay only after a first command; before, everything through it costs 44 ms a turn.
            warm_up(&live).await;
        }
        reached = Some(live);
    }
    reached.ok_or_else(|| TransportError::Local {
        reason: "there is no way to the host".to_owned(),
    })
}

/// Ends a connection and those that it runs through, innermost first.
pub(super) async fn disconnect(live: &Live) {
    let mut next = Some(live);
    while let Some(live) = next {
        let ending = async {
            // An error means that it has ended already.
            if live
                .handle
                .disconnect(Disconnect::ByApplication, "done", "en")
                .await
                .is_ok()
            {
                // The request is only queued; the process may end right after this.
                live.told.end().await;
            }
        };
        if tokio::time::timeout(FAREWELL, ending).await.is_err() {
            tracing::debug!(address = %live.address, "a connection did not end in time");
        }
        next = live.outer.as_deref();
    }
}
