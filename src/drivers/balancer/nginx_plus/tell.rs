//! Telling: one server after the other its own changes, each read again.

use futures::FutureExt;
use serde_json::{Value, json};

use super::NginxPlus;
use super::api::{self, Pool};
use super::state::{Kind, Peer};
use crate::drivers::balancer::api::SIDE_BY_SIDE;
use crate::drivers::balancer::{BalancerError, Change, abreast, address};
use crate::model::Admin;

impl NginxPlus {
    pub(super) async fn tell_all<'a>(&'a self, changes: &'a [Change]) -> Result<(), BalancerError> {
        let tell = |changes| self.tell_server(changes).boxed();
        abreast::by_server(changes, SIDE_BY_SIDE, tell).await
    }

    async fn tell_server(&self, changes: Vec<&Change>) -> Result<(), BalancerError> {
        for change in changes {
            let (kind, peers) = self.peers_of(change).await?;
            for peer in &peers {
                let body = body(change, kind);
                self.plus.patch(kind, &change.pool, peer.id, &body).await?;
            }
            self.prove(change).await?;
        }
        Ok(())
    }

    /// The peers that a change is about, looked up anew: numbers are given again after a reload.
    async fn peers_of(&self, change: &Change) -> Result<(Kind, Vec<Peer>), BalancerError> {
        let Change { pool, server, .. } = change;
        let command = format!("find {pool}/{server}");
        let (kind, peers) = match self.plus.pool(pool).await? {
            Pool::Found(kind, peers) => (kind, peers),
            Pool::Static => return Err(self.plus.refused(&command, api::no_zone(pool))),
            Pool::Absent => {
                let words = format!(
                    "there is no upstream `{pool}` with a `zone`, neither in http nor in stream"
                );
                return Err(self.plus.refused(&command, words));
            }
        };
        let wanted = self.wanted(pool, Some(server));
        let is_it = |peer: &Peer| {
            let known = peer.known_as(&wanted);
            known.is_some_and(|known| {
                address::normal(known.as_str()) == address::normal(server.as_str())
            })
        };
        let found: Vec<Peer> = peers.into_iter().filter(is_it).collect();
        if found.is_empty() {
            let words = format!("upstream `{pool}` has no server `{server}`");
            return Err(self.plus.refused(&command, words));
        }
        Ok((kind, found))
    }

    /// Reads again what was told. A server that still drains is told once more, in the words of older versions.
    async fn prove(&self, change: &Change) -> Result<(), BalancerError> {
        let (kind, peers) = self.peers_of(change).await?;
        let Some(first) = wrong(change, kind, &peers) else {
            return Ok(());
        };
        if change.admin == Admin::Ready {
            for peer in &peers {
                let body = json!({ "down": false });
                self.plus.patch(kind, &change.pool, peer.id, &body).await?;
            }
            let (kind, peers) = self.peers_of(change).await?;
            if wrong(change, kind, &peers).is_none() {
                return Ok(());
            }
        }
        let command = format!("PATCH {}/{}", change.pool, change.server);
        Err(self.plus.refused(&command, first))
    }
}

/// How the first of the peers differs from what it was told.
fn wrong(change: &Change, kind: Kind, peers: &[Peer]) -> Option<String> {
    peers.iter().find_map(|peer| {
        let seen = peer.seen(kind, false);
        let as_told = (change.admin == Admin::Ready) == (seen.admin == Admin::Ready);
        let weight = change
            .weight
            .is_none_or(|weight| seen.weight == Some(weight));
        (!as_told || !weight).then(|| {
            format!(
                "it took the change, and the server is still in state `{}`, weight {:?}",
                seen.state().as_str(),
                seen.weight.unwrap_or_default()
            )
        })
    })
}

/// State and weight in one request: both come into force together.
fn body(change: &Change, kind: Kind) -> Value {
    let mut body = match (change.admin, kind) {
        (Admin::Ready, Kind::Http) => json!({ "drain": false, "down": false }),
        (Admin::Ready, Kind::Stream) => json!({ "down": false }),
        (Admin::Drain, Kind::Http) => json!({ "drain": true }),
        (Admin::Drain, Kind::Stream) | (Admin::Maint, Kind::Http | Kind::Stream) => {
            json!({ "down": true })
        }
    };
    if let (Some(weight), Some(fields)) = (change.weight, body.as_object_mut()) {
        fields.insert("weight".to_owned(), json!(weight));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PoolName, ServerName};

    #[test]
    fn each_state_is_one_request() {
        let told = |admin, kind, weight| {
            let change = Change {
                pool: PoolName::new("app").unwrap(),
                server: ServerName::new("10.0.0.1:80").unwrap(),
                admin,
                weight,
                agent: None,
            };
            body(&change, kind).to_string()
        };
        assert_eq!(told(Admin::Drain, Kind::Http, None), r#"{"drain":true}"#);
        assert_eq!(told(Admin::Drain, Kind::Stream, None), r#"{"down":true}"#);
        assert_eq!(told(Admin::Maint, Kind::Http, None), r#"{"down":true}"#);
        assert_eq!(
            told(Admin::Ready, Kind::Http, Some(7)),
            r#"{"down":false,"drain":false,"weight":7}"#
        );
        assert_eq!(told(Admin::Ready, Kind::Stream, None), r#"{"down":false}"#);
    }
}
