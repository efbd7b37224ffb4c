//! Telling: one server after the other its own changes, each read again.

use futures::FutureExt;
use hyper::Method;
use serde_json::json;

use super::paths::Version;
use super::{Dataplane, NO_AGENTS, is_unknown, message, word};
use crate::drivers::balancer::api::{Reply, SIDE_BY_SIDE};
use crate::drivers::balancer::{BalancerError, Change, abreast};
use crate::model::{Admin, ServerSeen};

impl Dataplane {
    pub(super) async fn tell_all<'a>(&'a self, changes: &'a [Change]) -> Result<(), BalancerError> {
        let version = match self.known_version() {
            _ if changes.is_empty() => return Ok(()),
            Some(version) => version,
            None => self.info().await?.0,
        };
        let tell = |changes| self.tell_server(version, changes).boxed();
        abreast::by_server(changes, SIDE_BY_SIDE, tell).await
    }

    async fn tell_server(
        &self,
        version: Version,
        changes: Vec<&Change>,
    ) -> Result<(), BalancerError> {
        for change in changes {
            if change.agent == Some(false) {
                return Err(self.api.refused(
                    &format!("disable agent {}/{}", change.pool, change.server),
                    NO_AGENTS.to_owned(),
                ));
            }
            // The weight comes before `ready`, so that no request is sent by a wrong one, and after what takes the server out.
            if change.admin == Admin::Ready {
                self.tell_weight(version, change).await?;
                self.tell_admin(version, change).await?;
            } else {
                self.tell_admin(version, change).await?;
                self.tell_weight(version, change).await?;
            }
        }
        Ok(())
    }

    async fn tell_weight(&self, version: Version, change: &Change) -> Result<(), BalancerError> {
        let Some(weight) = change.weight else {
            return Ok(());
        };
        self.put(version, change, &json!({ "weight": weight }))
            .await?;
        match self.server(version, change).await? {
            Some(seen) if seen.weight == Some(weight) => Ok(()),
            _ => Err(self.api.refused(
                &format!("weight {weight} of {}/{}", change.pool, change.server),
                "it did not take it: this version of the Data Plane API sets no weights at runtime"
                    .to_owned(),
            )),
        }
    }

    /// The API does nothing when it believes that the server is in that state already, and it misreads some states: then a server that
    /// is to be ready is told another state first, one that lets nothing in either.
    async fn tell_admin(&self, version: Version, change: &Change) -> Result<(), BalancerError> {
        self.put_admin(version, change, change.admin).await?;
        let seen = self.server(version, change).await?;
        let Some(seen) = seen.filter(|seen| seen.tracks.is_none()) else {
            return Ok(());
        };
        match (change.admin, seen.admin) {
            (Admin::Ready, Admin::Drain | Admin::Maint) => {
                self.put_admin(version, change, Admin::Drain).await?;
                self.put_admin(version, change, Admin::Ready).await
            }
            (Admin::Drain | Admin::Maint, Admin::Ready) => Err(self.api.refused(
                &format!("{} {}/{}", word(change.admin), change.pool, change.server),
                "it answered 200, and the server is still ready".to_owned(),
            )),
            (Admin::Ready, Admin::Ready)
            | (Admin::Drain | Admin::Maint, Admin::Drain | Admin::Maint) => Ok(()),
        }
    }

    async fn put_admin(
        &self,
        version: Version,
        change: &Change,
        admin: Admin,
    ) -> Result<(), BalancerError> {
        let body = json!({ "admin_state": word(admin) });
        self.put(version, change, &body).await
    }

    async fn put(
        &self,
        version: Version,
        change: &Change,
        body: &serde_json::Value,
    ) -> Result<(), BalancerError> {
        let path = version.server(&change.pool, &change.server);
        let reply = self.api.send(Method::PUT, &path, body).await?;
        let command = format!("PUT {path} {body}");
        match reply.status {
            200 => Ok(()),
            _ if is_for_good(&reply) => Err(self.api.refused(&command, self.message(&reply))),
            _ => Err(self.api.unexpected(&command, &reply)),
        }
    }

    async fn server(
        &self,
        version: Version,
        change: &Change,
    ) -> Result<Option<ServerSeen>, BalancerError> {
        let pool = self.pool(version, &change.pool).await?;
        Ok(pool.and_then(|pool| pool.servers.get(&change.server).cloned()))
    }

    fn message(&self, reply: &Reply) -> String {
        let message = message(&reply.body).unwrap_or_default();
        self.api.words(message.as_bytes())
    }
}

/// The API gives `HAProxy`'s own refusals as 500, which a repetition does not mend.
fn is_for_good(reply: &Reply) -> bool {
    let message = message(&reply.body).unwrap_or_default();
    is_unknown(reply)
        || ["No such server", "Permission denied", "not found"]
            .iter()
            .any(|words| message.contains(words))
}
