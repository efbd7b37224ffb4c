//! What the drivers of HTTP APIs share: the way there, who asks, and what an answer means before it is read.
//!
//! Every request is absolute (GET, or a PUT or PATCH of a state), so one whose outcome is unknown may be repeated: that is
//! [`BalancerError::Unreachable`], as are answers of 5xx. What a repetition cannot mend is [`BalancerError::Refused`].

mod login;

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::login::Login;
use super::BalancerError;
use super::haproxy::ssh_words;
use crate::drivers::http::{Answer, Client, Failure, Question, Target, TargetError};
use crate::drivers::transport::Transport;
use crate::model::{ApiSpec, BalancerName, HostName};

/// For one act of a driver, whatever it takes.
const LIMIT: Duration = Duration::from_secs(10);

/// A large `HAProxy` tells a few KiB a server.
const MOST: usize = 32 << 20;

/// Requests of one act that are under way at a time.
pub(super) const SIDE_BY_SIDE: usize = 4;

/// One API.
#[derive(Debug)]
pub(super) struct Api {
    name: BalancerName,
    /// As written, without a slash at the end.
    url: String,
    via: Option<HostName>,
    credentials: Option<(String, String)>,
    /// Or why nothing can be asked.
    ready: Result<Ready, String>,
}

#[derive(Debug)]
struct Ready {
    client: Client,
    login: Option<Login>,
}

/// An answer that is neither a refusal of the one who asks nor a failure of the one who answers.
#[derive(Debug)]
pub(super) struct Reply {
    /// Its status.
    pub(super) status: u16,
    /// Its body.
    pub(super) body: Vec<u8>,
}

/// Reads what must be there before anything is asked: the variables with the credentials, and the CA's file.
///
/// # Errors
/// What is missing, in words for people.
pub(super) fn check(spec: &ApiSpec) -> Result<(), String> {
    prepare(spec, None).map(|_ready| ())
}

fn prepare(spec: &ApiSpec, transport: Option<Arc<dyn Transport>>) -> Result<Ready, String> {
    let target = Target::new(&spec.url, spec.ca.as_deref()).map_err(|error| match error {
        TargetError::Url(reason) => format!("`{}` cannot be used: {reason}", spec.url),
        TargetError::Tls(reason) => {
            format!("certificates of `{}` cannot be checked: {reason}", spec.url)
        }
    })?;
    let login = match &spec.credentials {
        Some(names) => Some(Login::read(names, |name| std::env::var_os(name))?),
        None => None,
    };
    Ok(Ready {
        client: Client::new(target, transport),
        login,
    })
}

impl Api {
    /// The API that `spec` names, as seen from the host `via` over `transport`, or from this machine.
    pub(super) fn new(
        name: BalancerName,
        spec: &ApiSpec,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        let ready = match (&via, &transport) {
            (Some(host), None) => Err(format!("there is no connection to `{host}`")),
            _ => prepare(spec, transport),
        };
        let credentials = spec.credentials.as_ref();
        Self {
            name,
            url: spec.url.clone(),
            via,
            credentials: credentials
                .map(|names| (names.username_env.clone(), names.password_env.clone())),
            ready,
        }
    }

    pub(super) fn name(&self) -> &BalancerName {
        &self.name
    }

    /// One act, within its limit.
    pub(super) async fn limited<T>(
        &self,
        act: impl Future<Output = Result<T, BalancerError>>,
    ) -> Result<T, BalancerError> {
        match tokio::time::timeout(LIMIT, act).await {
            Ok(result) => result,
            Err(_elapsed) => Err(self.unreachable(format!("no answer within {LIMIT:?}"))),
        }
    }

    /// Reads `path` (under the API's base).
    pub(super) async fn get(&self, path: &str) -> Result<Reply, BalancerError> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends `body` to `path`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Reply, BalancerError> {
        self.ask(method, path, Some(body)).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, BalancerError> {
        let command = format!("{method} {path}");
        let ready = match &self.ready {
            Ok(ready) => ready,
            Err(why) => return Err(self.refused(&command, why.clone())),
        };
        let base = ready.client.target().path.trim_end_matches('/');
        let mut headers = HeaderMap::new();
        if let Some(login) = ready.login.as_ref().and_then(Login::header) {
            headers.insert(AUTHORIZATION, login);
        }
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let question = Question {
            method,
            path: &format!("{base}{path}"),
            headers,
            body: body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
            most: MOST,
        };
        match ready.client.ask(question).await {
            Ok(answer) => self.judge(&command, answer),
            Err(failure) => Err(self.failed(&command, failure)),
        }
    }

    fn failed(&self, command: &str, failure: Failure) -> BalancerError {
        match failure {
            Failure::NoForward {
                reason,
                prohibited: true,
            } => self.refused(
                command,
                format!(
                    "the host's sshd forwards no connections ({reason}): allow it (AllowTcpForwarding) for this user, or leave `via` out"
                ),
            ),
            Failure::NoForward { reason, .. } => {
                self.unreachable(format!("cannot connect from the host: {reason}"))
            }
            Failure::NoTrust(reason) => self.refused(
                command,
                format!("{reason}; name its authority by `ca`, and by `url` a host that its certificate names"),
            ),
            Failure::NoConnection(reason) | Failure::Broken(reason) => self.unreachable(reason),
        }
    }

    /// What any API means by a status.
    fn judge(&self, command: &str, answer: Answer) -> Result<Reply, BalancerError> {
        if answer.cut {
            let words = format!("more than {} MiB", MOST >> 20);
            return Err(self.garbled(command, words.as_bytes()));
        }
        match answer.status {
            401 => {
                let why = if self.credentials.is_some() {
                    "401: it does not take this user name and password"
                } else {
                    "401: it wants a user name and password; name the variables that hold them by `username_env` and `password_env`"
                };
                Err(self.refused(command, why.to_owned()))
            }
            403 => Err(self.refused(
                command,
                "403: this user, or this address, may not do that there".to_owned(),
            )),
            300..=399 => {
                let to = answer.headers.get(LOCATION).map(HeaderValue::as_bytes);
                let to = self.words(to.unwrap_or_default());
                let status = answer.status;
                Err(self.refused(
                    command,
                    format!("{status}: it points to {to}, and redirects are not followed"),
                ))
            }
            status => Ok(Reply {
                status,
                body: answer.body,
            }),
        }
    }

    /// A reply of 200 as a value.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        command: &str,
        reply: &Reply,
    ) -> Result<T, BalancerError> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            let words = format!("{error}: {}", self.words(&reply.body));
            self.garbled(command, words.as_bytes())
        })
    }

    /// The error of a reply that no driver has words for: its failures may pass, the rest will not.
    pub(super) fn unexpected(&self, command: &str, reply: &Reply) -> BalancerError {
        let Reply { status, body } = reply;
        let words = format!("{status}: {}", self.words(body));
        match status {
            408 | 425 | 429 | 500..=599 => self.unreachable(format!("`{command}`: {words}")),
            400..=499 => self.refused(command, words),
            _ => self.garbled(command, words.as_bytes()),
        }
    }

    pub(super) fn unreachable(&self, reason: String) -> BalancerError {
        BalancerError::Unreachable {
            balancer: self.name.clone(),
            endpoint: match &self.via {
                Some(host) => format!("{} through {host}", self.url),
                None => self.url.clone(),
            },
            reason,
        }
    }

    pub(super) fn refused(&self, command: &str, answer: String) -> BalancerError {
        BalancerError::Refused {
            balancer: self.name.clone(),
            command: command.to_owned(),
            answer,
        }
    }

    pub(super) fn garbled(&self, command: &str, answer: &[u8]) -> BalancerError {
        BalancerError::Garbled {
            balancer: self.name.clone(),
            command: command.to_owned(),
            answer: self.words(answer),
        }
    }

    /// The first 200 characters of foreign words, on one line and without secrets.
    pub(super) fn words(&self, said: &[u8]) -> String {
        let text = String::from_utf8_lossy(said);
        let login = self.ready.as_ref().ok().and_then(|it| it.login.as_ref());
        let text = login.map_or_else(|| text.to_string(), |login| login.hide(&text));
        let visible = text.trim().chars().take(200);
        visible
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }

    /// A line that a person types to send the same; variables stand for the credentials.
    pub(super) fn by_hand(&self, method: &Method, path: &str, body: &Value) -> String {
        let login = match &self.credentials {
            Some((user, password)) => format!(" -u \"${user}:${password}\""),
            None => String::new(),
        };
        let body = quoted(&body.to_string());
        let url = quoted(&format!("{}{path}", self.url));
        let curl = format!(
            "curl -f{login} -X {method} -H 'Content-Type: application/json' -d {body} {url}"
        );
        let host = self.ready.as_ref().ok().and_then(|it| it.client.host());
        match (&self.via, host) {
            (None, _) => curl,
            (Some(host), None) => format!("ssh {host} {}", quoted(&curl)),
            (Some(_), Some(host)) => {
                format!("ssh {} {}", ssh_words(&host.describe()), quoted(&curl))
            }
        }
    }
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word)
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: &str, ca: Option<&str>) -> Api {
        let spec = ApiSpec {
            url: url.to_owned(),
            credentials: None,
            ca: ca.map(Into::into),
        };
        Api::new(BalancerName::new("edge").unwrap(), &spec, None, None)
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let api = api("http://127.0.0.1:1", None);
        let retriable = |status| {
            let reply = Reply {
                status,
                body: b"words\nmore".to_vec(),
            };
            api.unexpected("GET /x", &reply).is_retriable()
        };
        for status in [500, 502, 503, 504, 429, 408] {
            assert!(retriable(status), "{status}");
        }
        for status in [400, 404, 405, 409, 415, 204] {
            assert!(!retriable(status), "{status}");
        }
    }

    #[tokio::test]
    async fn an_unusable_certificate_file_is_told_at_every_call_and_by_check() {
        let api = api("https://127.0.0.1:1", Some("/nonexistent/ca.pem"));
        let error = api.get("/x").await.unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/ca.pem") && !error.is_retriable(),
            "{error}"
        );
        let spec = ApiSpec {
            url: "https://127.0.0.1:1".to_owned(),
            credentials: None,
            ca: Some("/nonexistent/ca.pem".into()),
        };
        assert!(check(&spec).unwrap_err().contains("/nonexistent/ca.pem"));
    }

    #[test]
    fn a_person_is_shown_variables_and_no_secret() {
        let mut api = api("http://127.0.0.1:5555", None);
        api.credentials = Some(("API_USER".to_owned(), "API_PASSWORD".to_owned()));
        let line = api.by_hand(
            &Method::PUT,
            "/v3/x",
            &serde_json::json!({"admin_state": "ready"}),
        );
        assert_eq!(
            line,
            "curl -f -u \"$API_USER:$API_PASSWORD\" -X PUT -H 'Content-Type: application/json' -d '{\"admin_state\":\"ready\"}' http://127.0.0.1:5555/v3/x"
        );
    }
}
