//! A double of `HAProxy`'s Data Plane API over a real `HAProxy`: the runtime paths of versions 2.8 and 3, each request turned into the
//! Runtime API's commands as the product does it, its reading of the admin mask as hexadecimal included.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::api::{Product, Said};
use super::haproxy::ask;

/// The API.
pub(crate) struct Dataplane {
    /// 2 or 3.
    pub(crate) version: u8,
    /// Whether `weight` is among a server's fields, as it is since 3.3.
    pub(crate) weights: bool,
    /// `HAProxy`'s socket.
    pub(crate) socket: PathBuf,
    /// Whether it says that the process it asks is being replaced.
    pub(crate) stopping: AtomicBool,
}

fn error(status: u16, message: &str) -> Said {
    (status, Some(json!({"code": status, "message": message})))
}

impl Dataplane {
    pub(crate) fn new(version: u8, socket: PathBuf) -> Self {
        Self {
            version,
            weights: version == 3,
            socket,
            stopping: AtomicBool::new(false),
        }
    }

    /// `Err`: `HAProxy`'s own words of refusal, as the product passes them on.
    async fn run(&self, command: &str) -> Result<String, String> {
        let line = format!("set severity-output number;{command}");
        let said = ask(&self.socket, &line).await;
        let said = said.trim().to_owned();
        match said.get(..4) {
            Some("[3]:" | "[2]:" | "[1]:" | "[0]:") => {
                Err(format!("[{}] {} [{command}]", &said[1..2], &said[4..]))
            }
            _ => Ok(said),
        }
    }

    async fn servers(&self, pool: &str) -> Result<Vec<Value>, String> {
        let table = self.run(&format!("show servers state {pool}")).await?;
        let mut lines = table.lines();
        if lines.next().map(str::trim) != Some("1") {
            return Err(
                "unsupported output format version, supporting format version 1".to_owned(),
            );
        }
        let rows = lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        Ok(rows.map(|row| self.server_of(row)).collect())
    }

    fn server_of(&self, row: &str) -> Value {
        let cell: Vec<&str> = row.split(' ').collect();
        let number = |at: usize| cell[at].parse::<i64>().map_or(Value::Null, |n| json!(n));
        // As the product does it: a decimal mask, read as hexadecimal.
        let mask = u64::from_str_radix(cell[6], 16).unwrap();
        let admin = if mask & 0b10_0011 != 0 {
            "maint"
        } else if mask & 0b1_1000 != 0 {
            "drain"
        } else {
            "ready"
        };
        let state = match cell[5] {
            "0" => "down",
            "3" => "stopping",
            _ => "up",
        };
        let mut server = json!({
            "id": cell[2], "name": cell[3], "address": cell[4], "port": number(18),
            "admin_state": admin, "operational_state": state,
        });
        if self.weights {
            let more = [
                ("weight", 7),
                ("uweight", 7),
                ("iweight", 8),
                ("check_result", 11),
                ("check_state", 13),
                ("agent_state", 14),
            ];
            for (key, at) in more {
                server[key] = number(at);
            }
            server["backend_name"] = json!(cell[1]);
        }
        server
    }

    async fn stats(&self, query: &BTreeMap<String, String>) -> Said {
        let table = match self.run("show stat").await {
            Ok(table) => table,
            Err(why) => return (500, Some(self.entries(json!({"error": why})))),
        };
        let mut reader = csv::Reader::from_reader(table.trim_start_matches("# ").as_bytes());
        let header = reader.headers().unwrap().clone();
        let mut rows = Vec::new();
        for row in reader.records().map(Result::unwrap) {
            let cell = |name: &str| {
                let at = header.iter().position(|column| column == name).unwrap();
                row[at].to_owned()
            };
            if cell("type") != "2" || query.get("parent").is_some_and(|p| *p != cell("pxname")) {
                continue;
            }
            let mut stats = Map::new();
            for name in [
                "status",
                "cookie",
                "tracked",
                "check_status",
                "agent_status",
            ] {
                if !cell(name).is_empty() {
                    stats.insert(name.to_owned(), json!(cell(name)));
                }
            }
            for name in ["scur", "qcur", "weight"] {
                stats.insert(name.to_owned(), json!(cell(name).parse::<i64>().unwrap()));
            }
            rows.push(json!({
                "backend_name": cell("pxname"), "name": cell("svname"), "type": "server", "stats": stats,
            }));
        }
        (
            200,
            Some(self.entries(json!({"runtimeAPI": "s", "stats": rows}))),
        )
    }

    async fn info(&self) -> Said {
        let said = self.run("show info").await.unwrap();
        let value = |key: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(key));
            line.map(|text| json!(text.trim().parse::<i64>().unwrap()))
        };
        if value("Pid: ").is_none() {
            return error(500, "no answer from the runtime API");
        }
        let stopping = i64::from(self.stopping.load(Ordering::SeqCst));
        let info = json!({
            "pid": value("Pid: "), "uptime": value("Uptime_sec: "), "stopping": stopping,
        });
        (
            200,
            Some(self.entries(json!({"runtimeAPI": "s", "info": info}))),
        )
    }

    /// Version 2 has an entry for each process.
    fn entries(&self, one: Value) -> Value {
        if self.version == 2 { json!([one]) } else { one }
    }

    async fn replace(&self, pool: &str, name: &str, body: &Value) -> Said {
        let known = match self.servers(pool).await {
            Ok(servers) => servers.into_iter().find(|server| server["name"] == name),
            Err(why) => return error(500, &why),
        };
        let Some(known) = known else {
            return error(404, &format!("server state for {pool}/{name}: not found"));
        };
        let mut commands = Vec::new();
        if let Some(state) = body["admin_state"].as_str()
            && known["admin_state"] != state
        {
            commands.push(format!("set server {pool}/{name} state {state}"));
        }
        if self.weights
            && let Some(weight) = body["weight"].as_i64()
            && known["weight"] != weight
        {
            commands.push(format!("set server {pool}/{name} weight {weight}"));
        }
        for command in commands {
            if let Err(why) = self.run(&command).await {
                return error(500, &why);
            }
        }
        let servers = self.servers(pool).await.unwrap();
        let server = servers.into_iter().find(|server| server["name"] == name);
        (200, server)
    }

    async fn runtime(&self, method: &Method, pool: &str, name: Option<&str>, body: Value) -> Said {
        match (method, name) {
            (&Method::GET, None) => match self.servers(pool).await {
                Ok(servers) => (200, Some(json!(servers))),
                Err(why) => error(500, &why),
            },
            (&Method::PUT, Some(name)) => self.replace(pool, name, &body).await,
            _ => error(405, "method not allowed"),
        }
    }
}

impl Product for Dataplane {
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str, body: Value) -> BoxFuture<'a, Said> {
        async move {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let query: BTreeMap<String, String> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            let base = format!("/v{}/services/haproxy/", self.version);
            let Some(rest) = path.strip_prefix(&base) else {
                return error(404, &format!("path {path} was not found"));
            };
            let parts: Vec<&str> = rest.split('/').collect();
            match (self.version, parts.as_slice()) {
                (_, ["runtime", "info"]) => self.info().await,
                (_, ["stats", "native"]) => self.stats(&query).await,
                (2, ["runtime", "servers", name @ ..]) => match query.get("backend") {
                    Some(pool) => {
                        self.runtime(method, pool, name.first().copied(), body)
                            .await
                    }
                    None => error(422, "backend in query is required"),
                },
                (3, ["runtime", "backends", pool, "servers", name @ ..]) => {
                    self.runtime(method, pool, name.first().copied(), body)
                        .await
                }
                _ => error(404, &format!("path {path} was not found")),
            }
        }
        .boxed()
    }

    fn error(&self, status: u16) -> Said {
        error(status, "ordered by the test")
    }
}
