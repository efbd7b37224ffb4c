//! Changes of several servers, side by side.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::future::BoxFuture;

use super::{BalancerError, Change};
use crate::model::{PoolName, ServerName};

/// Tells `changes` by `tell`, which gets those of one server, in their order. Servers do not wait for each other, `at_once` of them at a
/// time. All are tried, then the first error is told.
pub(super) async fn by_server<'a>(
    changes: &'a [Change],
    at_once: usize,
    tell: impl Fn(Vec<&'a Change>) -> BoxFuture<'a, Result<(), BalancerError>>,
) -> Result<(), BalancerError> {
    let mut servers: BTreeMap<(&PoolName, &ServerName), Vec<&Change>> = BTreeMap::new();
    for change in changes {
        let server = servers.entry((&change.pool, &change.server));
        server.or_default().push(change);
    }
    let acts: Vec<_> = servers.into_values().map(tell).collect();
    let told: Vec<_> = futures::stream::iter(acts)
        .buffered(at_once)
        .collect()
        .await;
    told.into_iter().collect()
}
