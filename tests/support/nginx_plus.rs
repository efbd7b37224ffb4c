//! A double of the NGINX Plus API, versions 6 to 9, as `ngx_http_api_module` documents it: upstreams of http and stream, their servers by
//! number, the fields that may be changed, and the errors with their codes.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Product, Said};

/// One server of an upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    pub(crate) id: u64,
    /// Address and port; IPv6 in brackets. The API calls it `server`.
    pub(crate) address: String,
    /// As its line in the configuration has it.
    pub(crate) name: String,
    pub(crate) weight: u64,
    pub(crate) drain: bool,
    pub(crate) down: bool,
    pub(crate) route: String,
    /// The server whose name was resolved to this one.
    pub(crate) parent: Option<u64>,
    /// `unavail`, `unhealthy` or `checking`, where it is.
    pub(crate) sick: Option<&'static str>,
    pub(crate) active: u64,
}

impl Server {
    pub(crate) fn new(id: u64, server: &str) -> Self {
        Self {
            id,
            address: server.to_owned(),
            name: server.to_owned(),
            weight: 5,
            ..Self::default()
        }
    }
}

/// One upstream.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    /// Whether it has a `zone`.
    pub(crate) zone: bool,
    /// Whether it has a `state` file.
    pub(crate) state: bool,
    pub(crate) servers: Vec<Server>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) upstreams: Vec<Upstream>,
    configured: Vec<Upstream>,
    generation: u64,
    /// `api write=on`.
    pub(crate) write: bool,
    /// The versions that it speaks.
    pub(crate) versions: Vec<u64>,
    /// Whether it takes `"drain": false`; where not, `"down": false` ends a drain.
    pub(crate) undrains: bool,
}

/// The API at `/api`.
#[derive(Debug, Clone)]
pub(crate) struct NginxPlus(pub(crate) Arc<Mutex<Inner>>);

fn error(status: u16, code: &str, text: &str) -> Said {
    let fault = json!({"status": status, "text": text, "code": code});
    let body = json!({"error": fault, "request_id": "0", "href": "https://nginx.org/en/docs/http/ngx_http_api_module.html"});
    (status, Some(body))
}

impl NginxPlus {
    pub(crate) fn new(upstreams: Vec<Upstream>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            configured: upstreams.clone(),
            upstreams,
            generation: 1,
            write: true,
            versions: (1..=9).collect(),
            undrains: true,
        })))
    }

    /// One server, to look at and to change past the API.
    pub(crate) fn server<T>(
        &self,
        upstream: &str,
        address: &str,
        act: impl FnOnce(&mut Server) -> T,
    ) -> T {
        let mut inner = self.0.lock().unwrap();
        let upstream = inner.upstreams.iter_mut().find(|it| it.name == upstream);
        let mut servers = upstream.unwrap().servers.iter_mut();
        act(servers.find(|it| it.address == address).unwrap())
    }

    /// What `nginx -s reload` does: numbers are given anew, and what the API was told is forgotten where no `state` file keeps it.
    pub(crate) fn reload(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.generation += 1;
        let first = inner.generation * 10;
        for at in 0..inner.upstreams.len() {
            if !inner.upstreams[at].state {
                inner.upstreams[at] = inner.configured[at].clone();
            }
            for server in &mut inner.upstreams[at].servers {
                server.id += first;
                server.parent = server.parent.map(|parent| parent + first);
            }
        }
    }
}

impl Inner {
    fn nginx(&self) -> Value {
        let generation = self.generation;
        json!({
            "version": "1.29.0", "build": "nginx-plus-r35", "address": "127.0.0.1", "generation": generation,
            "load_timestamp": format!("2026-11-24T10:00:0{generation}.000Z"),
            "timestamp": "2026-11-24T11:00:00.000Z", "pid": 1000 + generation, "ppid": 7,
        })
    }

    fn upstreams(&mut self, method: &Method, kind: &str, rest: &[&str], body: &Value) -> Said {
        let (write, undrains) = (self.write, self.undrains);
        let [name, rest @ ..] = rest else {
            return error(404, "PathNotFound", "path not found");
        };
        let found = self.upstreams.iter_mut();
        let Some(upstream) = found
            .into_iter()
            .find(|it| it.kind == kind && it.name == *name)
        else {
            return error(404, "UpstreamNotFound", "upstream not found");
        };
        if !upstream.zone {
            return error(400, "UpstreamStatic", "upstream is static");
        }
        match (method, rest) {
            (&Method::GET, []) => (200, Some(upstream.status())),
            (&Method::GET, ["servers"]) => {
                let servers: Vec<Value> = upstream.servers.iter().map(Server::configured).collect();
                (200, Some(json!(servers)))
            }
            (&Method::PATCH, _) if !write => error(405, "MethodDisabled", "method disabled"),
            (&Method::PATCH, ["servers", id]) => {
                let Ok(id) = id.parse::<u64>() else {
                    return error(400, "UpstreamBadServerId", "invalid server ID");
                };
                let is_parent = upstream.servers.iter().any(|it| it.parent == Some(id));
                if is_parent {
                    let children = upstream.servers.iter_mut();
                    for child in children.filter(|it| it.parent == Some(id)) {
                        if let Err(said) = child.change(body, kind, undrains) {
                            return said;
                        }
                    }
                    return (200, Some(json!({"id": id})));
                }
                let server = upstream.servers.iter_mut().find(|it| it.id == id);
                match server {
                    None => error(404, "UpstreamServerNotFound", "server not found"),
                    Some(server) if server.parent.is_some() => {
                        error(400, "UpstreamServerImmutable", "server is immutable")
                    }
                    Some(server) => match server.change(body, kind, undrains) {
                        Ok(()) => (200, Some(server.configured())),
                        Err(said) => said,
                    },
                }
            }
            _ => error(405, "MethodNotSupported", "method not supported"),
        }
    }
}

impl Upstream {
    fn status(&self) -> Value {
        let peers: Vec<Value> = self.servers.iter().map(Server::peer).collect();
        json!({"peers": peers, "keepalive": 0, "zombies": 0, "zone": self.name})
    }
}

impl Server {
    fn change(&mut self, body: &Value, kind: &str, undrains: bool) -> Result<(), Said> {
        let bad = |text: &str| error(400, "UpstreamConfFormatError", text);
        let fields = body.as_object().ok_or_else(|| bad("invalid JSON"))?;
        let mut changed = self.clone();
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("drain", Value::Bool(drain)) if kind == "http" && (*drain || undrains) => {
                    changed.drain = *drain;
                }
                ("down", Value::Bool(down)) => {
                    changed.down = *down;
                    changed.drain &= undrains || *down;
                }
                ("weight", Value::Number(weight)) => changed.weight = weight.as_u64().unwrap(),
                _ => return Err(bad(&format!("unknown parameter \"{key}\""))),
            }
        }
        *self = changed;
        Ok(())
    }

    fn configured(&self) -> Value {
        let mut server = json!({
            "id": self.id, "server": self.address, "weight": self.weight, "max_conns": 0, "max_fails": 1,
            "fail_timeout": "10s", "slow_start": "0s", "route": self.route, "backup": false, "down": self.down,
        });
        if self.drain {
            server["drain"] = json!(true);
        }
        if let Some(parent) = self.parent {
            server["parent"] = json!(parent);
        }
        server
    }

    fn peer(&self) -> Value {
        let state = match (self.down, self.drain, self.sick) {
            (true, _, _) => "down",
            (_, true, _) => "draining",
            (_, _, Some(sick)) => sick,
            _ => "up",
        };
        json!({
            "id": self.id, "server": self.address, "name": self.name, "backup": false, "weight": self.weight,
            "state": state, "active": self.active, "requests": 9, "fails": 0, "unavail": 0,
            "responses": {"1xx": 0, "2xx": 9, "3xx": 0, "4xx": 0, "5xx": 0, "codes": {"200": 9}, "total": 9},
            "health_checks": {"checks": 0, "fails": 0, "unhealthy": 0},
        })
    }
}

impl Product for NginxPlus {
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str, body: Value) -> BoxFuture<'a, Said> {
        async move {
            let mut inner = self.0.lock().unwrap();
            let not_found = || error(404, "PathNotFound", "path not found");
            let Some(rest) = path.strip_prefix("/api/") else {
                return not_found();
            };
            let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
            let [version, rest @ ..] = parts.as_slice() else {
                return not_found();
            };
            if version.is_empty() {
                return (200, Some(json!(inner.versions)));
            }
            let known = version
                .parse()
                .is_ok_and(|one| inner.versions.contains(&one));
            if !known {
                return error(404, "UnknownVersion", "unknown version");
            }
            match rest {
                ["nginx"] => (200, Some(inner.nginx())),
                [kind @ ("http" | "stream"), "upstreams", rest @ ..] => {
                    inner.upstreams(method, kind, rest, &body)
                }
                _ => not_found(),
            }
        }
        .boxed()
    }

    fn error(&self, status: u16) -> Said {
        match status {
            // By nginx itself, before the API is asked.
            401 | 403 => (status, None),
            _ => error(status, "InternalError", "ordered by the test"),
        }
    }
}
