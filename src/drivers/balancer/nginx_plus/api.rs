//! What is asked of the NGINX Plus API, and what its errors mean.
//!
//! Source: `ngx_http_api_module`, "Response Objects" and the errors of each endpoint.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::BalancerError;
use super::super::api::{Api, Reply};
use super::state::{Configured, Kind, Nginx, Peer, Upstream};
use crate::drivers::transport::Transport;
use crate::model::{ApiSpec, BalancerName, HostName, PoolName, ServerName};

/// Versions that this driver knows.
const VERSIONS: std::ops::RangeInclusive<u32> = 6..=9;

/// One API, of a version that is found out at the first request.
#[derive(Debug)]
pub(super) struct Plus {
    api: Api,
    version: Mutex<Option<u32>>,
}

/// What is there under a pool's name.
#[derive(Debug)]
pub(super) enum Pool {
    /// Nothing.
    Absent,
    /// An upstream without shared memory, which the API cannot change.
    Static,
    /// Servers.
    Found(Kind, Vec<Peer>),
}

/// `{"error":{"status":404,"text":"…","code":"UpstreamNotFound"},…}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    error: FaultBody,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FaultBody {
    text: String,
    code: String,
}

fn fault(reply: &Reply) -> FaultBody {
    let fault: Fault = serde_json::from_slice(&reply.body).unwrap_or_default();
    fault.error
}

impl Plus {
    pub(super) fn new(
        name: BalancerName,
        spec: &ApiSpec,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        Self {
            api: Api::new(name, spec, via, transport),
            version: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &BalancerName {
        self.api.name()
    }

    pub(super) async fn limited<T>(
        &self,
        act: impl Future<Output = Result<T, BalancerError>>,
    ) -> Result<T, BalancerError> {
        self.api.limited(act).await
    }

    pub(super) fn refused(&self, command: &str, answer: String) -> BalancerError {
        self.api.refused(command, answer)
    }

    fn known_version(&self) -> Option<u32> {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest version that both sides know; asked for once.
    async fn version(&self) -> Result<u32, BalancerError> {
        if let Some(version) = self.known_version() {
            return Ok(version);
        }
        let command = "GET /";
        let reply = self.api.get("/").await?;
        let spoken: Vec<u32> = match reply.status {
            200 => self.api.read(command, &reply)?,
            404 => {
                return Err(self.refused(
                    command,
                    "404: `url` is where the `api` directive is, without a version, such as http://127.0.0.1:8080/api"
                        .to_owned(),
                ));
            }
            _ => return Err(self.api.unexpected(command, &reply)),
        };
        let best = spoken.iter().copied().filter(|one| VERSIONS.contains(one));
        let Some(version) = best.max() else {
            let words = format!("it speaks versions {spoken:?}, and rollgate 6 to 9");
            return Err(self.refused(command, words));
        };
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(version)
    }

    /// A GET below the version. A version that is gone (the product was exchanged) is found out anew at the next call.
    async fn get(&self, path: &str) -> Result<(String, Reply), BalancerError> {
        let path = format!("/{}{path}", self.version().await?);
        let reply = self.api.get(&path).await?;
        if reply.status == 404 && fault(&reply).code == "UnknownVersion" {
            *self.version.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Err(self
                .api
                .unreachable("it speaks other versions now".to_owned()));
        }
        Ok((format!("GET {path}"), reply))
    }

    /// The process.
    pub(super) async fn nginx(&self) -> Result<Nginx, BalancerError> {
        let (command, reply) = self.get("/nginx").await?;
        match reply.status {
            200 => self.api.read(&command, &reply),
            _ => Err(self.api.unexpected(&command, &reply)),
        }
    }

    /// The upstream of that name, in http before stream.
    pub(super) async fn pool(&self, pool: &PoolName) -> Result<Pool, BalancerError> {
        for kind in [Kind::Http, Kind::Stream] {
            let path = format!("/{}/upstreams/{pool}", kind.as_str());
            let (command, reply) = self.get(&path).await?;
            match (reply.status, fault(&reply).code.as_str()) {
                (200, _) => {
                    let upstream: Upstream = self.api.read(&command, &reply)?;
                    return Ok(Pool::Found(kind, upstream.peers));
                }
                (400, "UpstreamStatic") => return Ok(Pool::Static),
                // Without a `stream` block that whole path is not there.
                (404, _) => {}
                _ => return Err(self.api.unexpected(&command, &reply)),
            }
        }
        Ok(Pool::Absent)
    }

    /// The servers of an upstream as they are configured.
    pub(super) async fn configured(
        &self,
        kind: Kind,
        pool: &PoolName,
    ) -> Result<Vec<Configured>, BalancerError> {
        let path = format!("/{}/upstreams/{pool}/servers/", kind.as_str());
        let (command, reply) = self.get(&path).await?;
        match (reply.status, fault(&reply).code.as_str()) {
            (200, _) => self.api.read(&command, &reply),
            (400, "UpstreamStatic") => Err(self.refused(&command, no_zone(pool))),
            _ => Err(self.api.unexpected(&command, &reply)),
        }
    }

    /// Changes one server. One that a name was resolved to is changed through that name's own, where no other server hangs on it.
    pub(super) async fn patch(
        &self,
        kind: Kind,
        pool: &PoolName,
        id: u64,
        body: &Value,
    ) -> Result<(), BalancerError> {
        let Err((command, reply)) = self.try_patch(kind, pool, id, body).await? else {
            return Ok(());
        };
        if fault(&reply).code != "UpstreamServerImmutable" {
            return Err(self.explained(&command, pool, &reply));
        }
        let servers = self.configured(kind, pool).await?;
        let parent = servers.iter().find(|server| server.id == id);
        let parent = parent.and_then(|server| server.parent);
        let siblings = servers
            .iter()
            .filter(|server| server.parent.is_some() && server.parent == parent)
            .count();
        let (Some(parent), 1) = (parent, siblings) else {
            let words = format!(
                "the server comes of a name that is resolved to {siblings} addresses, which are changed together: give each server of `{pool}` a line of its own"
            );
            return Err(self.refused(&command, words));
        };
        match self.try_patch(kind, pool, parent, body).await? {
            Ok(()) => Ok(()),
            Err((command, reply)) => Err(self.explained(&command, pool, &reply)),
        }
    }

    /// `Err` inside: an answer that was not 200. Words that an older version does not take are left out.
    async fn try_patch(
        &self,
        kind: Kind,
        pool: &PoolName,
        id: u64,
        body: &Value,
    ) -> Result<Result<(), (String, Reply)>, BalancerError> {
        let version = self.version().await?;
        let path = format!("/{version}/{}/upstreams/{pool}/servers/{id}", kind.as_str());
        let mut body = body.clone();
        loop {
            let reply = self.api.send(Method::PATCH, &path, &body).await?;
            let bad_body = fault(&reply).code == "UpstreamConfFormatError";
            if reply.status == 200 {
                return Ok(Ok(()));
            }
            let fields = body.as_object_mut();
            let undrain = fields
                .filter(|fields| fields.contains_key("down"))
                .and_then(|fields| fields.remove("drain"));
            if !bad_body || undrain.is_none() {
                return Ok(Err((format!("PATCH {path} {body}"), reply)));
            }
        }
    }

    fn explained(&self, command: &str, pool: &PoolName, reply: &Reply) -> BalancerError {
        let fault = fault(reply);
        let words = match fault.code.as_str() {
            "MethodDisabled" => {
                "the API is read-only: write `api write=on;` in its location, and reload".to_owned()
            }
            "UpstreamStatic" => no_zone(pool),
            // Numbers are looked up just before they are used: the next look finds others.
            "UpstreamServerNotFound" | "UpstreamNotFound" => {
                return self
                    .api
                    .unreachable(format!("`{command}`: its servers are being changed"));
            }
            "" => return self.api.unexpected(command, reply),
            code => {
                let said = self.api.words(fault.text.as_bytes());
                if reply.status >= 500 {
                    return self.api.unexpected(command, reply);
                }
                format!(
                    "{}: {said} ({})",
                    reply.status,
                    self.api.words(code.as_bytes())
                )
            }
        };
        self.refused(command, words)
    }

    /// What a person types; where the server's number is not known yet, where it is found.
    pub(super) fn enable_by_hand(
        &self,
        pool: &PoolName,
        server: &ServerName,
        known: Option<(Kind, u64)>,
    ) -> String {
        let version = self.known_version().unwrap_or(*VERSIONS.end());
        let (kind, number) = match known {
            Some((kind, id)) => (kind, id.to_string()),
            None => (Kind::Http, format!("ID-OF-{server}")),
        };
        let body = match kind {
            Kind::Http => json!({ "drain": false, "down": false }),
            Kind::Stream => json!({ "down": false }),
        };
        let path = format!(
            "/{version}/{}/upstreams/{pool}/servers/{number}",
            kind.as_str()
        );
        self.api.by_hand(&Method::PATCH, &path, &body)
    }
}

/// Why an upstream cannot be changed, with what to do.
pub(super) fn no_zone(pool: &PoolName) -> String {
    format!(
        "upstream `{pool}` has no shared memory, so the API cannot change it: write `zone {pool} 128k;` into it, and reload"
    )
}
